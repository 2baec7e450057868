"""Replaces open dimensions of the inputs by the sizes of the data at hand: rules then take their fast forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from ..model import Model, infer_shapes

__all__ = ["fix_shapes"]


def fix_shapes(model: Model, shapes: Mapping[str, Sequence[int | str | None]]) -> None:
    """Sets the shapes of inputs, in place, and infers all others anew; behind operators without inference they stay."""
    renamed: dict[str, int | ir.SymbolicDim] = {}
    for value in model.inputs:
        if (shape := shapes.get(str(value.name))) is not None:
            before, value.shape = list(value.shape or ()), ir.Shape(shape)
            pairs = zip(before, value.shape, strict=False)
            renamed |= {str(old.value): new for old, new in pairs if isinstance(old, ir.SymbolicDim) and old.value}
    outputs = [output for node in model.graph.all_nodes() for output in node.outputs]
    known = {output: output.shape for output in outputs if output.shape is not None and not output.shape.is_static()}
    for output in known:
        output.shape = None
    infer_shapes(model.program)
    for output, shape in known.items():
        if output.shape is None:
            output.shape = ir.Shape([d if isinstance(d, int) else renamed.get(str(d.value), d) for d in shape])
