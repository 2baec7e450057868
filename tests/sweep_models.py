"""Small models of kinds whose real files take seconds for each method: an int8 classifier, a detector."""

from __future__ import annotations

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from by_hand import Array, model, normal

__all__ = ["ANY_BOX", "detector", "quantised"]

ANY_BOX = [-1.0, -1.0, 0.0, *[np.nan] * 4]  # as a saved file is told: of any example and class the best, anywhere
GRIDS = ((8, 4), (2, 2), (2, 1))  # the kernel and step of each convolution, and the cells a side behind it


def quantised(source: onnx.ModelProto, given: dict[str, Array]) -> onnx.ModelProto:
    """As onnxruntime's tool leaves a net: QuantizeLinear and DequantizeLinear around every convolution and matrix."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Samples(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = [given]

        def get_next(self) -> Any:
            return self.left.pop() if self.left else None

    logging.disable(logging.WARNING)
    with TemporaryDirectory() as folder:
        before, after = Path(folder, "float.onnx"), Path(folder, "int8.onnx")
        onnx.save(source, before)
        quantize_static(before, after, Samples(), QuantFormat.QDQ, reduce_range=True)
        made = onnx.load(after)
    logging.disable(logging.NOTSET)
    assert [node.op_type for node in made.graph.node].count("QuantizeLinear") > 1
    return made


def detector() -> onnx.ModelProto:
    """A YOLOX of 3 x 32 x 32: three grids of cells, each with a place, a size, how sure it is, three classes."""
    lines, weights, before = [], {}, "x"
    for k, (step, side) in enumerate(GRIDS):
        inputs = 3 if k == 0 else 16
        weights |= {f"W{k}": normal(16, inputs, step, step) / step / inputs**0.5, f"b{k}": normal(16, seed=k)}
        weights |= {f"H{k}": normal(8, 16, 1, 1, seed=k) / 2, f"s{k}": np.array([0, 8, side * side])}
        lines.append(f"c{k} = Conv<strides=[{step}, {step}]>({before}, W{k}, b{k}) r{k} = Relu(c{k})")
        lines.append(f"h{k} = Conv(r{k}, H{k}) f{k} = Reshape(h{k}, s{k})")
        before = f"r{k}"
    lines.append("j = Concat<axis=2>(f0, f1, f2) t = Transpose<perm=[0, 2, 1]>(j)")
    lines.append("a, b = Split<axis=2>(t, parts) s = Sigmoid(b) y = Concat<axis=2>(a, s)")
    text = f"net (float[N, 3, 32, 32] x) => (float[N, 21, 8] y) {{ {' '.join(lines)} }}"
    return model(text, weights | {"parts": np.array([4, 4])})
