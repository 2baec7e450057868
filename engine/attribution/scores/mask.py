"""The scores of a segmenter under a mask, summed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from typing import Any, ClassVar, Literal

import numpy as np
import onnx_ir as ir

from ...data.labels import Labels
from ...errors import InputError
from ...graph.builder import GraphBuilder
from ..score_axes import ScoreAxes
from .mask_places import channel_axis, mask_of
from .places import numbers_of, place_name, typed_place
from .selection import Score, Selected

__all__ = ["Mask"]

OUTSIDE, TOP = -1, -2  # of the target, which has the channel that is summed at each place


@dataclass(frozen=True, eq=False)
class Mask(Score):
    """The sum of one channel's scores over the places of a mask (Seg-Grad-CAM, Vinogradova et al., 2020,
    arXiv:2002.11434, equation 2).

    The scores of an example are (channels, height, width), (height, width, channels), or (height, width) alone; any
    other number of places' axes will do, too.

    Args:
        mask: True inside, in the size of the scores: an array, an .npy file, or a picture file that is black outside
            and of one colour inside; a list has one for each example. A mask of another size is an InputError.
        channel: Index of the channel, a list of one for each example, or "top1", the channel with the largest sum under
            the mask. None where there is one channel.
        channels: "first" or "last", the axis that counts channels, where the sizes fit both.

    Example:
        >>> import numpy as np, onnxray
        >>> from onnx import parser
        >>> net = parser.parse_model('<ir_version: 8, opset_import: ["": 18]>'
        ...     'net (float[N, 3, 2, 4] x) => (float[N, 3, 2, 4] y) { y = Mul(x, x) }')
        >>> left = np.array([[True, False, False, False]] * 2)
        >>> found = onnxray.explain(net, np.ones((1, 3, 2, 4), np.float32), target=onnxray.scores.Mask(left, 1))
        >>> found.target.tolist(), found.score.tolist()
        ([1], [2.0])
    """

    takes: ClassVar[str] = "the channel that is summed at each place, -1 outside of the mask, -2 for the top channel"

    mask: Any
    channel: Any = None
    channels: Literal["first", "last"] | None = None

    @property
    def kind(self) -> object:
        return type(self), self.channels, self._size

    def target(self, g: GraphBuilder, scores: ScoreAxes) -> ir.Value:
        axis, sizes = self._channel_axis(scores), list(scores.shape)
        return g.input("target", ir.DataType.INT64, ["rows", *(n for k, n in enumerate(sizes) if k != axis)])

    def emit(self, g: GraphBuilder, flat: ir.Value, target: ir.Value, scores: ScoreAxes) -> Selected:
        axis, said = self._channel_axis(scores), g.Reshape(target, [0, -1])
        count = g.constant([self._count(scores) or -1], ir.DataType.INT64)
        sizes = [count, g.Shape(said, start=1, end=2)]
        sizes = sizes if axis in (0, None) else sizes[::-1]
        maps = g.Reshape(flat, g.Concat(g.constant([0], ir.DataType.INT64), *sizes, axis=0))
        maps = maps if axis in (0, None) else g.Transpose(maps, perm=[0, 2, 1])  # (rows, channels, places)
        inside = g.Cast(g.Not(g.Equal(said, OUTSIDE)), to=ir.DataType.FLOAT)
        sums = g.MatMul(maps, g.Unsqueeze(inside, [2]))  # which takes a mask of as many places alone, unlike a Mul
        top = g.ArgMax(sums, axis=1, keepdims=0)
        channel = g.Where(g.Less(said, OUTSIDE), top, said)
        values = g.GatherElements(maps, g.Unsqueeze(g.Max(channel, 0), [1]), axis=1)
        value = g.ReduceSum(g.Mul(values, g.Unsqueeze(inside, [1])), [1, 2], keepdims=0)
        return Selected(value, g.Reshape(channel, g.Shape(target)))

    def resolve(self, rows: int, scores: ScoreAxes) -> np.ndarray:
        masks = self._masks
        if any(mask.shape != masks[0].shape for mask in masks) or len(masks) not in (1, rows):
            raise InputError(f"{len(masks)} masks for {rows} examples: give one, or one of the same size for each")
        self._channel_axis(scores)
        count = self._count(scores) or 0
        if isinstance(self.channel, int) and self.channel > 0 and self._channel_axis(scores) is None:
            raise InputError(
                f"the mask has the shape of all scores of an example, {scores.text}, so that no channel can be named: "
                "leave it out, or give a mask without the axis of channels"
            )
        if self.channel is None and count > 1:
            raise InputError(f"a mask on {count} channels: name one, 0 to {count - 1}, or 'top1'")
        channel = numbers_of(0 if self.channel is None else self.channel, rows, "channel", count)
        channel = np.where(channel < 0, TOP, channel).reshape(rows, *[1] * masks[0].ndim)
        return np.where(np.stack(masks), channel, OUTSIDE)

    def told(self, settled: np.ndarray, scores: ScoreAxes) -> np.ndarray:
        """The channel of each example, (N,)."""
        return settled.reshape(len(settled), -1).max(1)

    def length(self, g: GraphBuilder, target: ir.Value) -> ir.Value | float:
        inside = g.Cast(g.Not(g.Equal(g.Reshape(target, [0, -1]), OUTSIDE)), to=ir.DataType.FLOAT)
        return g.Sqrt(g.ReduceSum(inside, [1], keepdims=0))

    def typed(self, told: np.ndarray | None = None) -> str | None:
        channel = None if self.channel is None else typed_place(self.channel if told is None else told)
        if not isinstance(self.mask, str | PathLike) or self.channels or (self.channel is not None and channel is None):
            return None
        return f"mask:{os.fspath(self.mask)}" + (f":{channel}" if channel is not None else "")

    def words(self, told: np.ndarray, labels: Labels, scores: ScoreAxes) -> str:
        only = self.channel is None
        return "the scores under the mask" if only else f"channel {place_name(told, labels)} under the mask"

    def mask_of(self, example: int) -> np.ndarray | None:
        """The mask of an example, where it has height and width."""
        mask = self._masks[example % len(self._masks)]
        return mask if mask.ndim == 2 else None

    @cached_property
    def _masks(self) -> list[np.ndarray]:
        given = self.mask if isinstance(self.mask, list | tuple) else [self.mask]
        if not given or given[0] is None:
            raise InputError("no mask was given")
        return [mask_of(one) for one in given]

    def _channel_axis(self, scores: ScoreAxes) -> int | None:
        return channel_axis(scores, self._size, self.channels)

    @property
    def _size(self) -> tuple[int, ...] | None:
        """The size of the mask; None of the instance that stands for the kind."""
        return None if self.mask is None else self._masks[0].shape

    def _count(self, scores: ScoreAxes) -> int | None:
        """How many channels there are."""
        axis = self._channel_axis(scores)
        return 1 if axis is None else scores.shape[axis]
