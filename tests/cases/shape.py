"""Operators that reshape, reorder, repeat, or pass on."""

import numpy as np
from gradcheck import Case, normal


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


CASES = [
    Case("Identity", [normal(2, 3)]),
    Case("CastLike", [normal(2, 3), normal(1)], flat=[1]),
    Case("Reshape", [normal(2, 3, 4), ints(4, 6)], constants=[1]),
    Case("Reshape", [normal(2, 3, 4), ints(0, -1)], constants=[1], id="copy-infer"),
    Case("Reshape", [normal(2, 3, 4), ints(6, 4)], ranks=[2], id="computed"),
    Case("Flatten", [normal(2, 3, 4)]),
    Case("Flatten", [normal(2, 3, 4)], {"axis": -1}, id="negative"),
    Case("Flatten", [normal(2, 3, 4)], {"axis": 0}, id="all"),
    Case("Squeeze", [normal(2, 1, 3, 1), ints(1, -1)], constants=[1]),
    Case("Squeeze", [normal(2, 1, 3), ints(1)], ranks=[2], id="computed"),
    Case("Squeeze", [normal(2, 1, 3)], ranks=[2], id="no-axes"),
    Case("Unsqueeze", [normal(2, 3), ints(1, -1)], constants=[1]),
    Case("Unsqueeze", [normal(2, 3), ints(0)], ranks=[3], id="computed"),
    Case("Transpose", [normal(2, 3, 4)]),
    Case("Transpose", [normal(2, 3, 4)], {"perm": [1, 2, 0]}, id="perm"),
    Case("Expand", [normal(3, 1), ints(2, 1, 4)], constants=[1]),
    Case("Expand", [normal(3, 1), ints(2, 3, 4)], ranks=[3], id="computed"),
    Case("Expand", [normal(2, 3), ints(1, 1)], constants=[1], id="nothing"),
    Case("Tile", [normal(2, 3), ints(2, 3)], constants=[1]),
    Case("Tile", [normal(2, 3), ints(1, 2)], constants=[1], id="one-axis"),
    Case("Tile", [normal(2, 3, 2), ints(2, 1, 3)], id="computed"),
    Case("DepthToSpace", [normal(2, 8, 2, 3)], {"blocksize": 2}),
    Case("DepthToSpace", [normal(2, 8, 2, 3)], {"blocksize": 2, "mode": "CRD"}, id="CRD"),
    Case("SpaceToDepth", [normal(2, 2, 4, 6)], {"blocksize": 2}),
    Case("Trilu", [normal(2, 3, 4)]),
    Case("Trilu", [normal(3, 4), np.array(-1)], {"upper": 0}, constants=[1], id="lower"),
    Case("Trilu", [normal(3, 4), np.array(1)], id="computed"),
    Case("ReverseSequence", [normal(4, 3, 2), ints(4, 2, 1)], constants=[1]),
    Case("ReverseSequence", [normal(3, 4), ints(4, 2, 1)], {"batch_axis": 0, "time_axis": 1}, id="batch-first"),
    Case("Dropout", [normal(2, 3)]),
    Case(
        "Dropout", [normal(2, 3), np.array(0.3), np.array(False)], constants=[1, 2], flat=[1], outputs=2, id="inference"
    ),
    Case("Range", [np.array(1.0), np.array(4.2), np.array(0.7)], flat=[1]),
]
