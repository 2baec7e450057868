"""The results of this machine's 8-bit kernels: on x86 with AVX2 but no VNNI, products of uint8 and int8 saturate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnxray.diagnostics.byte_products import products_saturate

__all__ = ["exact_products", "products_saturate"]

WEIGHT_AND_ZERO_POINT = {"DequantizeLinear": (0, 2), "QLinearConv": (3, 5), "QLinearMatMul": (3, 5)}  # places of inputs


def exact_products(file: Path) -> onnx.ModelProto:
    """A model whose 8-bit products are exact on this machine: the file's own, or with its int8 weights as uint8.

    Weights and zero points are moved up by 128, so both stand for the same real numbers.
    """
    model = onnx.load(file)
    if not products_saturate():
        return model
    arrays = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    arrays |= {
        n.output[0]: arrays[n.input[0]] for n in model.graph.node if n.op_type == "Identity" and n.input[0] in arrays
    }
    moved: dict[str, np.ndarray] = {}
    for node in model.graph.node:
        weight, zero = WEIGHT_AND_ZERO_POINT.get(node.op_type, (0, len(node.input)))
        if zero < len(node.input) and node.input[weight] in arrays and arrays[node.input[weight]].dtype == np.int8:
            for place in (weight, zero):
                name = node.input[place]
                node.input[place] = f"{name}/uint8"
                moved[node.input[place]] = (arrays[name].astype(np.int16) + 128).astype(np.uint8)
    read = {name for node in model.graph.node for name in node.input}
    kept = [one for one in model.graph.initializer if one.name in read]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in moved.items())
    return model
