"""Which attribution has which colour: the palette, the value where its colours end, and how much lies beyond."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .heatmap import DIVERGING, Map, scale_end

__all__ = ["SCALES", "ColourScale", "colour_scale"]

SCALES = ("each", "shared")  # a scale for each map, or one for all maps that are compared


@dataclass(frozen=True)
class ColourScale:
    """The colours of one or several maps.

    Args:
        palette: Name of the colours.
        end: The absolute value that has the last colour; what is larger has it, too.
        beyond: How many elements are larger.
        elements: How many there are, in all maps of the scale.
        start: The value that has the first colour, or the middle one of a diverging palette.
    """

    palette: str
    end: float
    beyond: int
    elements: int
    start: float = 0.0

    def __call__(self, heat: NDArray) -> Map:
        """A map as shares of the way from start to end: -1 to 1 for a diverging palette, else 0 to 1."""
        shares = (np.asarray(heat, np.float64) - self.start) / (self.end - self.start)
        return np.clip(shares, -1 if self.signed else 0, 1).astype(np.float32)

    @property
    def signed(self) -> bool:
        """Whether values below zero have colours of their own."""
        return self.palette in DIVERGING

    @property
    def clipping(self) -> str:
        """What is clipped, and where the colours begin if not at zero, in words; empty where there is neither."""
        beyond = f"{self.beyond} of {self.elements} elements lie beyond" * bool(self.beyond)
        if self.start:
            return f"colours from the map's least value {self.start:.3g} to {self.end:.3g}" + (beyond and f", {beyond}")
        return beyond and f"colours end at {self.end:.3g}, {beyond}"


def colour_scale(
    heats: Sequence[NDArray],
    palette: str | None = None,
    percentile: float | None = 99.5,
    *,
    plain: str = "hot",
    from_least: bool = False,
) -> ColourScale:
    """The colours of maps: without a palette blue and red where one has values below zero, else those of ``plain``.

    The end is that percentile of the absolute values of all, as in ``heatmap.scale_end``. ``from_least``: the colours
    begin at the least value, as a part of the maps is the same everywhere.
    """
    if not all(np.isfinite(heat).all() for heat in heats):
        raise InputError(
            "the map holds NaN or infinite values; look at the model's output and the attribution's values"
        )
    every = np.concatenate([np.asarray(heat, np.float64).ravel() for heat in heats])
    start = float(every.min()) if from_least else 0.0
    sizes = np.abs(every - start)
    chosen = palette or ("bwr" if (every < start).any() else plain)
    span = scale_end(sizes, percentile)
    return ColourScale(chosen, start + span, int((sizes > span * (1 + 1e-9)).sum()), every.size, start)
