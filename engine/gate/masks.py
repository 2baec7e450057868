"""Where the object is: masks and boxes of samples, brought to the geometry that the model sees."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ..errors import InputError
from ..inputs import Prepared
from ..pictures import read_picture
from .data import Sample

__all__ = ["Masks", "open_masks"]


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
            plane = Image.fromarray((np.load(found, allow_pickle=False) > 0).astype(np.uint8) * 255)
        else:
            drawn = _box(sample, found) if isinstance(found, tuple) else read_picture(found).convert("L")
            binary = drawn.point(lambda value: 255 if value else 0)
            plane = given.recipe.picture(binary) if given.recipe else binary
        mask = np.asarray(plane.convert("L").resize((shape[1], shape[0]), Image.Resampling.NEAREST)) > 127
        return mask if mask.any() else None


def open_masks(source: str | PathLike[str] | Mapping[str, Any] | None) -> Masks | None:
    """A folder of mask files named as the samples are, or boxes {name: [left, top, right, bottom]}, also as JSON."""
    if source is None or isinstance(source, Mapping):
        return None if source is None else Masks({name: _given(name, one) for name, one in source.items()})
    path = Path(source)
    if path.is_dir():
        return Masks({file.stem: file for file in sorted(path.rglob("*")) if file.is_file()})
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
        return Masks({name: _given(name, one) for name, one in held.items()})
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path}: neither a folder of masks nor JSON of boxes such as {{'a.jpg': [0, 0, 9, 9]}}"
        ) from error


def _given(name: str, one: Any) -> Path | tuple[float, ...]:
    if isinstance(one, str | PathLike):
        return Path(one)
    box = tuple(float(number) for number in one)
    if len(box) != 4:
        raise InputError(f"the box of {name!r} has {len(box)} numbers; give left, top, right, bottom")
    return box


def _box(sample: Sample, box: tuple[float, ...]) -> Image.Image:
    """The box drawn at the size of the sample's picture."""
    if sample.path is None:
        raise InputError(f"{sample.name}: a box needs a picture file; give a mask")
    mask = Image.new("L", read_picture(sample.path).size)
    ImageDraw.Draw(mask).rectangle(box, fill=255)
    return mask
