"""Reductions over axes, running sums and products, softmax."""

import numpy as np
from gradcheck import Case, away, distinct, normal, positive

_DATA = {"ReduceMax": distinct, "ReduceMin": distinct, "ReduceL1": away, "ReduceLogSum": positive}
_REDUCTIONS = [
    *("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd"),
    *("ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"),
]


def _axes(*axes: int) -> np.ndarray:
    return np.array(axes, np.int64)


def _reduction(op: str, name: str, shape: tuple[int, ...], axes: np.ndarray | None = None, **attributes: int) -> Case:
    inputs = [_DATA.get(op, normal)(*shape)] + ([] if axes is None else [axes])
    return Case(op, inputs, attributes, constants=[] if axes is None else [1], id=name)


def _reductions(op: str) -> list[Case]:
    return [
        _reduction(op, "all", (2, 3)),
        _reduction(op, "all-dropped", (2, 3, 2), keepdims=0),
        _reduction(op, "noop", (2, 3), noop_with_empty_axes=1),
        _reduction(op, "noop-dropped", (2, 3), keepdims=0, noop_with_empty_axes=1),
        _reduction(op, "empty", (2, 3), _axes()),
        _reduction(op, "empty-noop", (2, 3), _axes(), keepdims=0, noop_with_empty_axes=1),
        _reduction(op, "last", (2, 3, 4), _axes(-1), keepdims=0),
        _reduction(op, "first", (3, 2), _axes(0)),
        _reduction(op, "middle", (2, 3, 4), _axes(1), keepdims=0),
        _reduction(op, "spatial", (2, 3, 4, 2), _axes(2, 3), keepdims=0),
        _reduction(op, "several", (2, 3, 2, 2), _axes(-1, 0)),
        _reduction(op, "apart", (2, 3, 1, 2, 2), _axes(-4, 4), keepdims=0),
    ]


_ZEROS = np.array([[0.0, 1.5, -2.0], [0.5, 0.0, 0.0], [0.7, -1.2, 2.0]])

CASES = [
    *(case for op in _REDUCTIONS for case in _reductions(op)),
    Case("ReduceMax", [distinct(2, 3, 4), _axes(1)], {"keepdims": 0}, constants=[1], opset=20, id="opset-20"),
    Case("ReduceProd", [_ZEROS, _axes(1)], {"keepdims": 0}, constants=[1], id="zeros"),
    Case("CumSum", [normal(3, 4), np.array(1)], constants=[1]),
    Case("CumSum", [normal(3, 4), np.array(-2)], {"exclusive": 1}, constants=[1], id="exclusive"),
    Case("CumSum", [normal(2, 3, 4), np.array(1)], {"reverse": 1}, id="reverse-computed-axis"),
    Case("CumSum", [normal(2, 3, 4), np.array(2)], {"exclusive": 1, "reverse": 1}, constants=[1], id="both"),
    Case("CumProd", [normal(3, 4), np.array(1)], constants=[1], opset=26),
    Case("CumProd", [normal(3, 4), np.array(-2)], {"exclusive": 1}, constants=[1], opset=26, id="exclusive"),
    Case("CumProd", [normal(2, 3, 4), np.array(1)], {"reverse": 1}, opset=26, id="reverse-computed-axis"),
    *(
        Case("CumProd", [_ZEROS, np.array(1)], flags, constants=[1], opset=26, id="-".join(["zeros", *flags]))
        for flags in ({}, {"exclusive": 1}, {"reverse": 1}, {"exclusive": 1, "reverse": 1})
    ),
    *(Case(op, [normal(3, 4)]) for op in ("Softmax", "LogSoftmax")),
    *(Case(op, [normal(2, 3, 4)], {"axis": 1}, id="axis") for op in ("Softmax", "LogSoftmax")),
    *(Case(op, [normal(2, 3, 2, 2, 2)], {"axis": -4}, id="negative-axis") for op in ("Softmax", "LogSoftmax")),
    *(Case(op, [normal(3)], {"axis": 0}, id="vector") for op in ("Softmax", "LogSoftmax")),
]
