"""Where the object is: masks and boxes of samples, brought to the geometry that the model sees."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..data.batch import Prepared
from ..data.pictures import read_picture
from ..errors import InputError
from ..samples.sample import Sample
from ..support.caller import warn_caller
from .summary import Row

__all__ = ["Masks", "open_masks", "warn_of_no_mask"]


@dataclass(frozen=True)
class Masks:
    """Masks by the name of the sample or of its file: a picture or array file, or a box of pixels."""

    held: Mapping[str, Path | tuple[float, ...]]

    def of(self, sample: Sample, given: Prepared, shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
        """The mask of a sample as a map of a shape; None where there is none, or where it covers nothing."""
        file = sample.path or Path(sample.name)
        names = [sample.name, file.name, file.stem, f"{file.stem}_mask"]
        found = next((self.held[name] for name in names if name in self.held), None)
        if found is None or len(shape) != 2:
            return None
        if isinstance(found, Path) and found.suffix == ".npy":
            plane = _array(found)
        else:
            drawn = _box(sample, found) if isinstance(found, tuple) else read_picture(found).convert("L")
            binary = drawn.point(lambda value: 255 if value else 0)
            plane = given.preprocess.picture(binary) if given.preprocess else binary
        mask = np.asarray(plane.convert("L").resize((shape[1], shape[0]), Image.Resampling.NEAREST)) > 127
        return mask if mask.any() else None

    def absolute(self) -> Masks:
        """The same for a process in another folder."""
        return Masks({name: one.absolute() if isinstance(one, Path) else one for name, one in self.held.items()})

    @property
    def mark(self) -> str:
        """The identity of the masks: boxes, or sizes and times of files."""
        return f"{zlib.crc32(repr([(name, _mark(one)) for name, one in self.held.items()]).encode()):08x}"


def open_masks(source: Masks | str | PathLike[str] | Mapping[str, Any] | None) -> Masks | None:
    """A folder of mask files named as the samples are, or boxes {name: [left, top, right, bottom]}, also as JSON."""
    if isinstance(source, Masks):
        return source
    if source is None or isinstance(source, Mapping):
        return None if source is None else Masks({name: _given(name, one) for name, one in source.items()})
    path = Path(source)
    if path.is_dir():
        return Masks({file.stem: file for file in sorted(path.rglob("*")) if file.is_file()})
    try:
        boxes = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"{path}: neither a folder of masks nor JSON of boxes such as {{'a.jpg': [0, 0, 9, 9]}}"
        ) from error
    return Masks({name: _given(name, one) for name, one in boxes.items()})


def warn_of_no_mask(masks: Masks | None, rows: Sequence[Row], metrics: Set[str]) -> None:
    """Warns where masks are given, but belong to no sample, so that none of these metrics was measured."""
    if masks is not None and not any(metrics & found.keys() for row in rows for found in row.maps.values()):
        named = ", ".join(list(masks.held)[:3])
        warn_caller(f"no sample has a mask; they are found by the samples' names, and there are: {named or 'none'}")


def _given(name: str, one: Any) -> Path | tuple[float, ...]:
    if isinstance(one, str | PathLike):
        return Path(one)
    try:
        left, top, right, bottom = (float(number) for number in one)
    except (TypeError, ValueError) as error:
        raise InputError(f"the box of {name!r} is {one!r}; give left, top, right, bottom") from error
    if left > right or top > bottom:
        raise InputError(f"the box of {name!r} is {one!r}; left goes before right, top before bottom")
    return left, top, right, bottom


def _array(path: Path) -> Image.Image:
    try:
        plane = np.load(path, allow_pickle=False) > 0
    except (OSError, ValueError, EOFError, TypeError) as error:
        raise InputError(f"{path} cannot be read as a mask") from error
    if plane.ndim != 2:
        raise InputError(f"{path} has shape {plane.shape}; a mask has two axes")
    return Image.fromarray(plane.astype(np.uint8) * 255)


def _mark(one: Path | tuple[float, ...]) -> object:
    return (str(one), one.stat().st_size, one.stat().st_mtime_ns) if isinstance(one, Path) and one.exists() else one


def _box(sample: Sample, box: tuple[float, ...]) -> Image.Image:
    """The box drawn at the size of the sample's picture."""
    if sample.path is None:
        raise InputError(f"{sample.name}: a box needs a picture file; give a mask")
    mask = Image.new("L", read_picture(sample.path).size)
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return mask
