"""GridSample in every mode, TensorScatter, MaxUnpool, Col2Im and the pools by a p-norm."""

import numpy as np
from gradcheck import Case, away, normal

_SIZE = "ceil_mode and auto_pad with a stride need the image's size"


def _grid(x, grid, id="", opset=20, **attributes):
    """Places within the image and beyond it, none near a pixel's centre or half way between two."""
    steps = np.random.default_rng(5).integers(-3, 9, grid) + np.random.default_rng(6).uniform(0.1, 0.4, grid)
    size = np.array(x[:1:-1])
    places = (2 * steps - 1 + attributes.get("align_corners", 0)) / (size - attributes.get("align_corners", 0)) - 1
    return Case("GridSample", [normal(*x), places + 2 / size], attributes, opset=opset, id=id)


def _lp(shape, symbolic="all", id="", **attributes):
    return Case("LpPool", [away(*shape)], attributes, symbolic=symbolic, why=_SIZE, id=id)


_INDICES = np.array([5, 7, 13, 15, 1, 2, 11, 14]).reshape(1, 1, 2, 4)

CASES = [
    *(
        _grid((2, 3, 5, 6), (2, 3, 4, 2), mode=mode, padding_mode=padding, align_corners=align,
              id=f"{mode}-{padding}-{align}")
        for mode in ("linear", "nearest", "cubic")
        for padding in ("zeros", "border", "reflection")
        for align in (0, 1)
    ),
    _grid((2, 3, 5, 6), (2, 3, 4, 2), opset=18, mode="bilinear", id="opset-18"),
    _grid((2, 2, 5, 4, 6), (2, 3, 1, 2, 3), id="volume"),
    *(
        Case("AffineGrid", [normal(2, 2, 3), np.array([2, 3, 4, 5])], {"align_corners": align}, constants=[1],
             opset=20, symbolic="batch", why="the number of coordinates must be known", id=f"plane-{align}")
        for align in (0, 1)
    ),
    Case("AffineGrid", [normal(2, 3, 4), np.array([2, 3, 4, 5, 3])], constants=[1], opset=20, symbolic="batch",
         why="the number of coordinates must be known", id="volume"),
    _lp((2, 3, 6, 6), kernel_shape=[2, 2], strides=[2, 2]),
    _lp((2, 3, 7, 6), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], p=3, id="overlap"),
    _lp((2, 3, 9), kernel_shape=[3], p=1, id="1d"),
    Case("GlobalLpPool", [away(2, 3, 4, 5)]),
    Case("GlobalLpPool", [away(2, 3, 4)], {"p": 3}, id="cubes"),
    Case("MaxUnpool", [normal(1, 1, 2, 4), _INDICES], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    Case("Col2Im", [normal(2, 12, 15), np.array([4, 6]), np.array([2, 2])], constants=[1, 2]),
    Case("Col2Im", [normal(2, 12, 15), np.array([4, 6]), np.array([2, 2])], symbolic="none", id="computed",
         why="the number of the image's axes must be known"),
    Case("Col2Im", [normal(1, 12, 6), np.array([5, 6]), np.array([3, 2])],
         {"strides": [2, 2], "pads": [1, 0, 0, 1], "dilations": [1, 2]}, constants=[1, 2], id="strides-pads-dilations"),
    Case("TensorScatter", [normal(2, 3, 6, 4), normal(2, 3, 2, 4, seed=1), np.array([1, 4])], opset=24),
    Case("TensorScatter", [normal(2, 3, 6, 4), normal(2, 3, 2, 4, seed=1), np.array([1, 5])], {"mode": "circular"},
         opset=24, id="circular"),
    Case("TensorScatter", [normal(2, 6, 4), normal(2, 2, 4, seed=1)], {"axis": 1}, opset=24, id="from-the-start"),
]  # fmt: skip
