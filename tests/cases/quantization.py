"""Cases of quantisation that central differences can check: a dequantised tensor's gradient in its scale."""

import numpy as np
from gradcheck import Case, positive

_X = np.arange(-60, 60, 5, dtype=np.int8).reshape(2, 3, 4)


def int8(*values: int) -> np.ndarray:
    return np.array(values, np.int8)


CASES = [
    Case("DequantizeLinear", [_X, positive(), np.array(3, np.int8)], opset=21),
    Case("DequantizeLinear", [_X, positive()], opset=21, id="no-zero-point"),
    Case("DequantizeLinear", [_X, positive(3), int8(1, 0, -7)], opset=21, id="axis"),
    Case("DequantizeLinear", [_X, positive(4), int8(1, 0, -7, 5)], {"axis": -1}, constants=[2], opset=21, id="last"),
    Case("DequantizeLinear", [_X, positive(2, 3, 2)], {"axis": 2, "block_size": 2}, opset=21, id="blocks"),
    Case("DequantizeLinear", [_X, positive(2, 2, 4)], {"axis": 1, "block_size": 2}, opset=21, id="short-block"),
]
