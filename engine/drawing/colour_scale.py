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
    """

    palette: str
    end: float
    beyond: int
    elements: int

    def __call__(self, heat: NDArray) -> Map:
        """A map as shares of the end: -1 to 1 for a diverging palette, else 0 to 1."""
        return np.clip(np.asarray(heat, np.float64) / self.end, -1 if self.signed else 0, 1).astype(np.float32)

    @property
    def signed(self) -> bool:
        """Whether values below zero have colours of their own."""
        return self.palette in DIVERGING

    @property
    def clipping(self) -> str:
        """What is clipped, in words; empty where nothing is."""
        return f"colours end at {self.end:.3g}, {self.beyond} of {self.elements} elements lie beyond" * bool(
            self.beyond
        )


def colour_scale(
    heats: Sequence[NDArray], palette: str | None = None, percentile: float | None = 99.5, *, plain: str = "hot"
) -> ColourScale:
    """The colours of maps: without a palette blue and red where one has values below zero, else those of ``plain``.

    The end is that percentile of the absolute values of all, as in ``heatmap.scale_end``.
    """
    if not all(np.isfinite(heat).all() for heat in heats):
        raise InputError(
            "the map holds NaN or infinite values; look at the model's output and the attribution's values"
        )
    every = np.concatenate([np.abs(np.asarray(heat, np.float64)).ravel() for heat in heats])
    chosen = palette or ("bwr" if any((heat < 0).any() for heat in heats) else plain)
    end = scale_end(every, percentile)
    return ColourScale(chosen, end, int((every > end * (1 + 1e-9)).sum()), every.size)
