"""Baselines that each example has for itself, or that hang on all of them: inputs of the graph beside the model's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..graph.builder import GraphBuilder
from .baseline import Baseline
from .explained import Explained
from .group_nodes import example_input, rows_along

__all__ = ["MEAN", "example_baselines", "example_value"]

MEAN = "mean"


def example_value(g: GraphBuilder, x: ir.Value, baseline: Baseline, about: Explained) -> ir.Value | None:
    """The baseline of each row in the shape of x, an input of the graph; None where all rows have the same."""
    if _of_each(baseline, about) is None:
        return None
    given = example_input(g, _input_name(about), ir.DataType.FLOAT, about.shape, x, about)
    return g.shaped_like(g.CastLike(rows_along(g, given, about), x), x)


def example_baselines(
    baseline: Baseline, arrays: Mapping[str, np.ndarray], explained: Mapping[str, Explained]
) -> dict[str, np.ndarray]:
    """The arrays (N, *example) of those inputs; ``arrays`` are the model's own. InputError for what does not fit."""
    found = {}
    for name, about in explained.items():
        given = _of_each(baseline, about)
        if isinstance(given, str):
            given = _mean(arrays.get(name), about)
        if given is not None:
            found[_input_name(about)] = given
    return found


def _input_name(about: Explained) -> str:
    return f"baseline/{about.name}"


def _of_each(baseline: Baseline, about: Explained) -> np.ndarray | str | None:
    """An array with one more axis than an example, whose first axis counts several, or the word for their mean."""
    given = baseline.get(about.name, 0.0) if isinstance(baseline, Mapping) else baseline
    if about.batch is None or isinstance(given, str):
        return MEAN if about.batch is not None and isinstance(given, str) and given == MEAN else None
    array = given if isinstance(given, np.ndarray) else np.zeros(())
    if array.ndim != len(about.shape) + 1 or len(array) < 2:
        return None
    fits = all(m in (n, None) for n, m in zip(array.shape[1:], about.shape, strict=True))
    return array.astype(np.float32) if fits and np.isfinite(array).all() else None


def _mean(array: np.ndarray | None, about: Explained) -> np.ndarray:
    """The mean of the examples of an input, for each of them."""
    examples = None if array is None or about.batch is None else np.moveaxis(array, about.batch, 0)
    if examples is None or examples.dtype.kind != "f":
        raise InputError(f"baseline 'mean': {about.name!r} is no input of numbers; give its mean as an array")
    if len(examples) < 2:
        raise InputError("baseline 'mean' of one example is that example; give several, or the mean of your data")
    return np.broadcast_to(examples.mean(0, dtype=np.float64).astype(np.float32), examples.shape)
