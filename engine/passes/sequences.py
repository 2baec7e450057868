"""Resolves sequences before the run: what was put in is what comes out.

A sequence is traced back through what inserted into it and erased from it to the tensors that it was made of. That
takes positions and lengths that are known before the run; the one exception is a position in tensors of one shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.inline import inlined
from ..graph.shapes import constant_of, static_shape
from .decompositions import padded_inputs
from .rewrite import rewrite_nodes

__all__ = ["RESOLVED", "decompose_sequences"]

MOST_PARTS = 10_000  # each becomes a node
_HANDED_ON = ("Identity", "Optional", "OptionalGetElement", "SequenceErase", "SequenceInsert")


def decompose_sequences(program: ir.Model, nodes: Iterable[ir.Node]) -> bool:
    """Works in place; true where a tensor was taken out of a sequence."""
    found = [
        node for node in nodes if node.domain == "" and node.op_type in _DECOMPOSITIONS and _resolvable(node, program)
    ]
    return rewrite_nodes(program, found, lambda g, node: _DECOMPOSITIONS[node.op_type](g, node))


def _resolvable(node: ir.Node, program: ir.Model) -> bool:
    """Whether to try: an unresolvable sequence is refused by name, unless it may lie off the path, in a subgraph."""
    if node.op_type == "SplitToSequence":
        return _lengths(node) is not None
    try:
        return _parts(node) is not None or bool(_elements(node.inputs[0]))
    except ValueError:
        return node.graph is program.graph


def _elements(value: Any) -> list[Any]:
    """The tensors that a sequence holds."""
    steps = []
    while (node := value.producer()) is not None and node.op_type in _HANDED_ON and node.inputs:
        steps.append(node)
        value = node.inputs[0]
    if node is None:
        raise ValueError(f"its sequence {value.name!r} comes from outside, so that its tensors are not known")
    if node.op_type not in ("SequenceConstruct", "SequenceEmpty"):
        raise ValueError(f"how many tensors {node.op_type} {node.name!r} puts in a sequence only the run will tell")
    found = list(node.inputs)
    for step in reversed(steps):
        _change(found, step)
    return found


def _change(found: list[Any], step: ir.Node) -> None:
    """Puts in or takes out what a node puts in or takes out."""
    if step.op_type == "SequenceInsert":
        found.insert(_position(step, 2, len(found)), step.inputs[1])
    elif step.op_type == "SequenceErase":
        del found[_position(step, 1, len(found) - 1)]


def _position(node: ir.Node, k: int, default: int) -> int:
    value = node.inputs[k] if len(node.inputs) > k else None
    known = constant_of(value)
    if value is not None and known is None:
        raise ValueError(f"the position at which {node.op_type} {node.name!r} works only the run will tell")
    return default if known is None else int(known.reshape(()))


def _at(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """One tensor; at a computed position where all have one shape."""
    (sequence, position), split = node.inputs, _parts(node)
    if split is not None:
        return [_slice(g, split, position)]
    found, known = _elements(sequence), constant_of(position)
    if known is not None:
        return [g.Identity(found[int(known.reshape(()))])]
    shapes = {static_shape(x) for x in found}
    if len(shapes) != 1 or None in shapes:
        raise ValueError("a computed position needs tensors of one known shape")
    return [g.Gather(g.Concat(*(g.Unsqueeze(x, [0]) for x in found), axis=0), position, axis=0)]


def _parts(node: Any) -> ir.Node | None:
    """The split into parts of length 1, however many, that a node reads."""
    split = node.inputs[0].producer()
    if node.op_type == "SequenceMap" or split is None or split.op_type != "SplitToSequence":
        return None
    size = constant_of(split.inputs[1]) if len(split.inputs) > 1 else np.array(1)
    return split if size is not None and size.ndim == 0 and size == 1 else None


def _slice(g: GraphBuilder, split: Any, position: ir.Value) -> ir.Value:
    axis = split.attributes.get_int("axis", 0)
    taken = g.Gather(split.inputs[0], g.Cast(position, to=ir.DataType.INT64), axis=axis)
    return g.Unsqueeze(taken, [axis]) if _keeps(split) else taken


def _keeps(split: Any) -> bool:
    """Whether the parts keep the axis along which they were cut."""
    return len(split.inputs) > 1 or bool(split.attributes.get_int("keepdims", 1))


def _pieces(g: GraphBuilder, split: Any) -> ir.Value:
    """The parts of length 1, one above the other along a first axis."""
    x, rank = split.inputs[0], g.rank(split.inputs[0])
    axis = split.attributes.get_int("axis", 0) % rank
    first = g.Transpose(x, perm=[axis, *range(axis), *range(axis + 1, rank)])
    return g.Unsqueeze(first, [axis + 1]) if _keeps(split) else first


def _gathered(g: GraphBuilder, pieces: ir.Value, axis: int, new: bool) -> ir.Value:
    """Pieces side by side along one of their axes, or along a new one."""
    rank = g.rank(pieces) - 1
    axis %= rank + new
    turned = g.Transpose(pieces, perm=[*range(1, axis + 1), 0, *range(axis + 1, rank + 1)])
    return (
        turned if new else g.reshape(turned, [*[0] * axis, -1, *(g.dim(pieces, k) for k in range(axis + 2, rank + 1))])
    )


def _joined(g: GraphBuilder, node: Any) -> list[ir.Value]:
    axis, new, split = node.attributes.get_int("axis"), node.attributes.get_int("new_axis", 0), _parts(node)
    if split is not None:
        return [_gathered(g, _pieces(g, split), axis, bool(new))]
    found = _elements(node.inputs[0])
    if new:
        found = [g.Unsqueeze(x, [axis]) for x in found]
    return [g.Concat(*found, axis=axis)]


def _lengths(node: Any) -> list[int] | None:
    """The lengths of the parts of a split, None where only the run will tell or where they are too many for nodes."""
    x, sizes = padded_inputs(node, 2)
    known = constant_of(sizes)
    if known is not None and known.ndim == 1:
        return [int(n) for n in known]
    if x.shape is None or (sizes is not None and known is None):
        return None
    whole, step = x.shape[node.attributes.get_int("axis", 0)], 1 if known is None else int(known)
    if not isinstance(whole, int) or step < 1 or whole > step * MOST_PARTS:
        return None
    return [min(step, whole - k) for k in range(0, whole, step)]


def _split(g: GraphBuilder, node: Any) -> list[ir.Value]:
    axis, lengths = node.attributes.get_int("axis", 0), _lengths(node) or []
    many = g.Split(node.inputs[0], lengths, axis=axis, outputs=len(lengths))
    parts = many if len(lengths) > 1 else [many]
    return [g.SequenceConstruct(*(parts if _keeps(node) else [g.Squeeze(part, [axis]) for part in parts]))]


def _mapped(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """The body once for every tensor of the first sequence."""
    body, first = node.attributes["body"].as_graph(), _elements(node.inputs[0])
    given = [_elements(x) if isinstance(x.type, ir.SequenceType) else [x] * len(first) for x in node.inputs[1:]]
    results = [inlined(g, body, row) for row in zip(first, *given, strict=True)]
    return [g.SequenceConstruct(*parts) for parts in zip(*results, strict=True)]


_DECOMPOSITIONS: dict[str, Callable[[GraphBuilder, Any], Sequence[ir.Value]]] = {
    "ConcatFromSequence": _joined,
    "SequenceAt": _at,
    "SequenceMap": _mapped,
    "SplitToSequence": _split,
}
# All that is gone where a sequence is resolved.
RESOLVED = frozenset({*_DECOMPOSITIONS, "SequenceConstruct", "SequenceErase", "SequenceInsert"})
