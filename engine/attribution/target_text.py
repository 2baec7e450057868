"""From the text that a user gives to a target, by the labels and axes of the scores."""

from __future__ import annotations

import difflib
import re

from ..data.labels import Labels, labels_of, without_background
from ..detection.detector import DETECTIONS
from ..errors import InputError
from ..graph.metadata import letters
from ..graph.model import Model
from ..support.caller import warn_caller
from .score_axes import ScoreAxes

__all__ = ["fitting_labels", "label_hint", "names_class", "names_element", "parse_target"]


_INDEX = re.compile(r"-?\d{1,18}")  # no more digits than 64 bits hold; Python itself reads 4300
_TUPLE = re.compile(r"-?\d{1,18}(\s*,\s*-?\d{1,18})+")


def fitting_labels(model: Model, scores: ScoreAxes, given: Labels | None) -> Labels:
    """The labels of a model's scores: those given, else those of its metadata.

    A first label that is called background is left out of those of a detector, whose boxes never have that class, and
    wherever the others alone fit. Given labels whose number is not that of the classes are an InputError; such of the
    metadata are left out, which a warning says.
    """
    labels = _own_labels(model, scores) if given is None else given
    boxes, classes = scores.tensor == DETECTIONS, without_background(labels)
    if boxes or not _fit(labels, scores):
        labels = classes if boxes or _fit(classes, scores) else labels
    if not labels or _fit(labels, scores):
        return labels
    shape = f"the scores {scores.tensor!r}, whose shape for one example is {scores.text}"
    of = f"the {scores.count} classes of the boxes, of which the background is none" if boxes else shape
    text = f"the {len(labels)} labels do not fit {of}"
    if given is not None:
        raise InputError(f"{text}; give one label for each class")
    warn_caller(f"{text}; the model's own labels are left out")
    return {}


def _own_labels(model: Model, scores: ScoreAxes) -> Labels:
    """The labels of the metadata; letters have the blank before them that a recogniser has, and the space behind."""
    labels = labels_of(model)
    if not letters(model.metadata) or len(labels) != len(letters(model.metadata)):
        return labels
    classes = (scores.shape or (None,))[-1] or 0
    named = ["blank", *labels.values(), "space"][:classes]
    return labels if classes == len(labels) else dict(enumerate(named)) if classes > len(labels) else {}


def _fit(labels: Labels, scores: ScoreAxes) -> bool:
    """Whether there are as many as an axis is long; labels that name some classes by their index need that index."""
    if scores.count is None or not scores.known:
        return True
    sizes = [scores.count] if scores.single else list(scores.shape)
    listed = list(labels) == list(range(len(labels)))
    return any(len(labels) == size if listed else min(labels) >= 0 and max(labels) < (size or 0) for size in sizes)


def names_class(text: str, labels: Labels) -> bool:
    """Whether a text is that of a class: an index, "top1", indices such as 0,5, or the name of a label."""
    return text == "top1" or bool(_INDEX.fullmatch(text) or _TUPLE.fullmatch(text) or _named(text, labels))


def names_element(text: str) -> bool:
    """Whether a text is that of an element of scores of several axes: indices such as 0,5."""
    return bool(_TUPLE.fullmatch(text))


def parse_target(text: str, labels: Labels) -> int | str | tuple[int, ...]:
    """The target that a text means: an index, "top1", indices such as 0,5, or the name of a label."""
    if _INDEX.fullmatch(text):
        return int(text)
    if text == "top1":
        return text
    if found := _named(text, labels):
        if len(found) > 1:
            raise InputError(f"target {text!r} is the name of several classes, {found}; give the index")
        return found[0]
    if _TUPLE.fullmatch(text):
        return tuple(map(int, text.split(",")))
    raise InputError(f"target {text!r} is no index, tuple of indices or label; {label_hint(text, labels)}")


def _named(text: str, labels: Labels) -> list[int]:
    """The classes of a name: the whole label, best in the same case, or else one of the names that it lists between
    commas."""
    wanted = text.strip().casefold()
    exact = [index for index, label in labels.items() if label == text]
    whole = exact or [index for index, label in labels.items() if label.casefold() == wanted]
    return whole or [index for index, label in labels.items() if wanted in _names(label)]


def _names(label: str) -> list[str]:
    return [name.strip().casefold() for name in label.split(",")]


def label_hint(text: str, labels: Labels) -> str:
    """What may be meant by a text that names no label."""
    if not labels:
        return "no labels are known, name their file with --labels"
    names = {name: label for label in labels.values() for name in [*_names(label), label.casefold()]}
    near = [names[name] for name in difflib.get_close_matches(text.casefold(), names, n=3)]
    return f"did you mean {', '.join(map(repr, dict.fromkeys(near)))}?" if near else f"the labels are {_few(labels)}"


def _few(labels: Labels) -> str:
    names = list(labels.values())
    return ", ".join(names[:10]) + (f", ... ({len(names)})" if len(names) > 10 else "")
