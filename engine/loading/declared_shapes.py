"""Shapes that a file declares: put aside before inference, and taken back where inference knows no better."""

from __future__ import annotations

import keyword
from collections.abc import Iterable, Mapping

import onnx_ir as ir

from ..support.caller import warn_caller

__all__ = ["forget_shapes", "recall_shapes"]


def forget_shapes(program: ir.Model) -> dict[ir.Value, ir.Shape]:
    """Removes the shapes of what nodes compute, in place, and gives them by value.

    A dimension whose name is no identifier, such as "?", or whose size is negative becomes an unknown one: two of them
    need not be equal.
    """
    found = {}
    for graph in program.graphs():
        for value in (*graph.inputs, *(y for node in graph for y in node.outputs)):
            if value.shape is None:
                continue
            shape = ir.Shape([_unnamed(dim) for dim in value.shape])
            value.shape = shape if value.producer() is None else None
            if value.producer() is not None:
                found[value] = shape
    return found


def recall_shapes(program: ir.Model, declared: Mapping[ir.Value, ir.Shape]) -> bool:
    """Takes declared shapes back where inference has none; true where there was one.

    What inference knows is what will be computed, so it counts where the two contradict each other; a warning says so.
    """
    names = {
        dim.value for value in program.graph.inputs for dim in value.shape or () if isinstance(dim, ir.SymbolicDim)
    }
    wrong, found = [], False
    for value, shape in declared.items():
        if value.shape is not None and _contradict(value.shape, shape):
            wrong.append(f"{value.name!r} {_text(shape)}, which is {_text(value.shape)}")
            continue
        merged = ir.Shape(
            [_better(*pair, names) for pair in zip(value.shape or [None] * len(shape), shape, strict=True)]
        )
        if value.shape is None or list(merged) != list(value.shape):
            value.shape, found = merged, True
    if wrong:
        warn_caller(f"the file declares {_listed(wrong)}; what its operators compute counts")
    return found


def _unnamed(dim: int | ir.SymbolicDim) -> int | ir.SymbolicDim:
    """A dimension without a name that is no identifier; exporters also write "None", and -1 as a size."""
    if isinstance(dim, int):
        return dim if dim >= 0 else ir.SymbolicDim(None)
    name = dim.value
    return dim if name is None or (name.isidentifier() and not keyword.iskeyword(name)) else ir.SymbolicDim(None)


def _contradict(computed: ir.Shape, declared: ir.Shape) -> bool:
    if len(computed) != len(declared):
        return True
    pairs = zip(computed, declared, strict=True)
    return any(isinstance(p, int) and isinstance(q, int) and p != q for p, q in pairs)


def _better(
    computed: int | ir.SymbolicDim | None, declared: int | ir.SymbolicDim, names: set[str | None]
) -> int | ir.SymbolicDim:
    """The known size of a dimension: a number before a name, and of names those that inputs have.

    The others may be those that inference makes up.
    """
    named = isinstance(computed, ir.SymbolicDim) and computed.value is not None and computed.value in names
    if isinstance(computed, int) or named:
        return computed  # type: ignore[return-value]
    if isinstance(declared, int) or (declared.value is not None and declared.value in names):
        return declared
    return computed if computed is not None else ir.SymbolicDim(None)


def _text(shape: Iterable[int | ir.SymbolicDim]) -> str:
    return "(" + ", ".join(str(dim) if isinstance(dim, int) else dim.value or "?" for dim in shape) + ")"


def _listed(texts: list[str]) -> str:
    return ", ".join(texts[:3]) + (f" and {len(texts) - 3} more wrong shapes" if len(texts) > 3 else "")
