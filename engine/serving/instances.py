"""What a request gives, as checked arrays: rows of numbers, pictures in base64, texts."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import UNSET
from PIL import Image

from ..attribution.text_inputs import EncodedText
from ..data.arrays import as_array
from ..data.batch import Prepared
from ..errors import InputError
from .messages import InstancesBody
from .served_model import ServedModel

__all__ = ["Part", "open_picture", "parts_of", "pictures", "texts", "typed_array"]

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
PIXELS = 40_000_000


@dataclass(frozen=True, eq=False)
class Part:
    """Rows that are run together, and the text that they are, if any."""

    given: Prepared
    text: EncodedText | None = None

    @property
    def rows(self) -> int:
        return self.given.batch.examples


def parts_of(model: ServedModel, body: InstancesBody) -> list[Part]:
    """The rows of a request of protocol v1. Raises InputError."""
    if (body.instances is UNSET) == (body.inputs is UNSET):
        raise InputError("give instances, a list, or inputs, the columns of all of them")
    if body.inputs is not UNSET:
        return [Part(model.reader(_columns(model, body.inputs)))]
    instances: list[Any] = body.instances  # type: ignore[assignment]
    if not instances:
        raise InputError("instances is an empty list; give at least one")
    kinds = {_kind(one) for one in instances}
    if len(kinds) > 1:
        raise InputError("the instances differ in kind; give all as arrays, as objects of arrays, as b64 or as text")
    kind = kinds.pop()
    if kind == "b64":
        return pictures(model, [_decoded(one["b64"]) for one in instances])
    if kind == "text":
        return texts(model, [(one["text"], one.get("pair")) for one in instances])
    return [Part(model.reader(_rows(model, instances, named=kind == "object")))]


def pictures(model: ServedModel, files: Sequence[bytes]) -> list[Part]:
    """The rows of the files of pictures."""
    if not model.takes_pictures:
        raise InputError("the model takes no pictures; give arrays")
    return [Part(model.reader([open_picture(file) for file in files]))]


def texts(model: ServedModel, given: Sequence[tuple[Any, Any]]) -> list[Part]:
    """The rows of texts, or of pairs of them; each is run with others of as many tokens."""
    if model.encoder is None:
        raise InputError("the model is served without a tokenizer; give the ids of tokens as arrays")
    if not all(isinstance(text, str) and isinstance(pair, str | None) for text, pair in given):
        raise InputError("a text, and the second one of a pair, is a string")
    encoded = [model.encoder(text, pair) for text, pair in given]
    return [Part(model.reader(one.inputs), one) for one in encoded]


def open_picture(file: bytes) -> Image.Image:
    """The picture of a file's bytes; its pixels are read later."""
    try:
        picture = Image.open(io.BytesIO(file), formats=FORMATS)
    except Exception as error:
        raise InputError(f"a picture cannot be read; send the file of one as {', '.join(FORMATS)}") from error
    picture.filename = "a picture"  # what errors call it when it is decoded
    if picture.width * picture.height > PIXELS:
        raise InputError(f"a picture has {picture.width} x {picture.height} pixels; at most {PIXELS} are taken")
    return picture


def typed_array(model: ServedModel, name: str, values: Any) -> np.ndarray:
    """Values of JSON as an array in the type of an input; numbers that the type cannot hold are an InputError."""
    array = as_array(values, f"input {name!r}")
    value = next((one for one in model.model.inputs if str(one.name) == name), None)
    if value is None or value.dtype is None:
        return array
    wanted = value.dtype.numpy()
    if array.dtype.kind in "iu" and wanted.kind == "f":
        return array.astype(np.float64)
    if array.dtype.kind in "iu" and wanted.kind in "iu" and array.size:
        bounds = np.iinfo(wanted)
        if int(array.min()) < bounds.min or int(array.max()) > bounds.max:
            raise InputError(f"input {name!r} holds a number beyond the bounds of {wanted}")
    return array


def _kind(one: Any) -> str:
    if isinstance(one, Mapping):
        return "b64" if set(one) == {"b64"} else "text" if "text" in one and set(one) <= {"text", "pair"} else "object"
    return "array"


def _rows(model: ServedModel, instances: Sequence[Any], named: bool) -> Any:
    if not named:
        return _columns(model, list(instances))
    names = set(instances[0])
    if any(set(one) != names for one in instances):
        raise InputError("the instances differ in the inputs that they name")
    return _columns(model, {name: [one[name] for one in instances] for name in instances[0]})


def _columns(model: ServedModel, given: Any) -> Any:
    """Arrays by input; the only input may come without its name."""
    if isinstance(given, Mapping):
        return {str(name): typed_array(model, str(name), values) for name, values in given.items()}
    return typed_array(model, str(model.model.inputs[0].name), given)


def _decoded(text: Any) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise InputError("b64 holds no base64") from None
