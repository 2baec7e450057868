"""Where two models part: layer by layer, what matching layers compute and what they contribute to the score."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from ...errors import OnnxrayError
from ..metrics.agreement import METRICS
from ..model_under_test import ModelUnderTest
from .match import Matched, match_layers
from .recorder import LayerRecorder, open_layer_recorder

__all__ = ["KernelLoss", "LayerLoss", "LayerReport", "TensorLoss", "compare_layers"]

SAMPLES = 8
CLIPPING = ("Relu", "Clip")
LIMIT = 0.1  # of a layer's own loss: what a sound quantisation of one layer stays below
SHARE = 0.5  # of the largest own loss: what else counts as a break


@dataclass(frozen=True)
class LayerLoss:
    """A matched layer: relative L2 difference of its activations, what of it arises in the layer itself, that of its
    weights, and the cosine of the attributions (gradient times activation) at it; None where there is no such.
    ``node`` is the reference's, ``tensor`` its output, ``candidate`` that of the candidate's node."""

    layer: str
    node: str
    tensor: str
    candidate: str | None
    operator: str
    matched: str
    activation: float | None
    own: float | None
    weights: float | None
    attribution: float | None


@dataclass(frozen=True)
class TensorLoss:
    """A quantised tensor: the relative L2 difference between what goes into the quantisation and what comes out."""

    tensor: str
    layer: str
    kind: str
    loss: float


@dataclass(frozen=True)
class KernelLoss:
    """A quantised tensor that two sessions compute otherwise of the same input: the share of its values that differ by
    more than one step of its scale, and by how many steps at most; ``layer`` is the node that computes it."""

    layer: str
    operator: str
    tensor: str
    share: float
    steps: int


@dataclass(frozen=True)
class LayerReport:
    """Losses by layer, in the order of the graph, and by quantised tensor; ``breaks`` is the first layer at which
    evidence breaks, None where no layer loses much by itself. ``kernels``: of one model in two kinds of session, the
    layers whose kernels differ."""

    layers: tuple[LayerLoss, ...]
    tensors: tuple[TensorLoss, ...]
    breaks: str | None
    kernels: tuple[KernelLoss, ...] = ()

    @property
    def parted(self) -> str:
        """The first layer whose kernels differ, in one line; "" where none does."""
        if not self.kernels:
            return ""
        first, others = self.kernels[0], len(self.kernels) - 1
        more = f"; so do {others} more layers" if others else ""
        return (
            f"the sessions part at layer {first.layer} ({first.operator}): of the same input {first.share:.2%} of its "
            f"values differ, by up to {first.steps} quantisation steps{more}. Sums of 8-bit products saturate on x86 "
            "without VNNI ('onnxray doctor'): quantise with reduce_range=True or uint8 weights"
        )

    @property
    def matched(self) -> str:
        """How layers were matched: by name or by position."""
        return self.layers[0].matched if self.layers else "nothing"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def compare_layers(
    reference: ModelUnderTest, candidate: ModelUnderTest, inputs: Iterable[Any], of_class: bool = True
) -> LayerReport:
    """The losses of all layers of both models that match, over the first samples; ``of_class``: the attributions at
    them, too, which are those of a class."""
    matched = match_layers(reference.model, candidate.model)
    a = open_layer_recorder(reference, [one.reference for one in matched])
    b = open_layer_recorder(candidate, [one.candidate for one in matched if one.candidate])
    sums = _Sums()
    for load in islice(inputs, SAMPLES):
        try:
            given = reference.prepared(load())
            feeds = list(given.batch.feeds.values())
            names = [str(value.name) for value in candidate.model.inputs]
            target = int(reference.scores(given).argmax())
            other = candidate.prepared(dict(zip(names, feeds, strict=True)))
            sums.add(matched, a.run(given, target), b.run(other, target), of_class)
        except OnnxrayError:
            continue
    layers = _losses(matched, sums, _weight_losses(matched, a, b))
    return LayerReport(layers, _tensor_losses(matched, sums, a, b), first_break(layers))


def first_break(layers: Iterable[LayerLoss]) -> str | None:
    """The first layer whose own loss, of activations or of weights, is large both as such and among the layers."""
    sizes = [(one.layer, max(one.own or 0.0, one.weights or 0.0)) for one in layers]
    largest = max((size for _, size in sizes), default=0.0)
    return next((name for name, size in sizes if size >= max(LIMIT, SHARE * largest)), None)


class _Sums:
    """Sums over the samples: losses by matched layer and by quantised tensor."""

    def __init__(self) -> None:
        self.activation: dict[str, list[float]] = {}
        self.attribution: dict[str, list[float]] = {}
        self.quantised: dict[str, list[float]] = {}

    def add(self, matched: Iterable[Matched], a: Mapping[str, Any], b: Mapping[str, Any], of_class: bool) -> None:
        for one in matched:
            if one.candidate is None:
                continue
            x, y = a["values"][one.reference], b["values"][one.candidate]
            if x.shape != y.shape:
                continue
            self.activation.setdefault(one.reference, []).append(METRICS["relative-l2"](x, y))
            if of_class and one.reference in a["gradients"] and one.candidate in b["gradients"]:
                dx, dy = a["gradients"][one.reference], b["gradients"][one.candidate]
                self.attribution.setdefault(one.reference, []).append(METRICS["cosine"](x * dx, y * dy))
        fused = {
            one.candidate: a["values"][one.reference] for one in matched if one.candidate and one.operator in CLIPPING
        }
        for name, (before, after) in b["quantised"].items():
            if name in fused:  # the quantisation clips what the activation would have
                before = np.clip(before, fused[name].min(), fused[name].max())
            self.quantised.setdefault(name, []).append(METRICS["relative-l2"](before, after))


def _losses(matched: Iterable[Matched], sums: _Sums, weights: Mapping[str, float]) -> tuple[LayerLoss, ...]:
    errors = {name: float(np.mean(held)) for name, held in sums.activation.items()}
    found = []
    for one in matched:
        error, held = errors.get(one.reference), sums.attribution.get(one.reference)
        own = None if error is None else max(0.0, error - _arrived(one.reference, matched, errors))
        found.append(
            LayerLoss(
                one.layer, one.node, one.reference, one.candidate, one.operator, one.how, error, own,
                weights.get(one.reference), None if held is None else float(np.mean(held)),
            )
        )  # fmt: skip
    return tuple(found)


def _arrived(name: str, matched: Iterable[Matched], errors: Mapping[str, float]) -> float:
    """The largest error among the nearest layers before one whose error is known."""
    before = {one.reference: one.before for one in matched}
    found, seen, waiting = 0.0, set(), list(before.get(name, ()))
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        if one in errors:
            found = max(found, errors[one])
        else:
            waiting.extend(before.get(one, ()))
    return found


def _weight_losses(matched: Iterable[Matched], a: LayerRecorder, b: LayerRecorder) -> dict[str, float]:
    """The largest loss of a layer's weights."""
    found = {}
    for one in matched:
        sizes = [METRICS["relative-l2"](x, y) for _, x, y in _constants(one, a, b)]
        if sizes:
            found[one.reference] = max(sizes)
    return found


def _constants(one: Matched, a: LayerRecorder, b: LayerRecorder) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """The weights of a layer on both sides, where they have one shape, by the candidate's name."""
    for name, other in one.weights:
        x, y = a.constants.get(name), b.constants.get(other)
        if x is not None and y is not None and x.shape == y.shape:
            yield other, x, y


def _tensor_losses(
    matched: Iterable[Matched], sums: _Sums, a: LayerRecorder, b: LayerRecorder
) -> tuple[TensorLoss, ...]:
    found = []
    for one in matched:
        for name, before, after in _constants(one, a, b):
            if name in b.quantised_constants:
                found.append(TensorLoss(name, one.layer, "weights", METRICS["relative-l2"](before, after)))
    layers = {one.candidate: one.layer for one in matched if one.candidate}
    found += [
        TensorLoss(name, layers.get(name, name), "activation", float(np.mean(values)))
        for name, values in sums.quantised.items()
    ]
    return tuple(sorted(found, key=lambda one: -one.loss))
