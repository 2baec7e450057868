"""The names of sizes: the standard's inference makes one up for each size that it does not know.

It does not know the -1 of a Reshape, nor the sum of two values whose examples have different names. Two names of one
size let gradients be summed along axes that only a run tells.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import onnx_ir as ir

__all__ = ["forget_made_up", "name_sizes"]

_MADE_UP = "unk__"  # how the names begin that inference makes up
_BROADCASTING = frozenset({"Add", "Div", "MatMul", "Max", "Min", "Mul", "Pow", "Sub", "Sum", "Where"})

Size = int | ir.SymbolicDim | None


def name_sizes(graph: ir.Graph) -> None:
    """Replaces the names that were made up for sizes which have another name, in the nodes' order."""
    names: dict[str, str] = {}
    for node in graph.all_nodes():
        for new, old in _equal(node, names):
            if _is_made_up(new):
                names[new] = old
    for value in (y for node in graph.all_nodes() for y in node.outputs) if names else ():
        if value.shape is not None and any(_name(size) in names for size in value.shape):
            value.shape = ir.Shape([names.get(str(_name(size)), size) for size in value.shape])


def forget_made_up(graph: ir.Graph) -> None:
    """Leaves open what inference made up a name for, so that it may find another."""
    for value in (value for node in graph.all_nodes() for value in node.outputs):
        if value.shape is not None and any(_is_made_up(_name(size)) for size in value.shape):
            value.shape = ir.Shape([None if _is_made_up(_name(size)) else size for size in value.shape])


def _equal(node: ir.Node, names: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Names of sizes of what a node gives, each with the name of the same size of what it reads."""
    shapes = [_sizes(x, names) for x in node.inputs if x is not None]
    made = _sizes(node.outputs[0], names)
    if node.domain or made is None or not any(map(_is_made_up, made)):
        return
    if node.op_type == "Reshape" and shapes and shapes[0] is not None:
        yield from _kept(shapes[0], made)
    elif node.op_type in _BROADCASTING:
        for back in range(3 if node.op_type == "MatMul" else 1, len(made) + 1):
            read = {shape[-back] if back <= len(shape) else 1 for shape in shapes if shape is not None} - {1}
            if None not in shapes and len(read) == 1 and isinstance(one := read.pop(), str):
                yield str(made[-back]), one


def _kept(read: list[int | str | None], made: list[int | str | None]) -> Iterator[tuple[str, str]]:
    """The only open sizes before and behind a Reshape, where the others have equal products."""
    (old, given), (new, kept) = (
        ([size for size in sizes if not isinstance(size, int)], math.prod(s for s in sizes if isinstance(s, int)))
        for sizes in (read, made)
    )
    if len(old) == len(new) == 1 and given == kept and given and old[0]:
        yield str(new[0]), old[0]


def _sizes(value: ir.Value, names: dict[str, str]) -> list[int | str | None] | None:
    if value.shape is None:
        return None
    return [size if isinstance(size, int) else names.get(str(size.value), size.value) for size in value.shape]


def _name(size: Size) -> str | None:
    return size.value if isinstance(size, ir.SymbolicDim) else None


def _is_made_up(name: object) -> bool:
    return isinstance(name, str) and name.startswith(_MADE_UP)
