"""Preprocessing in words: a preset, with changes after commas."""

from __future__ import annotations

from typing import Any

from ..data.preprocess import Preprocess
from ..errors import InputError
from ..graph.model import Model, is_float
from ..support.name_value import name_and_value

__all__ = ["preprocess_of"]


def preprocess_of(model: Model, text: str) -> Preprocess:
    """The preprocessing of a text such as "imagenet,fit=crop", with the size and layout of the model's input."""
    preset, *changes = text.split(",")
    value = next((v for v in model.inputs if is_float(v)), None)
    shape = [] if value is None or value.shape is None else [d if isinstance(d, int) else d.value for d in value.shape]
    return Preprocess.guess(shape, preset.strip(), **dict(_change(one) for one in changes))


def _change(text: str) -> tuple[str, Any]:
    """One setting: size as HEIGHTxWIDTH, numbers of several channels with slashes, words as they are."""
    name, value = name_and_value(text, "preprocess", "SETTING=VALUE", "fit=crop or size=224x224", empty=False)
    try:
        if name == "size":
            return name, tuple(map(int, value.split("x")))
        return name, tuple(map(float, value.split("/"))) if name in ("range", "mean", "std") else value
    except ValueError:
        raise InputError(f"preprocess {text!r}: {value!r} is no number; write 224x224, or 0.5/0.5/0.5") from None
