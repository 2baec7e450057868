"""Class names: read from files and models, and from a name back to its index."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..graph.model import Model
from ..support.schema import Name, decoded

__all__ = ["Labels", "labels_of", "read_labels", "without_background"]

Labels = Mapping[int, str]

_WORDNET = re.compile(r"^n\d{8}\s+")  # the id that starts the lines of ImageNet's synset.txt
_BACKGROUND = ("background", "bg", "???")  # how label files of SSD, of its TensorFlow version too, begin


def read_labels(source: str | PathLike[str]) -> Labels:
    """Labels of a file: a JSON list, an object of index to name, or one name per line; WordNet ids are dropped."""
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"{path}: labels cannot be read ({reason})") from error
    if path.suffix.lower() != ".json" and text.lstrip()[:1] not in ("[", "{"):
        return _numbered(_WORDNET.sub("", line.strip()) for line in text.splitlines() if line.strip())
    where = f"{path}: no labels: give a JSON list, or an object of index to name; it"
    kind: Any = list[Name] | dict[int, Name]
    return _by_index(decoded(text, kind, where, InputError))


def labels_of(model: Model) -> Labels:
    """The labels that the model's metadata carry; empty where there are none."""
    return _by_index(model.labels or {})


def without_background(labels: Labels) -> Labels:
    """The labels behind a first one that is called background, counted from 0; all of them where none is."""
    first = labels.get(0, "").strip("_ ").casefold()
    return {index - 1: name for index, name in labels.items() if index} if first in _BACKGROUND else labels


def _by_index(names: Mapping[int, Any] | list[Any]) -> Labels:
    return {
        index: str(name) for index, name in (names if isinstance(names, Mapping) else dict(enumerate(names))).items()
    }


def _numbered(names: Iterable[str]) -> Labels:
    return dict(enumerate(names))
