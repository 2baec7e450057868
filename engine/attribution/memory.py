"""How much memory a session and a row take, and what a budget is."""

from __future__ import annotations

import math

import onnx_ir as ir

from ..errors import InputError
from ..graph.model import Model
from ..graph.shapes import static_shape
from ..passes.fix_shapes import fix_shapes

__all__ = ["bytes_held", "bytes_per_row", "parse_memory"]

# operators whose weights onnxruntime copies in an order of its own
_PACKED = frozenset(
    {
        "Conv", "ConvInteger", "ConvTranspose", "Gemm", "GRU", "LSTM", "MatMul", "MatMulInteger", "QLinearConv",
        "QLinearMatMul", "RNN",
    }
)  # fmt: skip
_UNITS = {"KB": 2**10, "MB": 2**20, "GB": 2**30, "B": 1}


def parse_memory(memory: str | int) -> int:
    """Bytes from a number or a text such as "512MB"."""
    text = str(memory).strip().upper()
    unit = next((unit for unit in _UNITS if text.endswith(unit)), "")
    try:
        number = int(float(text.removesuffix(unit)) * _UNITS.get(unit, 1))
        if number > 0:
            return number
        raise ValueError
    except (ValueError, OverflowError):
        raise InputError(f"memory={memory!r}: give bytes, or a text such as '512MB' or '2GB'") from None


def bytes_per_row(model: Model) -> int:
    """The memory of all values that a graph computes for one row.

    An upper bound: the runtime frees what is used no more. Open dimensions count as 1, as batches do.
    """
    single = model.copy()
    shapes = {str(v.name): [d if isinstance(d, int) else 1 for d in v.shape or ()] for v in single.inputs}
    fix_shapes(single, shapes)
    return sum(_bytes(value) for node in single.graph.all_nodes() for value in node.outputs)


def bytes_held(model: Model) -> int:
    """The memory that a session of a graph holds in addition to the weights of the graph.

    An upper bound: values computed from weights alone, which the optimiser computes once, and packed weights.
    """
    constant, computed, packed = set(model.graph.initializers.values()), set(), set()
    for node in model.graph:
        inputs = [value for value in node.inputs if value is not None]
        if all(value in constant for value in inputs):
            constant.update(node.outputs)
            continue
        read = constant.intersection(inputs)
        computed.update(value for value in read if value.producer() is not None)
        packed.update(read if node.op_type in _PACKED else ())
    return sum(_bytes(value) for group in (computed, packed) for value in group)


def _bytes(value: ir.Value) -> int:
    """Nothing for what has no known size, and for texts, which are names of classes."""
    shape, sizeless = static_shape(value), (None, ir.DataType.UNDEFINED, ir.DataType.STRING)
    return 0 if shape is None or value.dtype in sizeless else int(math.prod(shape) * value.dtype.itemsize)
