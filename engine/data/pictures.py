"""Reads pictures: upright, RGB, 8 bits, or one line that says why a file is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import IO

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from ..errors import InputError
from ..support.pipes import check_no_pipe

__all__ = ["Picture", "centre_crop", "crop_window", "opened_picture", "picture_size", "read_picture"]

Picture = str | os.PathLike[str] | Image.Image

SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations of pictures that lie on a side
COVER = 256 / 224  # the usual margin: pictures are resized to 256, then 224 of it are kept


def read_picture(source: Picture) -> Image.Image:
    """The picture of a file, or a PIL image, as upright RGB with 8 bits per channel.

    EXIF orientation is applied, transparent parts are laid on white, and 16-bit greys are scaled to 8 bits. A
    file that is missing, truncated, no picture or beyond Pillow's MAX_IMAGE_PIXELS is an InputError naming it.
    """
    with _readable(source) as image:
        _check_size(image)
        if image is source:
            return _rgb(ImageOps.exif_transpose(image))
        image.load()
        ImageOps.exif_transpose(image, in_place=True)  # two copies took a third of the time of a photograph
        return _rgb(image)


def opened_picture(stream: IO[bytes], name: str) -> Image.Image:
    """The picture of bytes, of which only the head is read; errors call it ``name``, now and when it is decoded."""
    try:
        image = Image.open(stream)
    except Exception as problem:  # as below
        raise InputError(f"{name} cannot be read as a picture: {_reason(problem)}") from problem
    image.filename = name
    return image


def picture_size(source: Picture) -> tuple[int, int]:
    """Width and height of the picture that ``read_picture`` gives, from the head of the file alone."""
    with _readable(source) as image:
        width, height = image.size
        return (height, width) if image.getexif().get(ExifTags.Base.Orientation) in SIDEWAYS else (width, height)


def centre_crop(image: Image.Image, height: int, width: int) -> Image.Image:
    """The centre of a picture after it was resized, aspect kept, to cover 256/224 of (height, width).

    Sizes and offsets are rounded as torchvision's Resize and CenterCrop do; the rest is never computed.
    """
    (full_width, full_height), (left, top) = crop_window(image.size, (width, height))
    across, down = image.width / full_width, image.height / full_height
    box = (left * across, top * down, (left + width) * across, (top + height) * down)
    return image.resize((width, height), Image.Resampling.BILINEAR, box)


def crop_window(size: tuple[int, int], seen: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    """The size that a picture (width, height) is resized to, and the left and top of what ``centre_crop`` keeps."""
    full = _covering(size, round(seen[0] * COVER), round(seen[1] * COVER))
    return full, (round((full[0] - seen[0]) / 2), round((full[1] - seen[1]) / 2))


def _covering(size: tuple[int, int], width: int, height: int) -> tuple[int, int]:
    if height * size[0] >= width * size[1]:
        return height * size[0] // size[1], height
    return width, width * size[1] // size[0]


@contextmanager
def _readable(source: Picture) -> Iterator[Image.Image]:
    """The opened picture; whatever goes wrong with it is an InputError that names it."""
    try:
        with _opened(source) as image:
            yield image
    except InputError:
        raise
    except Exception as problem:  # a decoder raises whatever a broken file makes it trip over
        raise InputError(f"{_name(source)} cannot be read as a picture: {_reason(problem)}") from problem


def _opened(source: Picture) -> AbstractContextManager[Image.Image]:
    if isinstance(source, Image.Image):
        return nullcontext(source)
    if isinstance(source, str | os.PathLike):
        check_no_pipe(source)
        return Image.open(source)
    raise TypeError(f"give a path or a PIL image, not {type(source).__name__}")


def _check_size(image: Image.Image) -> None:
    """Pillow itself only warns up to twice the limit; a filter to raise would hold for all threads."""
    limit, pixels = Image.MAX_IMAGE_PIXELS, image.width * image.height
    if limit is not None and pixels > limit:
        raise ValueError(f"it has {pixels:,} pixels, Pillow's limit is {limit:,} (PIL.Image.MAX_IMAGE_PIXELS)")


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise ValueError("floating-point pixels have no known range; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        return _eight_bits(image).convert("RGB")
    if image.has_transparency_data:
        coloured = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), coloured).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image).astype(np.int64)  # Pillow's own conversion clips at 255
    if pixels.min() < 0 or pixels.max() > 65535:
        raise ValueError("its pixels need more than 16 bits; save it with 8 or 16 bits")
    return Image.fromarray(((pixels + 128) // 257).astype(np.uint8))


def _name(source: object) -> str:
    if isinstance(source, Image.Image):
        return getattr(source, "filename", "") or f"the {source.mode} image"
    return str(source) if isinstance(source, str | os.PathLike) else "that"


def _reason(problem: Exception) -> str:
    if isinstance(problem, UnidentifiedImageError):
        return "no picture format is recognised in it"
    if isinstance(problem, FileNotFoundError):
        return "there is no such file or folder; check the path"
    text = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
    return " ".join(text.split()) or type(problem).__name__
