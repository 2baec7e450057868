"""The points of several samplers, which are their product: of each point of one, all points of the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .explained import Explained
from .samplers import ENDS, WEIGHT, Sampler

__all__ = ["of_sampler", "perturb", "points_of"]


def points_of(samplers: Sequence[Sampler], explained: Mapping[str, Explained]) -> dict[str, np.ndarray]:
    """The points of samplers: of several their product, whose weights are products too; of none no arrays.

    The arrays of the k-th sampler are named "k/...", but for the first. A point that counts nothing is left out.
    """
    each = [sampler.numbered(k).points(explained) for k, sampler in enumerate(samplers)]
    if len(each) < 2:
        return each[0] if each else {}
    places = np.array(list(product(*(range(len(next(iter(arrays.values())))) for arrays in each))))
    joint = {WEIGHT: _product(each, places, WEIGHT)}
    if any(ENDS in arrays for arrays in each):
        joint[ENDS] = _product([{WEIGHT: arrays.get(ENDS, arrays.get(WEIGHT))} for arrays in each], places, WEIGHT)
    counts = np.any([array != 0 for array in joint.values()], 0)
    counts[0] = True
    return {name: array[counts] for name, array in joint.items()} | {
        f"{k}/{name}" if k else name: array[places[counts, k]]
        for k, arrays in enumerate(each)
        for name, array in arrays.items()
        if name not in (WEIGHT, ENDS)
    }


def perturb(
    g: GraphBuilder, samplers: Sequence[Sampler], x: ir.Value, about: Explained, points: Mapping[str, ir.Value]
) -> ir.Value:
    """The input of the model at a point of all samplers, one after the other."""
    for k, sampler in enumerate(samplers):
        x = sampler.perturb(g, x, about, of_sampler(points, k))
    return x


def of_sampler(points: Mapping[str, ir.Value], k: int) -> dict[str, ir.Value]:
    """The arrays of the k-th sampler, by its own names for them."""
    mark = f"{k}/" if k else ""
    return {name.removeprefix(mark): value for name, value in points.items() if name.startswith(mark)}


def _product(each: Sequence[Mapping[str, Any]], places: np.ndarray, name: str) -> np.ndarray:
    """The product of what several samplers count the points at ``places`` (points, samplers); 1 where one has none."""
    factors = [np.ones(len(places)) if arrays.get(name) is None else arrays[name] for arrays in each]
    return np.prod([f[places[:, k]] for k, f in enumerate(factors)], 0).astype(np.float32)
