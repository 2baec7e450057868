"""From pictures to the array that a model expects, and what of a picture the model sees."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypedDict, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import InputError, ModelError, OnnxrayError
from ..graph.metadata import picture_settings
from ..support.caller import warn_caller
from ..support.choice import alternatives
from ..support.schema import decoded, typed
from .pictures import Picture, centre_crop, read_picture
from .placement import Placement, letterbox, placement

__all__ = ["METADATA_KEY", "PRESETS", "Preprocess"]

METADATA_KEY = "onnxray.preprocess"

Axis = int | str | None
Layout = Literal["NCHW", "NHWC"]
Channels = Literal["RGB", "BGR", "L"]
Fit = Literal["resize", "crop", "letterbox"]

PRESETS: dict[str, dict[str, Any]] = {
    "imagenet": {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
    "caffe": {"channels": "BGR", "range": (0.0, 255.0), "mean": (103.939, 116.779, 123.68)},
    "tf": {"range": (-1.0, 1.0)},
    "unit": {},
    "none": {"range": (0.0, 255.0)},
}


class _Settings(TypedDict, total=False):
    """The fields of a Preprocess as files hold them."""

    size: tuple[int, int] | None
    layout: Layout
    channels: Channels
    fit: Fit
    range: tuple[float, float]
    mean: float | list[float]
    std: float | list[float]


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes a model's input: ``(low + pixels / 255 * (high - low) - mean) / std``.

    An instance is called with one picture, a path or PIL image, or several, and returns a float32 array, ``(N, C, H,
    W)`` or ``(N, H, W, C)`` after ``layout``.

    Args:
        size: (height, width) in pixels; None for pictures as they are.
        layout: Axes of the array, "NCHW" or "NHWC".
        channels: "RGB", "BGR" or "L" (grey).
        fit: "resize" goes straight to ``size``; "crop" keeps the aspect: the picture is resized to cover 256/224 of the
            size, then its centre is cut out; "letterbox" keeps the whole picture and its aspect, with grey round it.
        range: (low, high), what pixels of 0 and 255 become before mean and std; (1, 0) inverts the picture.
        mean: One number, or one per channel in the order that the model sees (BGR: blue first), in units of ``range``.
        std: Likewise, none of them 0.

    Raises:
        InputError: A setting that is none of these; of a call, pictures that cannot be read, or that differ in size.

    Example:
        >>> import onnxray.models
        >>> preprocess = onnxray.Preprocess(size=(28, 28), channels="L")
        >>> batch = preprocess(onnxray.models.path("digit.png"))
        >>> batch.shape, batch.dtype.name, float(batch.min())
        ((1, 1, 28, 28), 'float32', 0.0)
        >>> onnxray.Preprocess.preset("imagenet", size=(224, 224)).mean
        (0.485, 0.456, 0.406)
    """

    size: tuple[int, int] | None = None
    layout: Layout = "NCHW"
    channels: Channels = "RGB"
    fit: Fit = "resize"
    range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        for name, kind in (("layout", Layout), ("channels", Channels), ("fit", Fit)):
            _check_choice(name, getattr(self, name), get_args(kind))
        count = len(self.channels)
        for name, counts in (("range", {2}), ("mean", {1, count}), ("std", {1, count})):
            object.__setattr__(self, name, _numbers(name, getattr(self, name), counts))
        object.__setattr__(self, "size", _size(self.size))
        if self.range[0] == self.range[1] or 0 in self.std:
            raise InputError(f"range {self.range} must have two ends, and std {self.std} no 0")

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Preprocess:
        """A usual preprocessing with fields changed: imagenet, caffe, tf (-1..1), unit (0..1) or none (0..255).

        Where `channels` turns RGB into BGR or back, each colour keeps its own mean and std.
        """
        _check_choice("preset", name, tuple(PRESETS))
        for key in changes:
            _check_choice("setting of Preprocess", key, tuple(field.name for field in fields(cls)))
        values = dict(PRESETS[name])
        if str(changes.get("channels"))[::-1] == values.get("channels", "RGB"):
            values |= {key: values[key][::-1] for key in ("mean", "std") if key in values}
        return cls(**values | changes)

    @classmethod
    def guess(cls, shape: Sequence[Axis], preset: str | None = None, **changes: Any) -> Preprocess:
        """The preprocessing that the shape of an image input suggests, such as ("batch", 3, 224, 224); warns if unsure.

        The range of the pixels cannot be guessed: without a preset it is taken as 0..1.
        """
        if preset is None:
            _warn("the range of the pixels is unknown, taken as 0..1; name a preset, as in --preprocess imagenet")
        if len(shape) != 4:
            raise InputError(f"the input {shape} is no batch of pictures, which has 4 axes; give it an array")
        layout = changes.get("layout") or _guess_layout(*shape)
        channels, height, width = (shape[axis] for axis in ((1, 2, 3) if layout == "NCHW" else (3, 1, 2)))
        guessed = {"layout": layout, "size": changes.get("size") or _guess_size(height, width)}
        if channels == 1:
            guessed["channels"] = "L"
        return cls.preset(preset or "unit", **guessed | changes)

    def to_metadata(self) -> dict[str, str]:
        """The settings as an entry for the metadata_props of an ONNX model."""
        return {METADATA_KEY: json.dumps(asdict(self))}

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> Preprocess | None:
        """The settings that a model carries, as onnxray or ultralytics writes them, or None; a ModelError where they
        cannot be read."""
        if METADATA_KEY not in metadata:
            return cls(**settings) if (settings := picture_settings(metadata)) else None
        where = f"the model's metadata {METADATA_KEY!r} cannot be read"
        return cls.from_settings(decoded(metadata[METADATA_KEY], dict[str, Any], where, ModelError), where, ModelError)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], where: str, error: type[OnnxrayError]) -> Preprocess:
        """The preprocessing of a file's settings; ``error``, beginning with ``where``, for unknown fields or values."""
        typed(settings, _Settings, where, error)
        try:
            return cls.preset("unit", **settings)
        except InputError as problem:
            raise error(f"{where}: {problem}") from problem

    def __call__(self, pictures: Picture | Iterable[Picture]) -> NDArray[np.float32]:
        """One picture or several, as a float32 batch (N, C, H, W) or (N, H, W, C) after `layout`."""
        several = [pictures] if isinstance(pictures, str | os.PathLike | Image.Image) else list(pictures)
        return self.stacked([self.picture(source) for source in several])

    def stacked(self, seen: Sequence[Image.Image]) -> NDArray[np.float32]:
        """The same from what ``picture`` gave."""
        arrays = [self._array(picture) for picture in seen]
        if not arrays:
            raise InputError("there are no pictures; give at least one path or PIL image")
        shapes = sorted({array.shape for array in arrays})
        if len(shapes) > 1:
            raise InputError(f"the pictures differ in size, {shapes}; set size=(height, width) in Preprocess")
        return np.stack(arrays)

    def picture(self, source: Picture) -> Image.Image:
        """The area that the model sees, at its size, as RGB: what heat maps are drawn over."""
        image = read_picture(source)
        if self.size is None:
            return image
        height, width = self.size
        if self.fit == "crop":
            return centre_crop(image, height, width)
        if self.fit == "letterbox":
            return letterbox(image, height, width)
        return image.resize((width, height), Image.Resampling.BILINEAR)

    def placement(self, size: tuple[int, int]) -> Placement:
        """Where a picture of a size (width, height) lies in what the model sees."""
        seen = size if self.size is None else self.size[::-1]
        return placement(size, self.fit, (seen[0], seen[1]))

    def _array(self, picture: Image.Image) -> NDArray[np.float32]:
        pixels = np.atleast_3d(np.asarray(picture.convert("L") if self.channels == "L" else picture))
        if self.channels == "BGR":
            pixels = pixels[..., ::-1]
        low, high = self.range
        values = (low + pixels / 255 * (high - low) - np.array(self.mean)) / np.array(self.std)
        return (values if self.layout == "NHWC" else values.transpose(2, 0, 1)).astype(np.float32)


