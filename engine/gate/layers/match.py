"""Which layers of two models are the same: by the names of their tensors, else by their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

import onnx_ir as ir

from ...graph.model import Model, is_float
from ...graph.moving_operators import PASSING, QUANTIZING
from .randomise import layer_nodes

__all__ = ["Matched", "is_fixed", "match_layers"]

CONVERTING = PASSING | QUANTIZING | {"DynamicQuantizeLinear"}  # compute nothing of their own
NodePair = tuple[ir.Node, ir.Node, str | None]  # nodes, and the tensor of the second that is like that of the first
ENOUGH = 0.5  # of the reference's layers: fewer of one name, and the order decides


@dataclass(frozen=True)
class Matched:
    """A layer of both models: the name of the reference's node, its tensors, how it was matched, the matched layers
    before it, and the tensors of its weights, in pairs of reference and candidate. ``candidate`` is None where a fusion
    took its tensor away: onnxruntime drops a Relu whose range a quantisation clips, and calls the convolution's output
    by the Relu's name."""

    layer: str
    node: str
    reference: str
    candidate: str | None
    operator: str
    how: str
    before: tuple[str, ...]
    weights: tuple[tuple[str, str], ...]


def match_layers(reference: Model, candidate: Model) -> list[Matched]:
    """Matching layers in the order of the reference's graph."""
    a, b = (_layers(model) for model in (reference, candidate))
    pairs, how = _by_name(a, b), "name"
    if len(pairs) < ENOUGH * len(a):
        ordered = _by_order(a, b)
        pairs, how = (ordered, "position") if len(ordered) > len(pairs) else (pairs, how)
    called = {layer.tensor: name for name, layer in reference.layers.items()}
    before = _before(reference, {_tensor(x) for x, _, _ in pairs})
    return [
        Matched(
            called.get(_tensor(x), x.name or _tensor(x)), x.name or _tensor(x), _tensor(x), tensor, x.op_type, how,
            before[_tensor(x)], _weights(x, y),
        )
        for x, y, tensor in pairs
    ]  # fmt: skip


def _by_name(a: Sequence[ir.Node], b: Sequence[ir.Node]) -> list[NodePair]:
    """Nodes whose tensors have one name, or which have one name themselves."""
    tensors, nodes = {_tensor(node): node for node in b}, {node.name: node for node in b if node.name}
    taken, found = {_tensor(node) for node in a}, []
    for x in a:
        same, called = tensors.get(_tensor(x)), nodes.get(x.name or "")
        if called is not None and called.op_type != x.op_type:
            called = None
        if same is not None and _rank(same) == _rank(x):
            found.append((x, called if called is not None else same, _tensor(same)))
        elif called is not None:
            found.append((x, called, None if _tensor(called) in taken else _tensor(called)))
    return found


def _layers(model: Model) -> list[ir.Node]:
    """The nodes that compute something, in floats."""
    return [
        node
        for node in layer_nodes(model)
        if node.op_type not in CONVERTING and node.outputs and is_float(node.outputs[0])
    ]


def _by_order(a: Sequence[ir.Node], b: Sequence[ir.Node]) -> list[NodePair]:
    """Nodes of the same operators in the same order."""
    blocks = SequenceMatcher(None, [n.op_type for n in a], [n.op_type for n in b], autojunk=False).get_matching_blocks()
    return [(a[i + k], b[j + k], _tensor(b[j + k])) for i, j, size in blocks for k in range(size)]


def _before(model: Model, kept: set[str]) -> dict[str, tuple[str, ...]]:
    """The nearest kept tensors that each kept tensor is computed from."""
    nearest: dict[ir.Value, tuple[str, ...]] = {}
    found = {}
    for node in model.graph:
        behind = tuple(dict.fromkeys(name for v in node.inputs if v is not None for name in nearest.get(v, ())))
        for output in node.outputs:
            nearest[output] = behind
        if node.outputs and (name := str(node.outputs[0].name)) in kept:
            found[name], nearest[node.outputs[0]] = behind, (name,)
    return found


def _weights(x: ir.Node, y: ir.Node) -> tuple[tuple[str, str], ...]:
    """The names of what arrives at the same inputs of both and depends on no input."""
    pairs = zip(x.inputs, y.inputs, strict=False)
    return tuple(
        (str(a.name), str(b.name)) for a, b in pairs if a is not None and b is not None and is_fixed(a) and is_fixed(b)
    )


def is_fixed(value: ir.Value) -> bool:
    """Whether a value is a constant, or one that was dequantised."""
    node = value.producer()
    if node is None:
        return value.const_value is not None and value.const_value.size > 1
    return node.op_type in CONVERTING and node.inputs[0] is not None and is_fixed(node.inputs[0])


def _tensor(node: ir.Node) -> str:
    return str(node.outputs[0].name)


def _rank(node: ir.Node) -> int:
    """Tensors of one name but another rank are not the same layer."""
    shape = node.outputs[0].shape
    return -1 if shape is None else len(shape)
