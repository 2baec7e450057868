"""Fourier transforms and determinants."""

import numpy as np
from gradcheck import Case, normal


def _dft(*shape: int, length: int | None = None, axis: int = 1, opset: int = 20, id: str = "", **attributes: int):
    if opset < 20:
        inputs, attributes = [normal(*shape)], attributes | {"axis": axis}
    else:
        inputs = [normal(*shape), None, np.array(axis)]
    if length is not None:
        inputs[1:2] = [np.array(length)]
    constants = [k for k in (1, 2) if k < len(inputs) and inputs[k] is not None]
    return Case("DFT", inputs, attributes, constants=constants, symbolic="batch", opset=opset, id=id,
                why="whether the last axis is 1 or 2 tells real numbers from complex ones")  # fmt: skip


CASES = [
    _dft(2, 6, 3, 1),
    _dft(2, 6, 3, 2, id="complex"),
    _dft(2, 6, 3, 2, inverse=1, id="inverse"),
    _dft(2, 7, 1, onesided=1, id="one-sided"),
    _dft(2, 6, 1, onesided=1, id="one-sided-even"),
    _dft(2, 6, 1, length=9, id="longer"),
    _dft(2, 6, 2, length=4, id="shorter"),
    _dft(2, 6, 1, length=4, onesided=1, id="shorter-one-sided"),
    Case("DFT", [normal(2, 3, 6, 1)], opset=20, symbolic="batch", why="as above", id="last-axis"),
    _dft(2, 6, 3, 1, opset=18, id="opset-18"),
    _dft(2, 6, 3, 2, opset=18, inverse=1, id="opset-18-inverse"),
    Case("DFT", [normal(2, 6, 3, 1), None, np.array(1)], opset=20, symbolic="batch", why="as above",
         id="computed-axis"),
    *(
        Case("STFT", [normal(2, 17, 1), np.array(3), window, np.array(6)], {"onesided": onesided}, constants=[1, 3],
             symbolic="batch", why="as for DFT", id=f"{name}-{onesided}")
        for name, window in (("window", normal(6)), ("plain", None))
        for onesided in (0, 1)
    ),
    Case("Inverse", [normal(3, 4, 4)], domain="com.microsoft", ranks=[3]),
    Case("Inverse", [normal(2, 2)], domain="com.microsoft", ranks=[2], id="single"),
    Case("Det", [normal(3, 4, 4)], symbolic="batch", why="the size of the matrices must be known"),
    Case("Det", [normal(2, 2)], symbolic="none", why="the size of the matrices must be known", id="single"),
    Case("Det", [np.ones((2, 3, 3))], symbolic="batch", why="the size of the matrices must be known", id="singular"),
    Case("Det", [normal(2, 1, 1)], symbolic="batch", why="the size of the matrices must be known", id="1x1"),
]  # fmt: skip
