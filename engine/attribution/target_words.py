"""The words of a target's text, such as ``token:5``, each with the score that it means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..data.labels import Labels
from ..detection.detector import SIDES
from ..errors import InputError
from .score_axes import ScoreAxes
from .scores import Box, ClassBoxes, Contrast, Letter, Mask, Norm, Not, Score, Token
from .target_text import names_class, names_element, parse_target

__all__ = ["WORDS", "target_of"]

N = TypeVar("N", int, float)


@dataclass(frozen=True)
class Word:
    """A word: how it is typed, what it explains, and the score that the texts behind its colons mean."""

    forms: tuple[str, ...]
    meaning: str
    score: Callable[[str, Labels], Score]


def target_of(text: str, labels: Labels, scores: ScoreAxes) -> int | str | tuple[int, ...] | Score:
    """The target that a text means for these scores; an InputError, which lists the words, where it names none.

    The name of a label comes before a word that is written alike, and before a difference of two.
    """
    if not names_class(text, labels) and (score := _worded(text, labels) or _contrast(text, labels)) is not None:
        return score
    try:
        if not scores.single and scores.count is not None and scores.known and not names_element(text):
            raise scores.refuse(text)
        return parse_target(text, labels)
    except InputError as error:
        forms = [form for word in WORDS.values() for form in word.forms]
        raise InputError(f"{error}; or {', '.join(forms[:-1])} or {forms[-1]}") from error


def _worded(text: str, labels: Labels) -> Score | None:
    name, colon, rest = text.partition(":")
    word = WORDS.get(name)
    if word is None or bool(colon) != (":" in word.forms[0]):
        return None
    try:
        return word.score(rest, labels)
    except InputError as error:
        raise InputError(f"target {text!r}, as in {' or '.join(word.forms)}: {error}") from error


def _contrast(text: str, labels: Labels) -> Score | None:
    """The difference that a hyphen between two names of classes means; an InputError where several hyphens may."""
    cuts = [(text[:k].strip(), text[k + 1 :].strip()) for k, letter in enumerate(text) if letter == "-"]
    found = [cut for cut in cuts if all(names_class(side, labels) for side in cut)]
    if len(found) > 1:
        read = " or ".join(f"{this!r} against {that!r}" for this, that in found)
        raise InputError(f"target {text!r} may be {read}; give the indices")
    return Contrast(*(parse_target(side, labels) for side in found[0])) if found else None


def _number(text: str, kind: Callable[[str], N] = int) -> N:
    try:
        return kind(text)
    except ValueError:
        raise InputError(f"{text!r} is no number") from None


def _class(text: str, labels: Labels) -> int | str:
    """The index of a class, or "top1"."""
    found = parse_target(text, labels)
    if isinstance(found, tuple):
        raise InputError(f"{text!r} is no index or label")
    return found


def _token(text: str, labels: Labels) -> Score:
    position, colon, word = text.partition(":")
    return Token(_number(position), _class(word, labels) if colon else "top1")


def _letter(text: str, labels: Labels) -> Score:
    number, colon, blank = text.partition(":")
    return Letter(_number(number), _number(blank) if colon else None)


def _mask(text: str, labels: Labels) -> Score:
    """The mask of a file, whose name may hold colons, too."""
    file, colon, channel = (text, "", "") if Path(text).is_file() else text.rpartition(":")
    if not file:
        file, colon = text, ""
    if not file:
        raise InputError("name the file of a mask")
    found = Mask(Path(file), _class(channel, labels) if colon else None)
    found.mask_of(0)  # what is wrong with the file is said here
    return found


def _box(text: str, labels: Labels) -> Score:
    """A box by its rank, by its class, by both, or by where it lies."""
    numbers = text.split(",")
    if len(numbers) == SIDES:
        return Box(near=[_number(one, float) for one in numbers])
    first, colon, rest = text.partition(":")
    if colon:
        return Box(_number(first), label=_label(rest, labels))
    return Box(_number(first)) if first.isdecimal() else Box(label=_label(first, labels))


def _class_boxes(text: str, labels: Labels) -> Score:
    return ClassBoxes(_label(text, labels))


def _label(text: str, labels: Labels) -> int:
    found = _class(text, labels)
    if isinstance(found, str):
        raise InputError(f"{text!r} is no index or label")
    return found


def _not(text: str, labels: Labels) -> Score:
    return Not(parse_target(text, labels))


def _norm(text: str, labels: Labels) -> Score:
    return Norm()


WORDS: Mapping[str, Word] = {
    "not": Word(("not:7",), "why not this class", _not),
    "token": Word(("token:5", "token:5:17"), "the top word, or one word, at a step", _token),
    "letter": Word(("letter:2", "letter:2:-1"), "a letter that was read, with the blank where it is not 0", _letter),
    "mask": Word(("mask:FILE", "mask:FILE:3"), "one channel under a mask, a picture that is black outside", _mask),
    "box": Word(
        ("box:0", "box:dog", "box:1:dog", "box:10,20,80,90"),
        "a detector's box, by its rank, its class, both, or x1, y1, x2, y2 of one like it in pixels of the input",
        _box,
    ),
    "boxes": Word(("boxes:dog",), "all of a detector's boxes of a class", _class_boxes),
    "norm": Word(("norm",), "the length of an embedding", _norm),
}  # the word before the first colon
