"""What a mask is, and which axis of the scores counts channels where it lies on the others."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ...data.arrays import as_array
from ...data.pictures import read_picture
from ...errors import InputError
from ...support.damaged import readable
from ...support.pipes import check_no_pipe
from ..score_axes import ScoreAxes

__all__ = ["channel_axis", "mask_of"]

SHOWN = 4  # values that an error names


def mask_of(given: Any) -> np.ndarray:
    """A mask as booleans: an array of True and False, or of 1 and 0, an .npy file of one, or a picture that is black
    outside.

    Raises InputError where more than two values, or one alone, leave open what is inside, and for an empty mask.
    """
    name = f"the mask {given}" if isinstance(given, str | PathLike) else "the mask"
    array, drawn = _read(given, name)
    if array.dtype.kind not in "biuf" or array.ndim == 0:
        raise InputError(f"{name}, {array.dtype} of shape {array.shape}, is no array of True and False")
    values = np.unique(array)
    if drawn and len(values) == 1 and values[0]:
        raise InputError(
            f"{name} has one colour everywhere: what is inside is open; draw it black outside (for all places give an "
            ".npy file of True)"
        )
    if len(values) > 2 or (drawn and values[0] != 0) or not (drawn or np.isin(values, (0, 1)).all()):
        listed = ", ".join(f"{value:g}" for value in values[:SHOWN].astype(float)) + ", ..." * (len(values) > SHOWN)
        shades = ", without shades between, as smoothing and .jpg make them" if len(values) > 2 else ""
        wanted = f"black outside and one colour inside{shades}" if drawn else "True or 1 inside, False or 0 outside"
        raise InputError(f"{name} has the values {listed}: it must be {wanted}")
    if not array.any():
        raise InputError(f"{name} is empty: no place is inside")
    return array.astype(bool)


def _read(given: Any, name: str) -> tuple[np.ndarray, bool]:
    """The numbers of a mask, and whether it is a picture."""
    if isinstance(given, Image.Image):
        return np.asarray(read_picture(given).convert("L")), True
    if not isinstance(given, str | PathLike):
        return as_array(given, name), False
    if Path(given).suffix.lower() != ".npy":
        return np.asarray(read_picture(given).convert("L")), True
    check_no_pipe(given)
    with readable(given, "NumPy file of one array", InputError):
        return np.asarray(np.load(given, allow_pickle=False)), False


def channel_axis(scores: ScoreAxes, mask: tuple[int, ...] | None, said: str | None) -> int | None:
    """The axis of an example's scores that counts channels, None where there is none, as a mask of a size lies on them.

    Without a mask the first axis or the last, whichever is known to be shorter. Raises InputError where a mask of this
    size does not fit, or fits both and ``said`` is None.
    """
    if said not in (None, "first", "last"):
        raise InputError(f"channels {said!r}: say 'first' or 'last'")
    sizes = scores.shape
    if mask is None:
        return _likely(scores, said)
    last = len(sizes) - 1
    axes = {"first": [0], "last": [last], None: [0, last, None]}[said]
    found = [axis for axis in dict.fromkeys(axes) if _fits(mask, sizes, axis)]
    if len(found) > 1:
        raise InputError(
            f"a mask of size {mask} fits the scores {scores.tensor!r} of shape {scores.text} with their channels first "
            "and last: say channels='first' or channels='last'"
        )
    if not found:
        raise InputError(
            f"the mask has size {mask}, the scores {scores.tensor!r} of one example have shape {scores.text}: give a "
            "mask of their size without the axis of channels"
        )
    return found[0]


def _likely(scores: ScoreAxes, said: str | None) -> int | None:
    sizes, end = scores.shape, len(scores.shape) - 1
    if said is not None or len(sizes) < 3:
        return {"first": 0, "last": end, None: None}[said]
    if sizes[0] == sizes[-1]:
        raise InputError(
            f"which axis of the scores {scores.tensor!r} of shape {scores.text} counts channels is open: name the "
            "score as a mask of their size, Mask(mask, 0, channels='first') or 'last'"
        )
    first, last = (float("inf") if size is None else size for size in (sizes[0], sizes[-1]))
    return 0 if first < last else end


def _fits(mask: tuple[int, ...], sizes: tuple[int | None, ...], axis: int | None) -> bool:
    places = [size for k, size in enumerate(sizes) if k != axis]
    return len(places) == len(mask) and all(n in (None, m) for n, m in zip(places, mask, strict=True))
