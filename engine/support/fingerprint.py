"""Digests of files and of settings: equal where all that they hold is equal, arrays to the last bit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["file_digest", "fingerprint"]


def fingerprint(settings: Any) -> str:
    """16 hexadecimal digits of the SHA-256 of what dataclasses, mappings, lists and arrays hold."""
    return hashlib.sha256(json.dumps(_plain(settings), sort_keys=True).encode()).hexdigest()[:16]


def file_digest(file: Path) -> str:
    """The SHA-256 of a file, as sha256sum prints it."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    """The value as JSON has it; an array by its digest, what JSON does not know by its text."""
    if isinstance(value, np.ndarray):
        return [str(value.dtype), list(value.shape), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    if is_dataclass(value) and not isinstance(value, type):
        return {"": type(value).__name__, **{one.name: _plain(getattr(value, one.name)) for one in fields(value)}}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        every = [_plain(one) for one in value]
        return sorted(every, key=repr) if isinstance(value, set | frozenset) else every
    return value if isinstance(value, str | int | float | bool | None) else repr(value)
