"""What a caller may ask of a conversion, and what every converter hands back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

__all__ = ["Candidate", "Feed", "GradientHook", "LayerValue", "Options"]

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


@dataclass(frozen=True)
class LayerValue:
    """What a layer gave in its framework, and the letters of its axes there (empty where unknown)."""

    value: np.ndarray
    axes: str


@dataclass(frozen=True)
class Candidate:
    """A converted model beside the means to check it against its framework.

    `outputs`, `layers` and `gradients` run the framework. `layers` gives a reason in words for a layer without
    a value. `scopes` lists, for a layer, the tensors that may be its output, the likeliest first. `gradients`
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
