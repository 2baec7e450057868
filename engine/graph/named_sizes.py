"""The names of sizes: the standard's inference makes one up for each size that it does not know.

A name that is found out later, from what a file declares or from the elements that a Reshape keeps, does not replace
those that inference made of it. Two names of one size let gradients be summed along axes that only a run tells.
"""

from __future__ import annotations

import math

import onnx_ir as ir

__all__ = ["forget_made_up", "name_sizes"]

_MADE_UP = "unk__"  # how the names begin that inference makes up

Size = int | ir.SymbolicDim


def name_sizes(node: ir.Node) -> bool:
    """Names the only unknown size of what a Reshape gives; true where it had none or one that was made up.

    It is the only named size of what the node reads where the others have equal products.
    """
    x, y = (node.inputs[0], node.outputs[0]) if node.op_type == "Reshape" and not node.domain else (None, None)
    if x is None or y is None or x.shape is None or y.shape is None:
        return False
    (name, given), (old, kept) = _parted(x.shape), _parted(y.shape)
    if len(name) != 1 or len(old) != 1 or given != kept or not given or not _is_unnamed(old[0]) or _is_unnamed(name[0]):
        return False
    y.shape = ir.Shape([size if isinstance(size, int) else name[0] for size in y.shape])
    return True


def forget_made_up(graph: ir.Graph) -> None:
    """Leaves open what inference made up a name for, so that it may find another."""
    for value in (value for node in graph.all_nodes() for value in node.outputs):
        if value.shape is not None and any(map(_is_made_up, value.shape)):
            value.shape = ir.Shape([None if _is_made_up(size) else size for size in value.shape])


def _parted(shape: ir.Shape) -> tuple[list[ir.SymbolicDim], int]:
    """The open sizes, and the product of the others."""
    return [size for size in shape if not isinstance(size, int)], math.prod(s for s in shape if isinstance(s, int))


def _is_unnamed(size: ir.SymbolicDim) -> bool:
    return size.value is None or _is_made_up(size)


def _is_made_up(size: Size) -> bool:
    return isinstance(size, ir.SymbolicDim) and str(size.value).startswith(_MADE_UP)
