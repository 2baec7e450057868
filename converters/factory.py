"""Files of weights alone, for a model that the caller's factory builds."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from onnxray.errors import ConversionError

from .candidates import Options
from .quiet import converting

__all__ = ["built", "refuse_factory"]


def refuse_factory(path: Path, options: Options) -> None:
    """A file that holds a whole model needs no factory, and one that is given is a mistake."""
    if options.factory is not None:
        raise ConversionError(f"{path}: holds a whole model; factory= is for files of weights alone: leave it out")


def built(path: Path, options: Options) -> Any:
    """The factory's model, for the weights of a file."""
    if options.factory is None:
        raise ConversionError(f"{path}: holds weights without a model; give factory='module:callable' that builds it")
    return called(options.factory)


def called(factory: str | Callable[[], Any]) -> Any:
    """Call what builds the model, imported first where it is named as "module:callable"."""
    name, _, attribute = ("", "", "") if callable(factory) else factory.partition(":")
    advice = "write it as module:callable, with the module on sys.path and a callable without arguments"
    with converting(f"factory {getattr(factory, '__qualname__', factory)!r} failed", advice):
        if callable(factory):
            return factory()
        return getattr(importlib.import_module(name), attribute)()
