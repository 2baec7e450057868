"""Method: the frozen settings of an attribution method, and the nodes that it emits.

A method works row by row: a row is one example at one *point*. Plain methods have one point, the input itself. Others
average over many (the path of integrated gradients, the noise of SmoothGrad, the windows of occlusion): ``points``
lists what differs between them, ``perturb`` says what the model sees at a point, ``emit`` what the point contributes,
and the attribution is the sum of the contributions. Point 0 is always the input itself and contributes nothing, so
that the first run settles target and score. Cutting rows to memory is not a method's business.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal

import numpy as np
import onnx_ir as ir

from ..autodiff.backward import Activation, Backward, Builder, backward, connected
from ..autodiff.float32_shadow import Float32Shadow
from ..autodiff.relu_policies import overlay_named
from ..errors import InputError
from ..graph.builder import GraphBuilder
from ..graph.model import Model

__all__ = ["EmitContext", "Explained", "Method", "Reduction", "broadcast_rows"]

Reduction = Literal["norm", "sum", "mean"]


@dataclass(frozen=True)
class Explained:
    """One explained input: its name, shape of one example, and the axes of batch and channels.

    ``batch`` is None for an input without a batch axis; ``channels`` counts in the example's own axes. ``tokens`` is
    the integer input behind embeddings, which are explained in its place; ``tensor`` what is explained where that is
    not the input of this name itself.
    """

    name: str
    shape: tuple[int | None, ...]
    batch: int | None
    channels: int | None
    tokens: str | None = None
    tensor: str | None = None


@dataclass(frozen=True)
class EmitContext:
    """The forward pass, as a method sees it when it emits its nodes.

    ``score`` is the model's own; ``differentiable_score`` is that of its float32 shadow
    graph (the same for a float32 model); only the latter may be differentiated.
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
    builder: Builder = backward
    shadow: Float32Shadow = field(default_factory=Float32Shadow)

    def backward(self, wrt: Sequence[ir.Value], relu: str = "exact") -> Backward:
        """The reverse pass from every row's score."""
        ones = self.g.expand_like(self.g.constant(1, ir.DataType.FLOAT), self.differentiable_score)
        return self.builder(self.g, {self.differentiable_score: ones}, wrt, overlay_named(relu))

    def gradients(self, relu: str = "exact") -> tuple[list[ir.Value], tuple[Activation, ...]]:
        """The gradients of the scores with respect to what the model sees, in the order of the inputs."""
        found = self.backward(list(self.perturbed_inputs.values()), relu)
        return [connected(found, x, [self.score], name) for name, x in self.perturbed_inputs.items()], found.activations


@dataclass(frozen=True)
class Method(ABC):
    """Base of the attribution methods; the fields of a subclass are its options.

    ``reduction``: the L2 norm of a gradient, whose signed sum says nothing (behind a LayerNorm it is zero); the sum of
    contributions to the score; the mean where every value of an embedding is the contribution of the whole token.
    """

    name: ClassVar[str]
    relu_policy: ClassVar[str] = "exact"
    has_layer: ClassVar[bool] = False  # explains a layer, by maps of its own size
    reduction: ClassVar[Reduction] = "sum"  # an embedding's values as one number for its token

    differentiates: ClassVar[bool] = True
    blank: ClassVar[str] = (
        "the score does not change with the input near it: Relus that are off, saturated activations or operators that "
        "round block every path; occlusion needs no gradient"
    )  # why a map is zero everywhere, where nothing else explains it

    @abstractmethod
    def emit(self, context: EmitContext) -> tuple[Sequence[ir.Value], tuple[Activation, ...]]:
        """Each row's contribution, one value per input, and the activations that were met."""

    def points(self, explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
        """What differs between points: float32 arrays whose first axis counts them. None: one point."""
        return {}

    def perturb(self, g: GraphBuilder, x: ir.Value, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
        """The input of the model at a point."""
        return x

    def delta(self, total: np.ndarray, scores: np.ndarray) -> np.ndarray | None:
        """How far the attributions' totals (N,) miss completeness, from the scores (N, points); None: not defined."""
        return None

    def relaxed(self) -> list[tuple[Method, str]]:
        """Methods with less between gradient and map, and why this one is zero where the other is not."""
        return []

    @classmethod
    def configured(cls, options: Mapping[str, Any]) -> Method:
        """The method with these options; an unknown one is an InputError that lists those there are."""
        known = [field.name for field in fields(cls)]
        for option in options:
            if option not in known:
                raise InputError(f"method {cls.name!r} has no option {option!r}; it has: {', '.join(known) or 'none'}")
        return cls(**options)


def broadcast_rows(g: GraphBuilder, rows: ir.Value, x: ir.Value, about: Explained) -> ir.Value:
    """One number per row, shaped so that it multiplies x."""
    shape = [-1 if axis == (about.batch or 0) else 1 for axis in range(g.rank(x))]
    return g.Reshape(rows, g.constant(shape, ir.DataType.INT64))
