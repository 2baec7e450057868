"""Operators that pick and put elements by index."""

import numpy as np
from gradcheck import Case, distinct, normal

from .shape import ints

_X = normal(3, 4, 5)
_TWICE = np.array([[2, 0, -1], [1, 2, 2]])  # duplicates, and -1 for the last
_ROWS = np.array([[0, 1], [2, -1], [0, 1]])  # three places of two coordinates, one twice
_PAIRS = _ROWS[:2]
_ZERO = np.where(np.arange(6).reshape(2, 3) % 3 == 1, 0.0, normal(2, 3))  # factors, some of them zero


def scatters(reduction: str) -> list[Case]:
    """The cases of both scattering operators with one reduction."""
    how = {"reduction": reduction}
    x, rows = distinct(3, 4), distinct(3, seed=1) + 0.03
    return [
        Case("ScatterElements", [x, _TWICE, distinct(2, 3, seed=1) + 0.03], how, id=reduction),
        Case("ScatterElements", [x, _TWICE, distinct(2, 3) + 0.03], {**how, "axis": -1}, id=f"{reduction}-axis"),
        Case("ScatterND", [x, _ROWS, rows], how, id=reduction),
        Case("ScatterND", [x, ints(2, -1, -1)[:, None], distinct(3, 4, seed=2) + 0.03], how, id=f"{reduction}-rows"),
    ]


CASES = [
    Case("Gather", [_X, _TWICE]),
    Case("Gather", [_X, _TWICE], {"axis": 1}, id="middle"),
    Case("Gather", [_X, _TWICE], {"axis": -1}, constants=[1], id="constant"),
    Case("Gather", [_X, np.array(1)], {"axis": 1}, constants=[1], id="one"),
    Case("Gather", [_X, np.array(-2)], {"axis": 1}, constants=[1], id="one-negative"),
    Case("Gather", [_X, ints(3)], {"axis": -1}, constants=[1], id="one-kept"),
    Case("Gather", [_X, np.array(2)], id="scalar"),
    Case("Gather", [_X, _TWICE.astype(np.int32)], id="narrow-indices"),
    Case("Gather", [_X, _TWICE.astype(np.int32)], {"axis": 1}, id="narrow-indices-middle"),
    Case("GatherElements", [normal(3, 4), _TWICE]),
    Case("GatherElements", [normal(3, 4), _TWICE], {"axis": -1}, constants=[1], id="axis"),
    Case("GatherND", [_X, _ROWS], ranks=[2]),
    Case("GatherND", [_X, np.array([[0, 1, 2], [2, -1, 0]])], constants=[1], id="elements"),
    Case("GatherND", [_X, np.array([[1], [0], [-1]])], {"batch_dims": 1}, ranks=[2], id="batch"),
    Case(
        "GatherND", [normal(2, 3, 4), ints(*range(-4, 2)).reshape(2, 3, 1)], {"batch_dims": 2}, ranks=[2], id="batch-2"
    ),
    Case("ScatterElements", [normal(3, 4), np.array([[2, 0, -2]]), normal(1, 3)]),
    Case("ScatterElements", [normal(3, 4), np.array([[2], [-4]]), normal(2, 1)], {"axis": -1}, id="axis"),
    Case("ScatterND", [_X, _PAIRS, normal(2, 5)]),
    Case("ScatterND", [_X, _PAIRS, normal(2, 5)], constants=[1], id="constant"),
    *(case for reduction in ("add", "mul", "max", "min") for case in scatters(reduction)),
    Case("ScatterElements", [normal(3, 4), _TWICE, _ZERO], {"reduction": "mul"}, id="mul-zeros"),
    Case("TopK", [distinct(3, 5), ints(2)], constants=[1], outputs=2),
    Case("TopK", [distinct(3, 5), ints(2)], {"axis": 0, "largest": 0}, outputs=2, id="smallest"),
    Case("Compress", [_X, np.array([False, True, True])], {"axis": 1}),
    Case("Compress", [_X, np.array([True, False, True])], {"axis": -1}, constants=[1], id="constant"),
    Case("Compress", [normal(2, 3), np.array([False, True, True, False, True])], id="flat"),
    Case("Unique", [distinct(2, 3)]),
    Case("Unique", [distinct(3, 2)], {"axis": 1}, outputs=4, id="axis"),
    Case("Unique", [distinct(5)], {"sorted": 0}, outputs=2, id="unsorted"),
    Case("OneHot", [_TWICE, np.array(4), normal(2)], constants=[1]),
    Case("OneHot", [np.array([0, 3, -1, 7]), np.array(4), normal(2)], {"axis": 0}, id="axis"),
]
