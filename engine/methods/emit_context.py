"""The forward pass, as a method sees it when it emits its nodes, and what it has emitted for one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from ..autodiff.backward import Activation, Backward, Builder, backward, connected
from ..autodiff.float32_shadow import Float32Shadow
from ..autodiff.overlays import EXACT, Rules, laid_over, overlay_of, warn_of_unmet
from ..autodiff.registry import Overlay
from ..graph.builder import GraphBuilder
from ..graph.model import Model
from .explained import Explained

__all__ = ["EmitContext", "Emitted"]


@dataclass(frozen=True)
class EmitContext:
    """The forward pass, as a method sees it when it emits its nodes.

    ``inputs`` are what gets the credit, ``perturbed_inputs`` what the model sees at a point. ``score`` is the model's
    own; ``differentiable_score`` is that of its float32 shadow graph (the same for a float32 model); only the latter
    may be differentiated. ``reference`` is the score at point 0. ``settled`` is the target that selects the score
    again. ``rules`` are a user's, laid over the method's own.
    """

    g: GraphBuilder
    model: Model
    inputs: Mapping[str, ir.Value]
    perturbed_inputs: Mapping[str, ir.Value]
    score: ir.Value
    differentiable_score: ir.Value
    points: Mapping[str, ir.Value]
    reference: ir.Value
    explained: Mapping[str, Explained]
    settled: ir.Value
    builder: Builder = backward
    shadow: Float32Shadow = field(default_factory=Float32Shadow)
    rules: Overlay = EXACT

    def backward(self, wrt: Sequence[ir.Value], relu: Rules = "exact", seed: float = 1.0) -> Backward:
        """The reverse pass from every row's score times ``seed``."""
        seeds = self.g.expand_like(self.g.constant(seed, ir.DataType.FLOAT), self.differentiable_score)
        overlay = laid_over(self.rules, overlay_of(relu))
        warn_of_unmet(self.g.graph, self.rules, [self.differentiable_score], wrt)
        return self.builder(self.g, {self.differentiable_score: seeds}, wrt, overlay)

    def gradients(self, relu: Rules = "exact", seed: float = 1.0) -> tuple[dict[str, ir.Value], tuple[Activation, ...]]:
        """The gradients of the scores with respect to what the model sees, by input, and the activations on the way."""
        found = self.backward(list(self.perturbed_inputs.values()), relu, seed)
        every = self.perturbed_inputs.items()
        return {name: connected(found, x, [self.score], name) for name, x in every}, found.activations


@dataclass(frozen=True)
class Emitted:
    """The result of one row: ``totals``, which are added up over the rows of an example, and activations on the way.

    The total of an input, by its name, is in the input's shape, or a layer's map. ``finish`` reads totals of other
    names, too. ``change`` (rows,) is what the attributions of a complete method of one point should add up to.
    ``layer`` is the name of the layer that the method looks at. ``input_sized``: the totals have the input's shape,
    though maps of the method usually have that of a layer. ``shares_examples``: a run takes the inputs of its examples
    once, and its points of each turn of these, so that the score that the graph gives is one of each example.
    """

    totals: Mapping[str, ir.Value]
    activations: tuple[Activation, ...] = ()
    change: ir.Value | None = None
    layer: str | None = None
    input_sized: bool = False
    shares_examples: bool = False
