"""Occlusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from ..errors import InputError
from .base import EmitContext, Emitted, Method, Reduction
from .baseline import Baseline
from .explained import broadcast_rows
from .option_help import BASELINE
from .samplers import Sampler
from .windows import Extent, Windows, weights_of

__all__ = ["Extent", "Occlusion"]


@dataclass(frozen=True)
class Occlusion(Method):
    """Fall of the score when a window of the input is covered by a baseline (Zeiler and Fergus, 2013, arXiv:1311.2901).

    ``window`` and ``stride`` are a number for every axis but the channels (which are covered whole), or one for
    each of these axes as in (16, 16), or one per axis of an example with the channels; by default a seventh of each
    axis (of a vector 1), moved by half. An element has the mean over the windows that cover it, or with
    overlap="sum" the sum. The last window may reach over the end, as in Captum. Of several inputs each is covered
    in turn, while the others stay. ``baseline`` as for integrated gradients.
    """

    name: ClassVar[str] = "occlusion"
    reduction: ClassVar[Reduction] = "mean"
    differentiates: ClassVar[bool] = False
    uniform: ClassVar[str] = "each window covers all of it: no place is told from another; choose a smaller window="
    blank: ClassVar[str] = "covering a window never changes the score; choose a larger window= or another baseline="
    window: Extent = field(
        default=None,
        metadata={"help": "size of the window, a number or one per axis as in 16,16 or 3,16,16 (channels)"},
    )
    stride: Extent = field(default=None, metadata={"help": "step of the window, a number or one per axis"})
    baseline: Baseline = field(default=0.0, metadata=BASELINE)
    overlap: Literal["mean", "sum"] = field(
        default="mean", metadata={"help": "mean or sum over the windows that cover an element"}
    )

    def __post_init__(self) -> None:
        if self.overlap not in ("mean", "sum"):
            raise InputError(f"overlap {self.overlap!r}: choose 'mean' or 'sum'")

    def samplers(self) -> Sequence[Sampler]:
        return (Windows(self.window, self.stride, self.baseline, self.overlap),)

    def emit(self, context: EmitContext) -> Emitted:
        g, fall = context.g, context.g.Sub(context.reference, context.score)
        falls = {}
        for name, x in context.inputs.items():
            about = context.explained[name]
            covered = weights_of(g, about, context.points)
            falls[name] = g.shaped_like(g.Mul(broadcast_rows(g, fall, x, about), covered), x)
        return Emitted(falls)
