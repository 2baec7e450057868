"""How much memory a row takes, and how many rows a budget allows."""

from __future__ import annotations

import math

import onnx_ir as ir

from .errors import InputError
from .model import Model
from .passes.fix_shapes import fix_shapes
from .shapes import static_shape

__all__ = ["bytes_per_row", "parse_memory"]

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
    """What all values that a graph computes for one row take together.

    An upper bound: the runtime frees what is used no more. Open dimensions count as 1, as batches do.
    """
    single = model.copy()
    shapes = {str(v.name): [d if isinstance(d, int) else 1 for d in v.shape or ()] for v in single.inputs}
    fix_shapes(single, shapes)
    return sum(_bytes(value) for node in single.graph.all_nodes() for value in node.outputs)


def _bytes(value: ir.Value) -> int:
    """Nothing for texts, which are names of classes."""
    shape = static_shape(value)
    return (
        0
        if shape is None or value.dtype in (None, ir.DataType.STRING)
        else int(math.prod(shape) * value.dtype.itemsize)
    )
