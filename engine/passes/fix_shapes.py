"""Replaces open dimensions of the inputs by the sizes of the data at hand: rules then take their fast forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx_ir as ir

from ..graph.model import Model, infer_shapes

__all__ = ["fix_shapes", "settled"]


def fix_shapes(model: Model, shapes: Mapping[str, Sequence[int | str | None]]) -> None:
    """Sets the shapes of inputs, in place, and infers all others anew; behind operators without inference they stay.

    Sizes that a file declared wrongly, and that nothing contradicted while the inputs were open, do not outlive this.
    """
    renamed: dict[str, int | ir.SymbolicDim] = {}
    for value in model.inputs:
        if (shape := shapes.get(str(value.name))) is not None:
            old_shape, value.shape = list(value.shape or ()), ir.Shape(shape)
            pairs = zip(old_shape, value.shape, strict=False)
            renamed |= {str(old.value): new for old, new in pairs if isinstance(old, ir.SymbolicDim) and old.value}
    outputs = [output for node in model.graph.all_nodes() for output in node.outputs]
    before = {output: output.shape for output in outputs if output.shape is not None}
    for output in before:
        output.shape = None
    infer_shapes(model.program)
    for output, known in before.items():
        dims = [d if isinstance(d, int) else renamed.get(str(d.value), d) for d in known]
        output.shape = ir.Shape(dims if output.shape is None else settled(output.shape, dims))


def settled(inferred: ir.Shape, before: Sequence[int | ir.SymbolicDim]) -> list[int | ir.SymbolicDim]:
    """Inferred sizes; a size that inference leaves open keeps its known value."""
    if len(inferred) != len(before):
        return list(inferred)
    return [p if isinstance(p, int) or not isinstance(q, int) else q for p, q in zip(inferred, before, strict=True)]
