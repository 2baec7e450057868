"""A model with its explainers: gives the scores and the attribution maps of an example."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..attribution.inputs import prepare
from ..attribution.memory import bytes_held
from ..attribution.result import TOKENS, Attribution
from ..attribution.score import score_tensor
from ..attribution.scores import Class, Score, score_of
from ..data.batch import Prepared
from ..data.preprocess import Preprocess
from ..errors import InputError
from ..graph.model import Model, Source, is_float
from ..loading.load import load
from ..methods import METHODS, Method
from ..methods.catalogue import method_options
from ..runtime import Provider, SessionSettings, provider_names
from .explained_target import ExplainedTarget
from .explainers import Explainers, held_by
from .score_session import ForwardPasses
from .side_session import session_json

__all__ = [
    "DEFAULT_METHODS",
    "Evidence",
    "ModelUnderTest",
    "check_options",
    "model_name",
    "model_under_test",
    "one_example",
    "open_model_under_test",
    "options_of",
]

GRADIENT, TIMES_INPUT = "saliency", "input-x-gradient"
DEFAULT_METHODS = ("saliency", "input-x-gradient", "integrated-gradients", "grad-cam")


@dataclass(frozen=True)
class Evidence:
    """The results of a model for one input: all scores (of a detector's boxes none), what was explained and its score,
    and a map for each method."""

    scores: NDArray[np.floating]
    target: ExplainedTarget
    score: float
    maps: Mapping[str, NDArray[np.floating]]


@dataclass(frozen=True, eq=False)
class ModelUnderTest:
    """A model, its explainers by method, and how pictures become its input."""

    model: Model
    explainers: Explainers
    passes: ForwardPasses
    score: str = "logit"
    preprocess: Preprocess | None = None

    @property
    def name(self) -> str:
        return model_name(self.model)

    @property
    def settings(self) -> SessionSettings:
        """How its sessions run."""
        return self.passes.settings

    @property
    def where(self) -> list[str]:
        """The providers that it runs on, by name."""
        return provider_names(self.settings.providers)

    @property
    def session(self) -> dict[str, Any]:
        """The settings of its sessions, as reports hold them."""
        return session_json(self.settings)

    @cached_property
    def digest(self) -> str:
        """The sha256 of the model as it is run."""
        return self.model.digest

    @cached_property
    def scored(self) -> ir.Value:
        """The tensor of the model whose elements are scores."""
        return score_tensor(self.model, self.score)

    def prepared(self, given: Any) -> Prepared:
        """The arrays of one example."""
        return one_example(prepare(self.model, given, self.preprocess))

    def scores(self, given: Prepared) -> NDArray[np.floating]:
        """All scores of an example, as a vector."""
        session, y = self.passes.plain
        found = session.run(given.batch.take(given.batch.fill(np.arange(1))), [y])[y]
        return self._of_example(found)

    def evidence(self, given: Prepared, target: Any = "top1") -> Evidence:
        """Scores and maps of what ``target`` means, as for ``explain``; the run of the first method settles it."""
        feeds, score, (first, *others) = dict(given.batch.feeds), score_of(target), self.run_methods
        scores = self._scores_before(given, score)
        if scores is not None and type(score) is Class and isinstance(score.said, str):
            score = Class(int(scores.argmax()))
        answer = self.explainers[first].answer(feeds, score)
        if scores is None:
            scores = self._of_example(answer.outputs[str(self.scored.name)])
        settled = ExplainedTarget.of(score, answer)
        found = {first: answer.attribution} | {name: self.explainers[name](feeds, settled.again) for name in others}
        maps = {name: map_of(one) for name, one in found.items()}
        if TIMES_INPUT not in self.run_methods and TIMES_INPUT in self.explainers:
            maps[TIMES_INPUT] = _times(found[GRADIENT].values, feeds)
        checked = {name: finite(maps[name], f"the map of {name}") for name in self.explainers}
        return Evidence(scores, settled, float(answer.attribution.score[0]), checked)

    def _scores_before(self, given: Prepared, score: Score) -> NDArray[np.floating] | None:
        """All scores where they do not come with the run of the first method, else None: arithmetic that rounds is only
        computed by the model as it is as it will be deployed. Boxes of a detector are no scores of classes."""
        if score.tensor is not None:
            return np.zeros(0, np.float32)
        return self.scores(given) if self.rounds or self.scored not in self.model.outputs else None

    def _of_example(self, output: NDArray) -> NDArray[np.floating]:
        """The scores of the only example, as a vector."""
        own = output if self.passes.axis is None else np.take(output, [0], self.passes.axis)
        return finite(own.reshape(-1).astype(np.float32), "the scores")

    @cached_property
    def rounds(self) -> bool:
        """Whether the model has integer arithmetic or floats of less than 32 bits, which a map is not made in."""
        kinds = {node.op_type for node in self.model.graph}
        values = (*(v for node in self.model.graph for v in node.outputs), *self.model.graph.initializers.values())
        integer = any("Quant" in kind or "QLinear" in kind or kind.endswith("Integer") for kind in kinds)
        return integer or any(v.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16) for v in values)

    @cached_property
    def run_methods(self) -> tuple[str, ...]:
        """The methods whose explainers run; input times gradient is computed from saliency if both are requested."""
        made = GRADIENT in self.explainers and all(is_float(value) for value in self.model.inputs)
        return tuple(name for name in self.explainers if not (made and name == TIMES_INPUT))

    @property
    def held(self) -> int:
        """The most memory that the open sessions hold in addition to the model's weights, in bytes."""
        return self.passes.count * bytes_held(self.model) + sum(map(held_by, self.explainers.opened.values()))

    def evidence_named(self, name: str, given: Prepared, target: Any = "top1") -> Evidence:
        """The evidence of the sample of a name, which a model does not need; a golden file does."""
        return self.evidence(given, target)

    def only(self, method: str) -> ModelUnderTest:
        """The side for one method, and for that which it is made of."""
        return self.of_methods({method, GRADIENT} if method == TIMES_INPUT else {method})

    def of_methods(self, names: Collection[str]) -> ModelUnderTest:
        """The side for some of its methods; sessions are shared with this one."""
        return replace(self, explainers=self.explainers.only(names))

    def opened(self) -> ModelUnderTest:
        """This side with open explainers: what is wrong with a method or its layer is said before the first sample."""
        for name in self.run_methods:
            self.explainers[name]
        return self

    def with_model(self, model: Model) -> ModelUnderTest:
        """A copy with another model and the same settings."""
        explainers = self.explainers.rebuilt(model, self.settings.threads)
        return replace(self, model=model, explainers=explainers, passes=replace(self.passes, model=model, of_kinds={}))

    def with_threads(self, threads: int) -> ModelUnderTest:
        """The same model on another number of threads."""
        passes = replace(self.passes, settings=replace(self.settings, threads=threads), of_kinds={})
        return replace(self, explainers=self.explainers.rebuilt(self.model, threads), passes=passes)


def open_model_under_test(model: Source, methods: Sequence[str], **settings: Any) -> ModelUnderTest:
    """A side whose explainers are open; settings are those of ``model_under_test``."""
    return model_under_test(model, methods, **settings).opened()


def model_under_test(
    model: Source,
    methods: Sequence[str],
    *,
    score: str = "logit",
    layer: str | None = None,
    preprocess: Preprocess | None = None,
    providers: Sequence[Provider] | Provider | None = None,
    threads: int | None = None,
    memory: str | int = "1GB",
    optimization: str = "all",
    options: Mapping[str, Any] = MappingProxyType({}),
) -> ModelUnderTest:
    """A side with an explainer for each method, opened at its first use; options go to those methods that have them."""
    source, having = load(model), method_options()
    check_options(methods, options)
    explained = {"score": score, "providers": providers, "threads": threads, "memory": memory}
    explained["optimization"] = optimization
    settings = {}
    for name in methods:
        own = options_of(name, options)
        if layer is not None and name in [m for m, _ in having["layer"]]:
            own["layer"] = layer
        settings[name] = {**explained, **own}
    preprocess = preprocess or Preprocess.from_metadata(source.metadata)
    passes = ForwardPasses(source, score, SessionSettings(providers, threads, optimization))
    explainers = Explainers(source, settings)
    return ModelUnderTest(source, explainers, passes, score, preprocess)


def model_name(model: Model) -> str:
    """What a model is called in reports: its path, or what its graph is called."""
    return str(model.path or model.graph.name or "model")


def check_options(methods: Sequence[str], options: Mapping[str, Any]) -> None:
    """Raises InputError for an option that none of the methods has, and for a layer among the options."""
    having = method_options()
    if "layer" in options:
        raise InputError(f"layer {options['layer']!r} among the options of methods: name it by layer= (--layer)")
    if unknown := [name for name in options if not any(m in methods for m, _ in having.get(name, []))]:
        raise InputError(f"no method of {', '.join(methods)} has an option {unknown[0]!r}")


def options_of(method: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that a method has."""
    having = method_options()
    return {name: value for name, value in options.items() if method in [m for m, _ in having.get(name, [])]}


def one_example(given: Prepared) -> Prepared:
    if given.batch.examples != 1:
        raise InputError(f"it holds {given.batch.examples} examples; give an array of many as DATA itself")
    return given


def map_of(found: Attribution) -> NDArray[np.floating]:
    """The map of the only example; of embedded tokens one number each. A part that is the same everywhere, which would
    turn magnitudes round where it is negative, is taken off."""
    values = _numbers(found)
    return values - values.min() if METHODS.get(found.method, Method).from_least else values


def _numbers(found: Attribution) -> NDArray[np.floating]:
    if found.layout != TOKENS:
        return flat_map(found.values)
    names = list(found.values) if isinstance(found.values, Mapping) else []
    return flat_map({name: found[name].map() for name in names} if names else found.map())


def flat_map(values: Any) -> NDArray[np.floating]:
    """The values of the only example; those of several inputs as one vector."""
    if isinstance(values, Mapping):
        return np.concatenate([np.asarray(one).ravel() for one in values.values()])
    return np.asarray(values)[0]


def _times(gradient: Any, feeds: Mapping[str, NDArray]) -> NDArray[np.floating]:
    """Input times gradient, for each input."""
    if isinstance(gradient, Mapping):
        return flat_map({name: values * feeds[name] for name, values in gradient.items()})
    return flat_map(gradient * next(iter(feeds.values()))).astype(np.float32, copy=False)


def finite(array: NDArray[np.floating], what: str) -> NDArray[np.floating]:
    if not np.isfinite(array).all():
        raise InputError(f"{what} holds NaN or infinity")
    return array
