"""Class names: read from files and models, and from a name back to its index."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ..attribution.score_axes import ScoreAxes
from ..errors import InputError
from ..graph.model import Model
from ..support.schema import Name, decoded

__all__ = ["Labels", "fitting_labels", "labels_of", "parse_target", "read_labels", "target_of"]

Labels = Mapping[int, str]

_WORDNET = re.compile(r"^n\d{8}\s+")  # the id that starts the lines of ImageNet's synset.txt
_TUPLE = re.compile(r"-?\d+(\s*,\s*-?\d+)+")


def read_labels(path: Path) -> Labels:
    """Labels of a file: a JSON list, an object of index to name, or one name per line; WordNet ids are dropped."""
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


def fitting_labels(model: Model, scores: ScoreAxes, given: Labels | None) -> Labels:
    """The labels of a model's scores: those given, else those of its metadata.

    Given labels whose number is not that of the classes are an InputError; such of the metadata are left out, which a
    warning says.
    """
    labels = labels_of(model) if given is None else given
    if not labels or _fit(labels, scores):
        return labels
    shape = f"the scores {scores.tensor!r}, whose shape for one example is {scores.text}"
    text = f"the {len(labels)} labels do not fit {shape}"
    if given is not None:
        raise InputError(f"{text}; give one label for each class")
    warnings.warn(f"{text}; the model's own labels are left out", UserWarning, stacklevel=2)
    return {}


def _fit(labels: Labels, scores: ScoreAxes) -> bool:
    """Whether there are as many as an axis is long; labels that name some classes by their index need that index."""
    if scores.count is None or not scores.known:
        return True
    sizes = [scores.count] if scores.single else list(scores.shape)
    listed = list(labels) == list(range(len(labels)))
    return any(len(labels) == size if listed else min(labels) >= 0 and max(labels) < (size or 0) for size in sizes)


def target_of(text: str, labels: Labels, scores: ScoreAxes) -> int | str | tuple[int, ...]:
    """The target that a text means for these scores; an InputError where it names none of them."""
    if not scores.single and scores.count is not None and scores.known and not _TUPLE.fullmatch(text):
        raise scores.refuse(text)
    return parse_target(text, labels)


def parse_target(text: str, labels: Labels) -> int | str | tuple[int, ...]:
    """The target that a text means: an index, "top1", indices such as 0,5, or the name of a label."""
    if re.fullmatch(r"-?\d+", text):
        return int(text)
    if text == "top1":
        return text
    if found := _named(text, labels):
        if len(found) > 1:
            raise InputError(f"target {text!r} is the name of several classes, {found}; give the index")
        return found[0]
    if _TUPLE.fullmatch(text):
        return tuple(map(int, text.split(",")))
    raise InputError(f"target {text!r} is no index, tuple of indices or label; {_hint(text, labels)}")


def _named(text: str, labels: Labels) -> list[int]:
    """The classes of a name: the whole label, or else one of the names that it lists between commas."""
    wanted = text.strip().casefold()
    whole = [index for index, label in labels.items() if label.casefold() == wanted]
    return whole or [index for index, label in labels.items() if wanted in _names(label)]


def _names(label: str) -> list[str]:
    return [name.strip().casefold() for name in label.split(",")]


def _hint(text: str, labels: Labels) -> str:
    if not labels:
        return "no labels are known, name their file with --labels"
    names = {name: label for label in labels.values() for name in [*_names(label), label.casefold()]}
    near = [names[name] for name in difflib.get_close_matches(text.casefold(), names, n=3)]
    return f"did you mean {', '.join(map(repr, dict.fromkeys(near)))}?" if near else f"the labels are {_few(labels)}"


def _few(labels: Labels) -> str:
    names = list(labels.values())
    return ", ".join(names[:10]) + (f", ... ({len(names)})" if len(names) > 10 else "")


def _by_index(names: Mapping[int, Any] | list[Any]) -> Labels:
    return {
        index: str(name) for index, name in (names if isinstance(names, Mapping) else dict(enumerate(names))).items()
    }


def _numbered(names: Iterable[str]) -> Labels:
    return dict(enumerate(names))
