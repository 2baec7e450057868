"""How bad input has to fail: with one clear line, of the right kind, that says what, where and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from onnxray import OnnxrayError


@contextmanager
def fails(kind: type[OnnxrayError], *words: str) -> Iterator[None]:
    """Expects exactly this error, of one line, with these words."""
    with pytest.raises(OnnxrayError) as caught:
        yield
    message = str(caught.value)
    assert type(caught.value) is kind, f"{type(caught.value).__name__}: {message}"
    assert "\n" not in message.strip()
    assert len(message) < 500, message  # it may list all methods
    missing = [word for word in words if word.lower() not in message.lower()]
    assert not missing, f"{missing} not in: {message}"
