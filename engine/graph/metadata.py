"""The entries of a model's metadata that onnxray reads, each with its type; decoded where a model is loaded."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from typing import Any

from ..errors import ModelError
from ..support.schema import Name, Struct, decoded

__all__ = [
    "FEATURES",
    "LABELS",
    "LAYERS",
    "LayerEntry",
    "check_metadata",
    "class_names",
    "entry",
    "letters",
    "picture_settings",
]

LAYERS, LABELS, FEATURES = "onnxray.layers", "onnxray.labels", "onnxray.features"


class LayerEntry(Struct, frozen=True):
    """Where the output of a source framework's layer is: its tensor, and a letter for each of the tensor's axes."""

    tensor: str
    layout: str | None = None


_KINDS: Mapping[str, Any] = {
    LAYERS: dict[str, LayerEntry],
    LABELS: list[Name] | dict[int, Name],
    FEATURES: list[str],
}


def entry(metadata: Mapping[str, str], key: str) -> Any:
    """The decoded entry, or None where the model has none; ModelError where it holds JSON of another type."""
    text = metadata.get(key)
    return decoded(text, _KINDS[key], f"the model's metadata {key!r}", ModelError) if text else None


def class_names(metadata: Mapping[str, str]) -> dict[int, str]:
    """The names that exports of ultralytics keep as "names", the text of a Python dict; empty where there are none."""
    try:
        held = ast.literal_eval(metadata.get("names", "{}"))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return {}
    named = isinstance(held, dict) and all(isinstance(key, int) and isinstance(held[key], str) for key in held)
    return held if named else {}


def letters(metadata: Mapping[str, str]) -> dict[int, str]:
    """The lines that RapidOCR and its sister packages keep as "character": letters, or classes of boxes; else none."""
    text = metadata.get("character", "")
    return dict(enumerate(text.split("\n"))) if text else {}


def picture_settings(metadata: Mapping[str, str]) -> dict[str, Any]:
    """How exports of ultralytics take pictures, as fields of a Preprocess; empty where the metadata are others.

    Their detectors keep the whole picture, with grey round it, in the size "imgsz", as shares of 255.
    """
    tasks = ("detect", "segment", "pose", "obb")
    if metadata.get("task") not in tasks or "stride" not in metadata or metadata.get("channels", "3") != "3":
        return {}
    sides = re.fullmatch(r"\[(\d+), (\d+)\]", metadata.get("imgsz", ""))
    return {"size": (int(sides[1]), int(sides[2])), "fit": "letterbox"} if sides and int(sides[1]) else {}


def check_metadata(metadata: Mapping[str, str], where: str) -> None:
    """Decodes all entries once, so that a wrong one is told when the file is loaded."""
    for key, kind in _KINDS.items():
        if text := metadata.get(key):
            decoded(text, kind, f"{where}: metadata {key!r}", ModelError)
