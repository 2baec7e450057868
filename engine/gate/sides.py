"""One side of a comparison: a model with what it needs to say, of an input, its scores and its evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from PIL import Image

from ..catalogue import method_options
from ..errors import InputError
from ..explain import Explainer
from ..inputs import Prepared, prepare
from ..model import Model, Source, load
from ..preprocess import Preprocess
from ..runtime import Provider, Session, open_session
from ..target import score_tensor

__all__ = ["DEFAULT_METHODS", "Evidence", "Side", "check_pair", "one_example", "open_side"]

DEFAULT_METHODS = ("saliency", "input-x-gradient", "integrated-gradients", "grad-cam")


@dataclass(frozen=True)
class Evidence:
    """What a side says of one input: all its scores, the class that is explained, and a map for each method."""

    scores: NDArray[np.floating]
    target: int
    score: float
    maps: Mapping[str, NDArray[np.floating]]


@dataclass(frozen=True, eq=False)
class Side:
    """A model, its explainers by method, and how pictures become its input."""

    model: Model
    explainers: Mapping[str, Explainer]
    score: str = "logit"
    recipe: Preprocess | None = None
    providers: Sequence[Provider] | Provider | None = None
    threads: int | None = None

    @property
    def name(self) -> str:
        return str(self.model.path or self.model.graph.name or "model")

    @cached_property
    def digest(self) -> str:
        """The sha256 of the model as it is run."""
        return hashlib.sha256(self.model.proto().SerializeToString(deterministic=True)).hexdigest()

    @cached_property
    def forward(self) -> tuple[Session, str]:
        """The model as it is, and the name of its scores."""
        program, y = self.model.copy(), str(score_tensor(self.model, self.score).name)
        if y not in [value.name for value in program.outputs]:
            program.graph.outputs.append(ir.convenience.create_value_mapping(program.graph)[y])
        return open_session(program.proto(embed=False), self.providers, self.threads, self.model.folder), y

    def prepared(self, given: Any) -> Prepared:
        """The arrays of one example."""
        return one_example(prepare(self.model, given, self.recipe))

    def scores(self, given: Prepared) -> NDArray[np.floating]:
        """All scores of an example, as a vector."""
        session, y = self.forward
        found = session.run(given.batch.take(given.batch.fill(np.arange(1))), [y])[y]
        return finite(found[:1].reshape(-1).astype(np.float32), "the scores")

    def evidence(self, given: Prepared, target: int | None = None) -> Evidence:
        """Scores and maps; of the top class unless one is given."""
        scores = self.scores(given)
        chosen = int(scores.argmax()) if target is None else target
        found = {name: explainer(dict(given.batch.feeds), chosen) for name, explainer in self.explainers.items()}
        maps = {name: finite(flat_map(one.values), f"the map of {name}") for name, one in found.items()}
        score = next((float(one.score[0]) for one in found.values()), float(scores[chosen]))
        return Evidence(scores, chosen, score, maps)

    def evidence_named(self, name: str, given: Prepared, target: int | None = None) -> Evidence:
        """The evidence of the sample of a name, which a model does not need; a golden file does."""
        return self.evidence(given, target)

    def with_model(self, model: Model) -> Side:
        """The same questions to another model."""
        return replace(self, model=model, explainers=self._rebuilt(model, self.threads))

    def with_threads(self, threads: int) -> Side:
        """The same model on another number of threads."""
        return replace(self, threads=threads, explainers=self._rebuilt(self.model, threads))

    def _rebuilt(self, model: Model, threads: int | None) -> dict[str, Explainer]:
        return {
            name: Explainer(
                model, one.method, score=self.score, providers=one.providers, threads=threads, memory=one.memory
            )
            for name, one in self.explainers.items()
        }


def open_side(
    model: Source,
    methods: Sequence[str],
    *,
    score: str = "logit",
    layer: str | None = None,
    preprocess: Preprocess | None = None,
    providers: Sequence[Provider] | Provider | None = None,
    threads: int | None = None,
    memory: str | int = "1GB",
    **options: Any,
) -> Side:
    """A side with an explainer for each method; options go to those methods that have them."""
    source, having = load(model), method_options()
    if unknown := [name for name in options if not any(m in methods for m, _ in having.get(name, []))]:
        raise InputError(f"no method of {', '.join(methods)} has an option {unknown[0]!r}")
    explainers = {}
    for name in methods:
        own = {key: value for key, value in options.items() if name in [m for m, _ in having[key]]}
        if layer is not None and name in [m for m, _ in having["layer"]]:
            own["layer"] = layer
        explainers[name] = Explainer(
            source, name, score=score, providers=providers, threads=threads, memory=memory, **own
        )
    recipe = preprocess or Preprocess.from_metadata(source.metadata)
    return Side(source, explainers, score, recipe, providers, threads)


def check_pair(reference: Model, candidate: Model, score: str = "logit") -> None:
    """Whether two models take the same inputs and give as many scores; else an InputError of one line."""
    a, b = ([_dims(value) for value in model.inputs] for model in (reference, candidate))
    if len(a) != len(b) or not all(map(_alike, a, b)):
        raise InputError(f"the models take different inputs: {_text(a)} and {_text(b)}; compare models of one input")
    m, n = (_dims(score_tensor(model, score)) for model in (reference, candidate))
    if not _alike(m, n):
        raise InputError(
            f"the models give different scores: {_text([m])} and {_text([n])}; compare models of the same classes"
        )


def one_example(given: Prepared) -> Prepared:
    if given.batch.examples != 1:
        raise InputError(f"it holds {given.batch.examples} examples; give an array of many as DATA itself")
    return given


def flat_map(values: Any) -> NDArray[np.floating]:
    """The values of the only example; those of several inputs as one vector."""
    if isinstance(values, Mapping):
        return np.concatenate([np.asarray(one).ravel() for one in values.values()])
    return np.asarray(values)[0]


def finite(array: NDArray[np.floating], what: str) -> NDArray[np.floating]:
    if not np.isfinite(array).all():
        raise InputError(f"{what} holds NaN or infinity")
    return array


def picture_of(given: Prepared) -> Image.Image | None:
    """What the model saw, if it was a picture."""
    return given.pictures[0] if given.pictures else None


def _dims(value: ir.Value) -> list[int | None] | None:
    """The sizes of one example; None where they are open."""
    return None if value.shape is None else [d if isinstance(d, int) else None for d in list(value.shape)[1:]]


def _alike(a: list[int | None] | None, b: list[int | None] | None) -> bool:
    if a is None or b is None:
        return True
    return len(a) == len(b) and all(m == n or None in (m, n) for m, n in zip(a, b, strict=True))


def _text(shapes: Sequence[list[int | None] | None]) -> str:
    return ", ".join("(?)" if s is None else f"({', '.join('?' if d is None else str(d) for d in s)})" for s in shapes)
