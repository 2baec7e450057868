"""Channels of a layer looked at one by one: the points of Ablation-CAM and Score-CAM, and their base."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ..errors import InputError, ModelError
from ..graph.builder import GraphBuilder
from ..graph.model import Layer, Model, is_float
from .base import EmitContext, Emitted, Method
from .cam_default import THROUGH, default_layer
from .cam_layers import channel_axis
from .cam_merged import settled
from .explained import Explained
from .grad_cam import folded
from .option_help import LAYER, RELU
from .repeated import Rows
from .samplers import Sampler
from .zero_maps import ONE_PLACE, RECTIFIED

__all__ = ["TINY", "Channel", "ChannelMethod"]

CHANNEL = "channel/"
TINY = 1e-30


@dataclass(frozen=True)
class Channels(Sampler):
    """The channels of a layer, by their numbers; -1, at point 0, is none. The array is named after the tensor."""

    tensor: str
    count: int

    def points(self, explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
        return {f"{CHANNEL}{self.tensor}": np.arange(-1, self.count, dtype=np.float32)}

    def perturb(self, g: GraphBuilder, x: ir.Value, about: Explained, points: Mapping[str, ir.Value]) -> ir.Value:
        return x


@dataclass(frozen=True)
class Channel:
    """The channel of a row: its feature map (rows, *places), and the layer with 1 in that channel and 0 elsewhere.

    At point 0 both are zero. ``value`` is the layer's tensor in the model itself, not in a float32 shadow; it has the
    examples of a run, which ``rows`` repeats.
    """

    value: ir.Value
    own: ir.Value
    chosen: ir.Value
    rows: Rows


@dataclass(frozen=True)
class ChannelMethod(Method):
    """Base of the class activation maps whose weights are scores of further runs of the model, one for each channel."""

    has_layer: ClassVar[bool] = True
    layer_sized: ClassVar[bool] = True
    uniform: ClassVar[str] = ONE_PLACE
    differentiates: ClassVar[bool] = False
    layer: str | None = field(default=None, metadata=LAYER)
    relu: bool = field(default=True, metadata=RELU)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layer", settled(self.layer))
        if not isinstance(self.layer, str | None):
            raise InputError(f"{self.name} explains one layer; layer={self.layer!r} are several")

    @property
    def many(self) -> bool:
        return True

    @abstractmethod
    def start(self, context: EmitContext, layer: ir.Value) -> ir.Value:
        """The tensor of the model that differs from row to row."""

    @abstractmethod
    def emit_channel(self, context: EmitContext, channel: Channel) -> Mapping[str, ir.Value]:
        """The totals of the channel of a row."""

    def samplers_in(self, model: Model, of: ir.Value, wrt: Sequence[ir.Value]) -> Sequence[Sampler]:
        layer = model.layer(self.layer) if self.layer else self._default(model, of, wrt)
        value = model.value(layer.tensor)
        axis = channel_axis(self.name, model, layer, value)
        count = (value.shape or ())[axis]
        if not isinstance(count, int) or not is_float(value):
            raise ModelError(f"{self.name} needs a layer of floats with a known number of channels, not {layer.name!r}")
        return (Channels(layer.tensor, count),)

    def _default(self, model: Model, of: ir.Value, wrt: Sequence[ir.Value]) -> Layer:
        """The layer that other methods take, too; of a model without a gradient the one that it would be with one."""
        try:
            return default_layer(self.name, model, of, wrt)
        except ModelError:
            return default_layer(self.name, model, of, wrt, THROUGH)

    def emit(self, context: EmitContext) -> Emitted:
        g = context.g
        ((point, number),) = ((name, one) for name, one in context.points.items() if name.startswith(CHANNEL))
        tensor = point.removeprefix(CHANNEL)
        value = context.model.value(tensor)
        axis = channel_axis(self.name, context.model, Layer(tensor, tensor), value)
        rows = Rows.of(context, number, self.start(context, value))
        each = rows(value)
        maps = folded(g, g.as_float32(each), axis)
        rank = g.rank(value)
        own = g.ReduceSum(g.Mul(maps.maps, _one_hot(g, number, maps.maps, maps.channels)), [maps.channels], keepdims=0)
        channel = Channel(value, own, g.CastLike(_one_hot(g, number, value, axis % rank), value), rows)
        layer = value.producer()
        totals, name = self.emit_channel(context, channel), self.layer or (layer.name if layer else "") or tensor
        return Emitted(totals, layer=name, shares_examples=rows.shared)

    def rectified(self, g: GraphBuilder, cam: ir.Value) -> ir.Value:
        return g.Relu(cam) if self.relu else cam

    def relaxed(self) -> list[tuple[Method, str]]:
        return [(replace(self, relu=False), RECTIFIED)] if self.relu else []


def _one_hot(g: GraphBuilder, number: ir.Value, x: ir.Value, axis: int) -> ir.Value:
    """1 where the channel of x, on this axis, is that of the row, else 0; it broadcasts over x."""
    rank, count = g.rank(x), g.dim(x, axis)
    if not isinstance(count, int):
        raise ModelError(f"the number of channels of {x.name!r} is not known before the model runs")
    every = np.arange(count).reshape([-1 if k == axis else 1 for k in range(rank)])
    rows = g.Reshape(number, [-1, *[1] * (rank - 1)])
    return g.Cast(g.Equal(rows, g.constant(every, ir.DataType.FLOAT)), to=ir.DataType.FLOAT)
