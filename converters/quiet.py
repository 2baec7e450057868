"""Frameworks that are missing, that print too much, or that fail with a page of text: one line of ours instead."""

from __future__ import annotations

import importlib
import io
import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from onnxray.errors import ConversionError

__all__ = ["EXTRAS", "converting", "first_line", "quiet", "require", "warn_of_code"]

EXTRAS = {  # of each package that `require` imports: the extra that installs it
    "torch": "torch",
    "onnxscript": "torch",
    "safetensors": "torch",
    "tensorflow": "keras",
    "keras": "keras",
    "h5py": "keras",
    "tf2onnx": "keras",
    "sklearn": "sklearn",
    "skl2onnx": "sklearn",
    "onnxruntime": "cpu",
}
PREAMBLES = ("Exception encountered when calling",)


def require(name: str) -> Any:
    """Import a module of a package in EXTRAS, or say in one line how to install it."""
    try:
        with quiet():
            return importlib.import_module(name)
    except ImportError as error:
        root = name.partition(".")[0]
        extra = EXTRAS[root]
        raise ConversionError(f"{root} is needed for this conversion: pip install 'onnxray[{extra}]'") from error


@contextmanager
def quiet() -> Iterator[None]:
    """Drop what is printed, warned or logged meanwhile, by native code too.

    Exporters write through C++ and through handlers bound long ago, hence the detour through file descriptors; in a
    notebook the streams of Python are none of these.
    """
    level = logging.root.manager.disable
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        stack.callback(logging.disable, level)
        for descriptor, stream in ((1, sys.stdout), (2, sys.stderr)):
            stack.enter_context(muted(descriptor, stream))
        stack.enter_context(redirect_stdout(io.StringIO()))
        stack.enter_context(redirect_stderr(io.StringIO()))
        yield


@contextmanager
def muted(descriptor: int, stream: Any) -> Iterator[None]:
    """Send one file descriptor to nowhere."""
    if stream is not None:
        stream.flush()
    kept = os.dup(descriptor)
    try:
        with tempfile.TemporaryFile() as sink:
            os.dup2(sink.fileno(), descriptor)
            yield
    finally:
        if stream is not None:
            stream.flush()
        os.dup2(kept, descriptor)
        os.close(kept)


@contextmanager
def converting(what: str, advice: str) -> Iterator[None]:
    """Turn any failure of a framework into a ConversionError: what failed, its first line, what to do."""
    try:
        with quiet():
            yield
    except ConversionError:
        raise
    except Exception as error:
        raise ConversionError(f"{what}: {first_line(error)}; {advice}") from error


def first_line(error: BaseException) -> str:
    """The first telling line of the error at the root of a chain, without colours and paths."""
    while error.__cause__ is not None:
        error = error.__cause__
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in plain.splitlines() if line.strip() and not line.startswith(PREAMBLES)]
    return f"{type(error).__name__}: {(lines or ['no message'])[0][:160].rstrip('.')}"


def warn_of_code(path: Path, what: str) -> None:
    """Warn the caller of `to_onnx` that loading this file may run code of its author."""
    warnings.warn(f"{path}: {what} is code; convert only files whose author you trust", UserWarning, stacklevel=5)