def _guess_layout(*shape: Axis) -> Layout:
    first, last = shape[1] in (1, 3), shape[3] in (1, 3)
    if first != last:
        return "NCHW" if first else "NHWC"
    symbolic = [axis for axis in (1, 3) if not isinstance(shape[axis], int)]
    if not first and not symbolic:
        raise InputError(f"the input {shape} has neither 1 nor 3 channels, as pictures do; give it an array")
    layout = "NHWC" if symbolic == [3] else "NCHW"
    _warn(f"the input {shape} may be NCHW or NHWC, taken as {layout}; set layout in Preprocess")
    return layout


def _guess_size(height: Axis, width: Axis) -> tuple[int, int] | None:
    if isinstance(height, int) and isinstance(width, int):
        return height, width
    _warn(f"the input's size {height} x {width} is open, pictures are taken as they are; set size in Preprocess")
    return None


def _check_choice(name: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise InputError(f"{value!r} is no {name}; {alternatives(value, [str(one) for one in choices])}")


def _numbers(name: str, value: Any, counts: set[int]) -> tuple[float, ...]:
    try:
        numbers = tuple(float(number) for number in np.atleast_1d(value))
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) not in counts or not all(map(math.isfinite, numbers)):
        raise InputError(f"{name} is {value!r}; give {' or '.join(map(str, sorted(counts)))} finite numbers")
    return numbers


def _size(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    sides = tuple(value) if isinstance(value, Iterable) else ()
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise InputError(f"size is {value!r}; give (height, width) in pixels, or None for pictures as they are")
    return sides


def _warn(message: str) -> None:
    warn_caller(message)
