"""The blurred input as a baseline: what is left of a picture or a series without its details."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..graph.builder import GraphBuilder
from .baseline import Baseline, baseline_array
from .example_baselines import example_value
from .explained import Explained

__all__ = ["baseline_value"]

_WORD = "blurred"
_SHARE = 20  # of the shortest side: 11 elements of 224, as Fong and Vedaldi (2017, arXiv:1704.03296) blur by 10


def baseline_value(g: GraphBuilder, x: ir.Value, baseline: Baseline, about: Explained) -> ir.Value:
    """A baseline that broadcasts over x: a constant, an input of the graph where each example has its own, or with
    "blurred" and "blurred:SIGMA" x under a Gaussian.

    SIGMA is in elements, by default a twentieth of the shortest axis; beyond the edge lies the last element again.
    """
    given = baseline.get(about.name, 0.0) if isinstance(baseline, Mapping) else baseline
    of_each = example_value(g, x, baseline, about)
    if of_each is not None:
        return of_each
    if not isinstance(given, str) or given.partition(":")[0] != _WORD:
        return g.constant(baseline_array(baseline, about), x.dtype)
    places = {k: size for k, size in enumerate(about.shape) if k != about.channels}
    if about.channels is None or None in about.shape:
        raise InputError(
            f"baseline {given!r} for input {about.name!r}: only a picture or series of known size with channels can be "
            f"blurred, not {about.shape}"
        )
    sigma = _sigma(given, min(size or 0 for size in places.values()))
    for k, size in places.items():
        axis = k if about.batch is None or k < about.batch else k + 1
        x = _along(g, x, blur_matrix(size or 0, sigma), axis)
    return x


def _sigma(given: str, shortest: int) -> float:
    text = given.partition(":")[2] or str(shortest / _SHARE)
    try:
        sigma = float(text)
    except ValueError:
        sigma = 0.0
    if not 0 < sigma < np.inf:
        raise InputError(f"baseline {given!r}: give 'blurred', or 'blurred:10' with a number of elements above 0")
    return sigma


def blur_matrix(size: int, sigma: float) -> np.ndarray:
    """size x size: each row holds the weights of one blurred element; the Gaussian is cut at 4 sigma."""
    reach = int(4 * sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    rows, matrix = np.arange(size)[:, None], np.zeros((size, size))
    np.add.at(matrix, (rows, (rows + offsets).clip(0, size - 1)), weights / weights.sum())
    return matrix


def _along(g: GraphBuilder, x: ir.Value, matrix: np.ndarray, axis: int) -> ir.Value:
    last = g.rank(x) - 1
    if axis == last:
        return g.MatMul(x, g.constant(matrix.T, x.dtype))
    if axis == last - 1:
        return g.MatMul(g.constant(matrix, x.dtype), x)
    turn = [{axis: last, last: axis}.get(k, k) for k in range(last + 1)]
    return g.Transpose(g.MatMul(g.Transpose(x, perm=turn), g.constant(matrix.T, x.dtype)), perm=turn)
