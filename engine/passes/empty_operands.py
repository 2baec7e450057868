"""Operands that must not be empty, because onnxruntime crashes or hangs on an empty one.

An operand known to be empty is refused. One that may be empty without an input of the graph being empty is reshaped to
its own shape with 1 in the place of 0: that changes nothing, and onnxruntime refuses it where the operand is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import onnx_ir as ir

from ..errors import ModelError
from ..graph.builder import GraphBuilder
from ..graph.shapes import constant_of

__all__ = ["refuse_empty_operands"]


def _kernel(_: ir.Node, rank: int) -> list[int]:
    return [0, 0, *[1] * (rank - 2)]


def _volume(node: ir.Node, rank: int) -> list[int]:
    return _kernel(node, rank) if rank == 5 else []


def _all_but_axis(node: ir.Node, rank: int) -> list[int]:
    axis = node.attributes.get_int("axis", None)
    return [] if axis is None else [int(k != axis % rank) for k in range(rank)]


def _examples(*_: Any) -> list[int]:
    return [0, 1, 0]


_MS = "com.microsoft"
# Of each operator: the operand's place, its rank if the standard fixes it, and the least size along each axis.
_PLACES: dict[ir.OperatorIdentifier, tuple[int, int | None, Callable[[Any, int], list[int]]]] = {
    ("", "Conv", ""): (1, None, _kernel),  # hangs
    ("", "ConvInteger", ""): (1, None, _kernel),  # gives memory that nothing was written to
    ("", "ConvTranspose", ""): (0, None, _volume),
    ("", "GRU", ""): (0, 3, lambda *_: [1, 1, 1]),
    ("", "LSTM", ""): (0, 3, _examples),
    ("", "QLinearConv", ""): (3, None, _kernel),
    ("", "STFT", ""): (2, 1, lambda *_: [1]),
    ("", "Unique", ""): (0, None, _all_but_axis),
    (_MS, "DynamicQuantizeLSTM", ""): (0, 3, _examples),
    (_MS, "FusedConv", ""): (1, None, _kernel),
}


def refuse_empty_operands(program: ir.Model, where: str) -> None:
    """Refuses an operand that is empty; where that is not known, adds a node that refuses it in the run, in place."""
    symbols = _sizes_of_inputs(program)
    nodes = [node for node in program.graph.all_nodes() if node.op_identifier() in _PLACES]
    for node in nodes:
        _check_frames(node, where)
    unsure = [(node, least) for node in nodes if not _is_filled(node, least := _least(node), symbols, where)]
    around = GraphBuilder(program.graph, prefix="filled") if unsure else None
    for node, least in unsure:
        if around is not None and node.graph is not None:
            g = around if node.graph is program.graph else around.nested(node.graph)
            place = _PLACES[node.op_identifier()][0]
            node.replace_input_with(place, _checked(g, node.inputs[place], least))
    if unsure:
        program.graph.sort()


def _least(node: ir.Node) -> list[int]:
    """The least sizes of the operand, none where it is left out or its rank is not known."""
    place, rank, least = _PLACES[node.op_identifier()]
    x = node.inputs[place] if place < len(node.inputs) else None
    if x is None:
        return []
    rank = rank if x.shape is None else len(x.shape)
    return least(node, rank) if rank else []


def _is_filled(node: ir.Node, least: list[int], symbols: Collection[object], where: str) -> bool:
    """Whether the operand is surely large enough; ModelError where it surely is not."""
    if not any(least):
        return True
    x: Any = node.inputs[_PLACES[node.op_identifier()][0]]
    if x.dtype in (None, ir.DataType.UNDEFINED):  # no node can be added behind a value without a type
        return True
    if x.shape is None:
        return False
    sizes = [size for size, needed in zip(x.shape, least, strict=False) if needed]
    if 0 in sizes:
        raise ModelError(f"{where}: {node.op_type} (node {node.name!r}) reads {x.name!r}, which is empty: {x.shape}")
    return all(isinstance(size, int) or size in symbols for size in sizes)


def _check_frames(node: ir.Node, where: str) -> None:
    """Refuses an STFT whose frames have no samples, by which onnxruntime would divide."""
    length = constant_of(node.inputs[3]) if node.op_type == "STFT" and len(node.inputs) > 3 else None
    if length is not None and not (length > 0).all():
        raise ModelError(f"{where}: STFT (node {node.name!r}) has a frame_length of {length.tolist()}")


def _sizes_of_inputs(program: ir.Model) -> set[object]:
    """The symbols of the inputs' sizes: an input that is empty is refused before a run."""
    shapes = [value.shape for value in program.graph.inputs if value.shape is not None]
    return {size for shape in shapes for size in shape if isinstance(size, ir.SymbolicDim) and size.value is not None}


def _checked(g: GraphBuilder, x: Any, least: list[int]) -> ir.Value:
    """The tensor, by a Reshape that fails where it is empty."""
    made = g.Reshape(x, g.Max(g.Shape(x), least))
    made.type, made.shape = x.type, x.shape
    return made
