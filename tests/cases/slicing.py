"""Operators that cut, join and pad."""

import numpy as np
from gradcheck import Case, normal

from .shape import ints

_FAR = np.iinfo(np.int64).max
_X = normal(4, 5, 6)

CASES = [
    Case("Concat", [normal(2, 3), normal(2, 1), normal(2, 4)], {"axis": 1}),
    Case("Concat", [normal(2, 3), normal(1, 3)], {"axis": -2}, id="negative"),
    Case("Concat", [normal(2, 3)], {"axis": 0}, id="one"),
    Case("Split", [normal(2, 6)], {"axis": 1, "num_outputs": 3}, outputs=3, of=[0, 1, 2]),
    Case("Split", [normal(7, 2)], {"num_outputs": 3}, outputs=3, of=[0, 2], id="uneven"),
    Case("Split", [normal(2, 6), ints(1, 3, 2)], {"axis": -1}, outputs=3, of=[1], constants=[1], id="sizes"),
    Case("Split", [normal(2, 6), ints(4, 2)], {"axis": -1}, outputs=2, of=[1], ranks=[2, 2], id="computed"),
    Case("Slice", [_X, ints(1, 0), ints(3, 4)], constants=[1, 2]),
    Case("Slice", [_X, ints(-3, 1), ints(_FAR, -2), ints(2, -2)], constants=[1, 2, 3], id="negative"),
    Case("Slice", [_X, ints(-9, 2), ints(99, 1), ints(2, 1)], constants=[1, 2, 3], id="empty"),
    Case("Slice", [_X, ints(0, 1), ints(_FAR, 9), ints(1, 2), ints(2, 2)], constants=[1, 2, 3, 4], id="step"),
    Case("Slice", [_X, ints(1), ints(5), ints(1), ints(3)], constants=[1, 2, 3, 4], id="step-3"),
    Case("Slice", [_X, ints(-1, 4), ints(-_FAR, 0), ints(0, 2), ints(-1, -3)], constants=[1, 2, 3, 4], id="backwards"),
    Case("Slice", [_X, ints(1, 0), ints(3, 4)], id="computed-ends"),
    Case("Slice", [_X, ints(-3), ints(-1), ints(1)], constants=[3], id="computed-starts"),
    Case("Slice", [_X, ints(-3), ints(-1), ints(1)], id="computed-axes"),
    Case("Slice", [_X, ints(5), ints(0), ints(-1), ints(-2)], id="computed-steps"),
    Case("Slice", [_X, np.array([1], np.int32), np.array([3], np.int32)], id="int32"),
    Case("Pad", [normal(2, 3), ints(0, 1, 2, 1)], constants=[1]),
    Case("Pad", [normal(2, 3), ints(0, 1, 2, 1), np.array(0.7)], constants=[1], id="value"),
    Case("Pad", [normal(2, 3, 4), ints(1, 0), np.array(0.7), ints(-1)], constants=[1, 3], id="axes"),
    Case("Pad", [normal(2, 3, 4), ints(1, 1), None, ints(1)], ranks=[3], id="computed"),
    Case("Pad", [normal(4, 5), ints(-1, 1, 2, -2), np.array(0.7)], constants=[1], id="crop"),
    Case("Pad", [normal(4, 5), ints(-1, 1, 2, -2), np.array(0.7)], ranks=[2], id="computed-crop"),
    *(Case("Pad", [normal(3, 4), ints(1, 2, 0, 1)], {"mode": m}, constants=[1], id=m) for m in ("reflect", "edge")),
    Case("Pad", [normal(3, 4), ints(2, 1, 0, 1)], {"mode": "wrap"}, constants=[1], opset=19, id="wrap"),
    Case("Pad", [normal(3, 4), ints(1, 2), None, ints(1)], {"mode": "reflect"}, ranks=[2], id="computed-reflect"),
]
