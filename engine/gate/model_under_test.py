"""A model with its explainers: gives the scores and the attribution maps of an example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..attribution.axes import score_axes
from ..attribution.inputs import prepare
from ..attribution.memory import bytes_held, bytes_per_row
from ..attribution.result import TOKENS, Attribution
from ..attribution.score import score_tensor
from ..data.batch import Prepared
from ..data.preprocess import Preprocess
from ..errors import InputError
from ..graph.model import Model, Source, is_float
from ..loading.load import load
from ..methods.catalogue import method_options
from ..runtime import Provider, Session, open_model, resolve_providers
from .explainers import Explainers, held_by

__all__ = [
    "DEFAULT_METHODS",
    "Evidence",
    "ModelUnderTest",
    "check_options",
    "model_name",
    "one_example",
    "open_model_under_test",
    "options_of",
    "provider_names",
]

GRADIENT, TIMES_INPUT = "saliency", "input-x-gradient"
DEFAULT_METHODS = ("saliency", "input-x-gradient", "integrated-gradients", "grad-cam")


@dataclass(frozen=True)
class Evidence:
    """The results of a model for one input: all scores, the explained class, and a map for each method."""

    scores: NDArray[np.floating]
    target: int
    score: float
    maps: Mapping[str, NDArray[np.floating]]


@dataclass(frozen=True, eq=False)
class ModelUnderTest:
    """A model, its explainers by method, and how pictures become its input."""

    model: Model
    explainers: Explainers
    score: str = "logit"
    preprocess: Preprocess | None = None
    providers: Sequence[Provider] | Provider | None = None
    threads: int | None = None

    @property
    def name(self) -> str:
        return model_name(self.model)

    @property
    def where(self) -> list[str]:
        """The providers that it runs on, by name."""
        return provider_names(self.providers)

    @cached_property
    def digest(self) -> str:
        """The sha256 of the model as it is run."""
        return self.model.digest

    @cached_property
    def scored(self) -> ir.Value:
        """The tensor of the model whose elements are scores."""
        return score_tensor(self.model, self.score)

    @cached_property
    def forward(self) -> tuple[Session, str]:
        """The model as it is, and the name of its scores."""
        program, y = self.model.copy(), str(self.scored.name)
        if y not in [value.name for value in program.outputs]:
            program.graph.outputs.append(ir.convenience.create_value_mapping(program.graph)[y])
        return open_model(program, self.providers, self.threads), y

    @cached_property
    def row_bytes(self) -> int:
        """The most memory that a run of the model takes for one row, in bytes."""
        return bytes_per_row(self.model)

    def prepared(self, given: Any) -> Prepared:
        """The arrays of one example."""
        return one_example(prepare(self.model, given, self.preprocess))

    def scores(self, given: Prepared) -> NDArray[np.floating]:
        """All scores of an example, as a vector."""
        session, y = self.forward
        found = session.run(given.batch.take(given.batch.fill(np.arange(1))), [y])[y]
        return vector(found)

    def evidence(self, given: Prepared, target: int | None = None) -> Evidence:
        """Scores and maps; of the top class unless one is given."""
        feeds = dict(given.batch.feeds)
        scores, found = self._answer(given, target)
        chosen = target if target is not None else int(next((one.target[0] for one in found.values()), scores.argmax()))
        found |= {name: self.explainers[name](feeds, chosen) for name in self.run_methods if name not in found}
        maps = {name: map_of(one) for name, one in found.items()}
        if TIMES_INPUT not in self.run_methods and TIMES_INPUT in self.explainers:
            maps[TIMES_INPUT] = _times(found[GRADIENT].values, feeds)
        score = next((float(one.score[0]) for one in found.values()), float(scores[chosen]))
        checked = {name: finite(maps[name], f"the map of {name}") for name in self.explainers}
        return Evidence(scores, chosen, score, checked)

    def _answer(self, given: Prepared, target: int | None) -> tuple[NDArray[np.floating], dict[str, Attribution]]:
        """All scores; they come with the run of the first method, but for arithmetic that rounds, which only the model
        as it is computes as it will be deployed."""
        if self.rounds or not self.run_methods or self.scored not in self.model.outputs:
            return self.scores(given), {}
        name = self.run_methods[0]
        found, outputs = self.explainers[name].with_outputs(
            dict(given.batch.feeds), "top1" if target is None else target
        )
        return vector(outputs[str(self.scored.name)]), {name: found}

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
        forward = bytes_held(self.model) if "forward" in vars(self) else 0
        return forward + sum(map(held_by, self.explainers.opened.values()))

    def evidence_named(self, name: str, given: Prepared, target: int | None = None) -> Evidence:
        """The evidence of the sample of a name, which a model does not need; a golden file does."""
        return self.evidence(given, target)

    def only(self, method: str) -> ModelUnderTest:
        """The side for one method, and for that which it is made of."""
        return replace(self, explainers=self.explainers.only({method, GRADIENT} if method == TIMES_INPUT else {method}))

    def with_model(self, model: Model) -> ModelUnderTest:
        """A copy with another model and the same settings."""
        return replace(self, model=model, explainers=self.explainers.rebuilt(model, self.threads))

    def with_threads(self, threads: int) -> ModelUnderTest:
        """The same model on another number of threads."""
        return replace(self, threads=threads, explainers=self.explainers.rebuilt(self.model, threads))


def open_model_under_test(
    model: Source,
    methods: Sequence[str],
    *,
    score: str = "logit",
    layer: str | None = None,
    preprocess: Preprocess | None = None,
    providers: Sequence[Provider] | Provider | None = None,
    threads: int | None = None,
    memory: str | int = "1GB",
    options: Mapping[str, Any] = MappingProxyType({}),
) -> ModelUnderTest:
    """A side with an explainer for each method; options go to those methods that have them."""
    source, having = load(model), method_options()
    _check_classes(source, score)
    check_options(methods, options)
    explained = {"score": score, "providers": providers, "threads": threads, "memory": memory}
    settings = {}
    for name in methods:
        own = options_of(name, options)
        if layer is not None and name in [m for m, _ in having["layer"]]:
            own["layer"] = layer
        settings[name] = {**explained, **own}
    preprocess = preprocess or Preprocess.from_metadata(source.metadata)
    side = ModelUnderTest(source, Explainers(source, settings), score, preprocess, providers, threads)
    for name in side.run_methods:  # what is wrong with a method or its layer is said before the first sample
        side.explainers[name]
    return side


def model_name(model: Model) -> str:
    """What a model is called in reports: its path, or what its graph is called."""
    return str(model.path or model.graph.name or "model")


def provider_names(providers: Sequence[Provider] | Provider | None) -> list[str]:
    """Providers as onnxruntime names them."""
    return [one if isinstance(one, str) else one[0] for one in resolve_providers(providers)]


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


def _check_classes(model: Model, score: str) -> None:
    scores = score_axes(model, score)
    if not scores.single or scores.axis != 0:
        raise InputError(
            f"compare and evaluate explain a class of an example, but the scores {scores.tensor!r} have shape "
            f"{scores.text} for one example, which axis {scores.axis} counts; name a tensor by score= (--score) whose "
            "axis 0 counts examples and whose axis 1 counts classes"
        )


def one_example(given: Prepared) -> Prepared:
    if given.batch.examples != 1:
        raise InputError(f"it holds {given.batch.examples} examples; give an array of many as DATA itself")
    return given


def map_of(found: Attribution) -> NDArray[np.floating]:
    """The map of the only example; of embedded tokens one number each."""
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


def vector(output: NDArray) -> NDArray[np.floating]:
    """The scores of the only example."""
    return finite(output[:1].reshape(-1).astype(np.float32), "the scores")


def finite(array: NDArray[np.floating], what: str) -> NDArray[np.floating]:
    if not np.isfinite(array).all():
        raise InputError(f"{what} holds NaN or infinity")
    return array
