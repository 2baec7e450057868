"""NAME=VALUE, as settings are typed."""

from __future__ import annotations

from ..errors import InputError

__all__ = ["name_and_value"]


def name_and_value(text: str, where: str, form: str, example: str, *, empty: bool = True) -> tuple[str, str]:
    """Both sides of the first equals sign, without spaces round them; ``empty``: whether there may be no value.

    An InputError of what has another form names it, with ``where`` it was typed and an ``example``.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not (value or empty):
        raise InputError(f"{where} {text!r}: give {form}, such as {example}")
    return name, value
