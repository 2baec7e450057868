"""Choosing by name: an unknown name is an InputError that says which one may be meant, and which there are."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import TypeVar

from ..errors import InputError

__all__ = ["alternatives", "choose", "nearest"]

Name = TypeVar("Name", bound=str)


def choose(name: object, known: Iterable[Name], what: str) -> Name:
    """The one of the known names that was given; ``what`` it is a name of stands in the error."""
    names = list(known)
    for one in names:
        if one == name:
            return one
    raise InputError(f"no {what} {name!r}; {alternatives(name, names)}")


def alternatives(name: object, known: Iterable[str]) -> str:
    """The names that could have been given instead."""
    names = list(known)
    near = nearest(name, names)
    hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return f"{hint}choose from {', '.join(names)}"


def nearest(name: object, known: Iterable[str], most: int = 1) -> list[str]:
    """The known names that are written alike but for case and punctuation, or whose initials these are (ig)."""
    names = list(dict.fromkeys(known))
    given = _plain(str(name))
    same = [one for one in names if given and given in (_plain(one), _initials(one))]
    plain = {_plain(one): one for one in reversed(names)}
    near = [plain[one] for one in difflib.get_close_matches(given, list(plain), n=most)]
    return list(dict.fromkeys([*same, *near]))[:most]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


def _initials(name: str) -> str:
    words = [word for word in re.split(r"[\W_]+", name) if word]
    return "".join(word[0] for word in words).casefold() if len(words) > 1 else ""
