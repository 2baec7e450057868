"""The options of a conversion, and the result that every converter returns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnxray.errors import ConversionError

__all__ = ["Candidate", "Feed", "GradientHook", "LayerValue", "Options"]

EXPORTERS = ("default", "legacy")
OLDEST = 13

Feed = dict[str, np.ndarray]
GradientHook = Callable[[onnx.ModelProto, Feed], Feed]


@dataclass(frozen=True)
class Options:
    """The settings of one conversion; `to_onnx` documents them."""

    inputs: Any = None
    opset: int = 18
    factory: str | Callable[[], Any] | None = None
    exporter: str = "default"
    batch: int | None = None
    allow_pickle: bool = False
    allow_lambda: bool = False
    check_gradients: GradientHook | None = None
    tolerance: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        newest = onnx.defs.onnx_opset_version()
        wanted = {
            "opset": (is_whole(self.opset) and OLDEST <= self.opset <= newest, f"a number from {OLDEST} to {newest}"),
            "factory": (self.factory is None or callable(self.factory) or named(self.factory), "'module:callable'"),
            "exporter": (self.exporter in EXPORTERS, " or ".join(map(repr, EXPORTERS))),
            "batch": (self.batch is None or (is_whole(self.batch) and self.batch > 0), "a positive number, or nothing"),
            "check_gradients": (self.check_gradients is None or callable(self.check_gradients), "a function"),
            "tolerance": (self.tolerance is None or is_positive(self.tolerance), "a positive number, or nothing"),
            "seed": (is_whole(self.seed) and self.seed >= 0, "a whole number from 0"),
        }
        for name, (fits, form) in wanted.items():
            if not fits:
                raise ConversionError(f"{name}={getattr(self, name)!r} is not understood; give {form}")


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number, of Python or numpy."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def is_positive(value: Any) -> bool:
    """Whether a value is a finite number above zero."""
    return isinstance(value, (int, float, np.number)) and bool(math.isfinite(value) and value > 0)


def named(factory: Any) -> bool:
    """Whether a factory is written as "module:callable"."""
    return isinstance(factory, str) and all(factory.partition(":"))


@dataclass(frozen=True)
class LayerValue:
    """A layer's value in its framework, and the letters of its axes there (empty where unknown)."""

    value: np.ndarray
    axes: str


@dataclass(frozen=True)
class Candidate:
    """A converted model beside the means to check it against its framework.

    `outputs`, `layers` and `gradients` run the framework. `layers` gives a reason in words for a layer without
    a value. `scopes` (named after the scopes of node names) lists, by
    layer, the tensors that may be its output, the likeliest first; `layer_map` decides by their values. `gradients`
    takes a feed, the weights of the sum over the first output, and whether to compute in float64; it gives None
    where the framework cannot.
    """

    model: onnx.ModelProto
    source: str
    specs: Sequence[Any]
    packages: tuple[str, ...]
    outputs: Callable[[Feed], list[np.ndarray]]
    layers: Callable[[Feed], Mapping[str, LayerValue | str]]
    scopes: Mapping[str, list[str]]
    gradients: Callable[[Feed, np.ndarray, bool], Feed | None]
