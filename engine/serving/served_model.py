"""A model as it is served: its methods, labels and memory, and what it gives for a batch of one or several requests."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from typing import Any

import numpy as np

from ..attribution.axes import batch_axis, fixed_batch, is_mixed, score_axes
from ..attribution.box_classes import known_labels
from ..attribution.inputs import InputReader
from ..attribution.memory import parse_memory
from ..attribution.result import Attribution
from ..attribution.score_axes import ScoreAxes
from ..attribution.scores import Score
from ..attribution.text_inputs import TextEncoder
from ..data.batch import Prepared
from ..data.labels import Labels
from ..data.preprocess import Preprocess
from ..errors import InputError, NoGradientPath, UnsupportedOperator
from ..explainer import Explainer
from ..gate.explainers import SharedMemory
from ..gate.layers.cam_layer import usable_methods
from ..gate.model_under_test import DEFAULT_METHODS, ModelUnderTest, model_under_test
from ..graph.metadata import FEATURES, entry
from ..graph.model import Model, Source, is_float
from ..graph.weights import read_all
from ..loading.load import load
from ..runtime import Provider
from .batcher import Stopped
from .request_refusal import Wording

__all__ = ["ServedModel", "served_model"]

Stop = Callable[[], bool]


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model under a name; made by ``served_model``. One thread at a time runs it."""

    name: str
    side: ModelUnderTest
    labels: Labels
    memory: SharedMemory
    reader: InputReader
    encoder: TextEncoder | None = None
    singles: set[str] = field(default_factory=set)  # outputs that do not count rows, once a run told

    @property
    def model(self) -> Model:
        return self.side.model

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods by name, the one that a request gets which names none first."""
        return tuple(self.side.explainers)

    @cached_property
    def scores(self) -> ScoreAxes:
        """The axes of the scores, as far as they are known before the model runs."""
        return score_axes(self.model, self.side.score)

    @cached_property
    def wording(self) -> Wording:
        return Wording(self.model)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The names of a table's columns, where the model carries them."""
        return tuple(entry(self.model.metadata, FEATURES) or ())

    @cached_property
    def takes_pictures(self) -> bool:
        """Whether its only input is of pictures."""
        (first, *others) = self.model.inputs
        dims = [] if first.shape is None else list(first.shape)
        return (
            not others
            and len(dims) == 4
            and is_float(first)
            and bool({1, 3} & {dims[1], dims[3]} or self.side.preprocess)
        )

    @cached_property
    def joins(self) -> bool:
        """Whether rows of several requests may be run together: all inputs count rows on their first axis."""
        first = all(batch_axis(self.model, value) == 0 for value in self.model.inputs)
        known = self.scores.known and self.scores.count is not None and not self.scores.whole
        mixed = is_mixed(self.model) or any("Dynamic" in node.op_type for node in self.model.graph)  # quantisation
        return first and known and fixed_batch(self.model) is None and not mixed

    @cached_property
    def one_by_one(self) -> Mapping[str, bool]:
        """Of each method whether the map of an example is the same whatever is explained with it."""
        return {name: explainer.method.one_by_one for name, explainer in self.side.explainers.items()}

    def explainer(self, method: str) -> Explainer:
        """The explainer of a method, opened where it is not; others are closed where memory is short."""
        if method not in self.side.explainers.opened or self.memory.held > self.memory.total:
            self.memory.make_room()
        found = self.side.explainers[method]
        self.memory.divide()
        return found

    def explain(self, given: Prepared, method: str, score: Score, stop: Stop) -> Attribution:
        """The maps of a batch. Raises Stopped between two runs where nobody waits for them any more."""

        def check(done: int, rows: int) -> None:
            if stop():
                raise Stopped

        return self.explainer(method)(given, score, progress=check)

    def predict(self, given: Prepared) -> Mapping[str, np.ndarray]:
        """The model's outputs for a batch, by name."""
        session, _ = self.side.passes.plain
        names = [str(value.name) for value in self.model.outputs]
        batch = given.batch
        size = batch.fixed or (batch.examples if not self.joins else self._rows)
        if batch.examples <= size and batch.fixed in (None, batch.examples):
            return session.run(batch.feeds, names)
        parts = []
        for start in range(0, batch.examples, size):
            rows = np.arange(start, min(start + size, batch.examples))
            filled = batch.fill(rows)
            found = session.run(batch.take(filled), names)
            if apart := [name for name, array in found.items() if not array.ndim or len(array) != len(filled)]:
                raise InputError(f"output {apart[0]!r} has no row for each instance; send {size} in a request")
            parts.append({name: array[: len(rows)] for name, array in found.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

    @property
    def _rows(self) -> int:
        """Rows of one run of the model that its memory holds."""
        return max(1, (self.memory.total - self.memory.held) // max(1, self.side.passes.row_bytes))


def served_model(
    model: Source,
    name: str,
    methods: Sequence[str] = (),
    *,
    score: str = "logit",
    layer: str | None = None,
    labels: Labels | None = None,
    preprocess: Preprocess | str | None = None,
    tokenizer: str | PathLike[str] | None = None,
    providers: Sequence[Provider] | Provider | None = None,
    threads: int | None = None,
    memory: str | int = "1GB",
    options: Mapping[str, Any] | None = None,
) -> ServedModel:
    """A model with its explainers open.

    Args:
        model: As for ``Explainer``, as are ``score``, ``preprocess``, ``providers`` and ``threads``.
        name: What requests call it.
        methods: Those that requests may name; by default those of ``compare`` that the model can be explained by.
        layer: That of the methods that have one.
        labels: Class names by index; by default those of the model's metadata.
        tokenizer: The file tokenizer.json of a model of texts.
        memory: What its sessions and one run may take beside the weights.
        options: Options of methods, for each method that has them.

    Raises:
        InputError: An unknown method or option, or labels that do not fit.
        OnnxrayError: What an ``Explainer`` raises of a method that is named.
    """
    source = load(model)
    read_all(source.program)  # explainers are closed and opened again as long as the service runs
    read = InputReader(source, preprocess)
    chosen = tuple(methods) or usable_methods(source, DEFAULT_METHODS, layer)
    side = model_under_test(
        source, chosen, score=score, layer=layer, preprocess=read.named, providers=providers, threads=threads,
        memory=memory, options=options or {},
    )  # fmt: skip
    side = _opened(side, named=bool(methods))
    shared = SharedMemory(parse_memory(memory), [side])
    encoder = None if tokenizer is None else TextEncoder(source, tokenizer)
    made = ServedModel(name, side, known_labels(source, score, labels), shared, read, encoder)
    _ = made.one_by_one  # while all explainers are open
    return made


def _opened(side: ModelUnderTest, named: bool) -> ModelUnderTest:
    """The side with open explainers; of methods that nobody named, those that can explain the model."""
    usable = []
    for method in side.explainers:
        try:
            side.explainers[method]
        except (NoGradientPath, UnsupportedOperator) as error:
            if named:
                raise
            warnings.warn(f"{method} is left out: {error}", UserWarning, stacklevel=3)
        else:
            usable.append(method)
    if not usable:
        raise InputError("none of the default methods can explain the model; name one by methods=, such as tree-shap")
    return side.of_methods(usable)
