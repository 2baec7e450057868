"""Replaces open dimensions of the inputs by the sizes of the data at hand: rules then take their fast forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from ..model import Model, infer_shapes

__all__ = ["fix_shapes"]


def fix_shapes(model: Model, shapes: Mapping[str, Sequence[int | str | None]]) -> None:
    """Sets the shapes of inputs, in place, and infers all others anew."""
    for value in model.inputs:
        if (shape := shapes.get(str(value.name))) is not None:
            value.shape = ir.Shape(shape)
    for node in model.graph.all_nodes():
        for output in node.outputs:
            if output.shape is not None and not output.shape.is_static():
                output.shape = None
    infer_shapes(model.program)
