"""Sizes of a Reshape into which an exporter wrote the fixed number of examples, copied from what it reshapes."""

from __future__ import annotations

from itertools import zip_longest

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.model import Model
from ..graph.shapes import constant_of

__all__ = ["copy_batch"]


def copy_batch(model: Model, batch: int) -> None:
    """Writes 0, which copies a size, where such a Reshape keeps an axis of that length, in place.

    Of four examples with four scores each, Reshape(x, [4, -1]) would otherwise count examples along its second axis.
    """
    g = GraphBuilder(model.graph, prefix="batch")
    for node in model.graph:
        if node.domain == "" and node.op_type == "Reshape" and not node.attributes.get_int("allowzero", 0):
            sizes, x = constant_of(node.inputs[1]), node.inputs[0]
            before = list(x.shape) if x is not None and x.shape is not None else []
            if sizes is not None and any(size == batch == old for size, old in zip(sizes, before, strict=False)):
                copied = [0 if size == batch == old else size for size, old in zip_longest(sizes.tolist(), before)]
                node.replace_input_with(1, g.constant(copied[: sizes.size], ir.DataType.INT64))
