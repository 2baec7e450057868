"""How an input is seen: as a picture, a series, a volume, tokens or a table's columns. One place decides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

__all__ = ["Kind", "channels_first", "kind_of"]

Kind = Literal["picture", "series", "volume", "tokens", "vector", "nothing"]

CHANNELS = 16  # at most: an axis of more is no channels of a series but one side of a plane
LONG = 256  # elements: a vector or tokens without names are a curve from here on, as nobody reads bars of so many
COLOURS = (1, 3, 4)  # channels of a picture


def kind_of(
    shape: Sequence[int],
    layout: str | None = None,
    *,
    of: Sequence[int] | None = None,
    timed: bool = False,
    named: bool = False,
) -> Kind:
    """How the attribution of one example is seen, by its shape without a batch axis.

    ``layout``: the axes, "NLC", "NCHW", "NHWC", "NCT" or "NTC", where they are known. ``of``: the shape of the input of
    which it is a map of a layer's size, without channels. ``timed``: samples a second are known. ``named``: the
    elements have names.
    """
    if layout == "NLC":
        return "series" if not named and shape[0] >= LONG else "tokens"
    if of is not None:
        return _layer_kind(len(shape), of, timed)
    if len(shape) == 1:
        return "series" if timed or (not named and shape[0] >= LONG) else "vector"
    if len(shape) == 2:
        return "series" if timed or layout in ("NCT", "NTC") or _is_series(shape) else "picture"
    if len(shape) == 3:
        return "picture" if layout in ("NCHW", "NHWC") or {shape[0], shape[2]} & set(COLOURS) else "nothing"
    return "volume" if len(shape) == 4 else "nothing"


def channels_first(shape: Sequence[int], layout: str | None = None) -> bool:
    """Whether the first axis of a series (2 axes) counts channels: as the layout says, else where it is the shorter."""
    return layout == "NCT" or (layout != "NTC" and shape[0] <= shape[1])


def _layer_kind(rank: int, of: Sequence[int], timed: bool) -> Kind:
    if rank == 1:
        return "series" if kind_of(of, timed=timed) == "series" else "vector"
    if rank == 2:
        return "picture"
    return "volume" if rank == 3 and len(of) == 4 else "nothing"


def _is_series(shape: Sequence[int]) -> bool:
    return min(shape) <= CHANNELS and min(shape) < max(shape)
