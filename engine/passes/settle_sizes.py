"""Sizes that inference leaves open while the number of examples is, though they do not depend on it."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir

from ..graph.infer_node import infer
from ..graph.model import Model
from ..graph.schemas import schema_of
from .fix_shapes import fix_shapes, settled
from .fold_shapes import known_value

__all__ = ["settle_sizes"]

COUNTS = (5, 7)  # of examples
Size = int | ir.SymbolicDim


def settle_sizes(model: Model, axes: Mapping[str, int | None]) -> None:
    """Fills in such sizes, in place; ``axes`` are those that count examples, by input.

    Inference makes up a name for the -1 of Reshape(x, [N, 384, -1]), as exporters write transformers, while N is open.
    A size that is equal for two numbers of examples is that of all, and one that is these numbers counts examples.
    """
    told = {size for value in model.inputs if value.shape is not None for size in value.shape}
    batch = next((s for v in model.inputs if isinstance(s := _size(v, axes.get(str(v.name))), ir.SymbolicDim)), None)
    values = _values(model)
    if batch is None or all(size in told or isinstance(size, int) for value in values for size in value.shape or ()):
        return
    few, many = (_values(_of(model, axes, count)) for count in COUNTS)
    for value, *counted in zip(values, few, many, strict=True):
        shapes = [list(one.shape) for one in (value, *counted) if one.shape is not None]
        if len(shapes) == 3 and len({len(shape) for shape in shapes}) == 1:
            value.shape = ir.Shape([_settled(a, b, c, batch) for a, b, c in zip(*shapes, strict=True)])


def _settled(size: Size, few: Size, many: Size, batch: ir.SymbolicDim) -> Size:
    if isinstance(size, int) or not isinstance(few, int) or not isinstance(many, int):
        return size
    return few if few == many else batch if (few, many) == COUNTS else size


def _of(model: Model, axes: Mapping[str, int | None], count: int) -> Model:
    """A copy for so many examples."""
    copied = model.copy()
    shapes = {
        str(v.name): [count if k == axes.get(str(v.name)) else d if isinstance(d, int) else d.value
                      for k, d in enumerate(v.shape)]
        for v in copied.inputs if v.shape is not None
    }  # fmt: skip
    fix_shapes(copied, shapes)
    _follow(copied.graph)
    return copied


def _follow(graph: ir.Graph) -> None:
    """Infers each node with the sizes that the nodes before it compute."""
    opset = graph.opset_imports[""]
    for node in graph:
        before = [y.shape for y in node.outputs]
        if node.domain == "" and (schema := schema_of(node.op_type, opset)) is not None:
            infer(schema, node, opset)
        for y, known in zip(node.outputs, before, strict=True):
            if known is not None:
                y.shape = known if y.shape is None else ir.Shape(settled(y.shape, list(known)))
        if len(node.outputs) == 1 and node.domain == "" and (found := known_value(node, opset)) is not None:
            node.outputs[0].const_value = ir.tensor(found)


def _size(value: ir.Value, axis: int | None) -> Size | None:
    return None if axis is None or value.shape is None or axis >= len(value.shape) else value.shape[axis]


def _values(model: Model) -> list[ir.Value]:
    return [value for node in model.graph.all_nodes() for value in node.outputs]
