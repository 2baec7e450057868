"""Records as JSON text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

__all__ = ["json_text"]


def json_text(record: Any, *, indent: int | None = None, ensure_ascii: bool = True) -> str:
    """JSON with null for NaN and infinities, which it has no words for; what it does not know is written as text."""
    try:
        return json.dumps(record, indent=indent, ensure_ascii=ensure_ascii, default=_known, allow_nan=False)
    except ValueError:  # of a NaN; to look for one first takes longer than to write the text
        return json.dumps(_with_null(record), indent=indent, ensure_ascii=ensure_ascii, default=str)


def _known(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else str(value)


def _with_null(record: Any) -> Any:
    if isinstance(record, float):
        return record if math.isfinite(record) else None
    if isinstance(record, Mapping):
        return {key: _with_null(value) for key, value in record.items()}
    return [_with_null(value) for value in record] if isinstance(record, list | tuple) else record
