"""Cuts out the part of a tensor that a model goes on with before the layers that compute each place by itself.

A vision transformer classifies by its first token: of the last block, the products of all other tokens but their keys
and values are computed for nothing, and the reverse pass computes their gradients, which are 0. Here the node that
takes the token stays, and the nodes before it are given only that token.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.shapes import axis_before, constant_of
from ..graph.traversal import inputs_of, subgraphs

__all__ = ["slice_early"]

_EACH = frozenset({
    "Abs", "Cast", "Ceil", "Celu", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity",
    "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Selu", "Sigmoid", "Sign",
    "Softplus", "Softsign", "Sqrt", "Swish", "Tanh",
})  # fmt: skip
_TOGETHER = frozenset({"Add", "And", "Div", "Max", "Mean", "Min", "Mul", "Or", "Pow", "Sub", "Sum", "Where"})
_NORMS = frozenset({"LayerNormalization", "RMSNormalization"})
_SUMS = frozenset({"LogSoftmax", "Softmax"})


@dataclass(frozen=True)
class _Part:
    """Places along an axis, from ``start`` on to before ``end``."""

    axis: int
    start: int
    end: int


def slice_early(program: ir.Model, kept: Collection[ir.Value] = ()) -> bool:
    """Works in place, and tells whether it changed anything; the ``kept`` values and all outputs stay whole."""
    plan = _Plan({*kept, *program.graph.outputs}, _hulls(program.graph))
    for node in reversed(program.graph):
        if any(y.uses() or y.is_graph_output() for y in node.outputs):
            plan.visit(node)
    if not any(node.op_type == "MatMul" for node in plan.narrow):
        return False
    _rewrite(GraphBuilder(program.graph, prefix="early"), plan)
    program.graph.sort()
    return True


@dataclass
class _Plan:
    """The parts that are asked of values by nodes behind them, and the nodes that need to compute no more than that.

    ``narrow``: by node, the parts that it asks of its inputs; it reads all of its other inputs.
    """

    whole: set[ir.Value]
    hulls: Mapping[tuple[ir.Value, int], _Part]
    asked: dict[ir.Value, _Part] = field(default_factory=dict)
    narrow: dict[ir.Node, dict[int, _Part]] = field(default_factory=dict)
    takers: dict[ir.Node, _Part] = field(default_factory=dict)

    def visit(self, node: ir.Node) -> None:
        """Takes a node in, behind which all were."""
        needs = self._needs(node)
        for k, x in enumerate(node.inputs):
            if x is not None and k in needs:
                self._ask(x, needs[k])
        self.whole.update(x for k, x in enumerate(node.inputs) if x is not None and k not in needs)
        self.whole.update(x for graph in subgraphs(node) for x in _read_in(graph))

    def _needs(self, node: ir.Node) -> dict[int, _Part]:
        x, part = node.inputs[0] if node.inputs else None, self.asked.get(node.outputs[0])
        if x is not None and (taken := _taken(node)) is not None and (hull := self.hulls.get((x, taken.axis))):
            self.takers[node] = taken
            return {0: hull}
        if part is None or len(node.outputs) > 1 or node.outputs[0] in self.whole:
            return {}
        needs = _inputs_for(node, part)
        if needs:
            self.narrow[node] = needs
        return needs

    def _ask(self, value: ir.Value, part: _Part) -> None:
        if self.asked.setdefault(value, part) != part:
            self.whole.add(value)

    def part_of(self, value: ir.Value) -> _Part | None:
        """The part that a value comes to hold."""
        return self.asked[value] if value.producer() in self.narrow else None


def _read_in(graph: ir.Graph) -> Iterator[ir.Value]:
    """What a subgraph reads, of the graphs around it, too."""
    yield from graph.outputs
    for node in graph:
        yield from inputs_of(node)


def _hulls(graph: ir.Graph) -> dict[tuple[ir.Value, int], _Part]:
    """All that is taken of a value along an axis, where that is at most half of it."""
    found: dict[tuple[ir.Value, int], _Part] = {}
    for node in graph:
        x, taken = node.inputs[0] if node.inputs else None, _taken(node)
        if x is not None and taken is not None:
            one = found.setdefault((x, taken.axis), taken)
            found[x, taken.axis] = _Part(taken.axis, min(one.start, taken.start), max(one.end, taken.end))
    return {(x, axis): one for (x, axis), one in found.items() if 2 * (one.end - one.start) <= _size(x, axis)}


def _taken(node: ir.Node) -> _Part | None:
    """The places that a node takes along the only axis that it cuts; None where it does not, or a run tells which."""
    x = node.inputs[0] if node.inputs else None
    if node.domain or x is None or x.shape is None or node.op_type not in ("Gather", "Slice"):
        return None
    given = [constant_of(one) for one in node.inputs[1:]]
    if any(one is None or one.size != 1 for one in given):
        return None
    first, *others = (int(one.reshape(())) for one in given if one is not None)
    if node.op_type == "Slice" and (len(others) < 2 or others[2:] not in ([], [1])):
        return None
    axis = (others[1] if others else node.attributes.get_int("axis", 0)) % len(x.shape)
    size = _size(x, axis)
    start, end = _clipped(first, size), _clipped(others[0], size) if others else _clipped(first, size) + 1
    return _Part(axis, start, end) if 0 <= start < end <= size else None


def _clipped(place: int, size: int) -> int:
    return max(0, min(place + size if place < 0 else place, size))


def _inputs_for(node: ir.Node, part: _Part) -> dict[int, _Part]:
    """The parts of its inputs that a node reads for a part of its result; none where it reads all of one."""
    y, op = node.outputs[0], node.op_type
    rank, x = len(y.shape or ()), node.inputs[0] if node.inputs else None
    if node.domain or x is None or x.shape is None or not _size(y, part.axis):
        return {}
    if op in _TOGETHER:
        return _aligned(node, range(len(node.inputs)), part)
    if op == "MatMul":
        sides = {rank - 1: [1], rank - 2: [0]}.get(part.axis, [0, 1])
        return _aligned(node, sides, part) if all(v is not None and len(v.shape or ()) > 1 for v in node.inputs) else {}
    if op == "Transpose":
        return {0: replace(part, axis=node.attributes.get_ints("perm", range(rank)[::-1])[part.axis])}
    if op == "Reshape":
        return _reshaped(x, y, part)
    reduced = node.attributes.get_int("axis", -1) % rank
    apart = op in _EACH or (op in _NORMS and part.axis < reduced) or (op in _SUMS and part.axis != reduced)
    return {0: part} if apart else {}


def _aligned(node: ir.Node, which: Iterable[int], part: _Part) -> dict[int, _Part]:
    """The parts of inputs that are broadcast: none of those of size 1 along the axis."""
    y, found = node.outputs[0], {}
    for k in which:
        x = node.inputs[k]
        if x is None or x.shape is None:
            return {}
        axis = part.axis - len(y.shape or ()) + len(x.shape)
        if axis >= 0 and x.shape[axis] != 1:
            if _size(x, axis) != _size(y, part.axis):
                return {}
            found[k] = replace(part, axis=axis)
    return found


def _reshaped(x: ir.Value, y: ir.Value, part: _Part) -> dict[int, _Part]:
    """The same places before a Reshape that keeps the axis, and whose new sizes can be told."""
    sizes, own = list(y.shape or ()), axis_before(x, y, part.axis)
    told = 0 not in sizes and sum(not isinstance(size, int) for size in sizes) <= 1
    return {0: replace(part, axis=own)} if own is not None and told else {}


def _size(x: ir.Value, axis: int) -> int:
    """The size of an axis, 0 where a run tells it."""
    size = x.shape[axis] if x.shape is not None else None
    return size if isinstance(size, int) else 0


def _rewrite(g: GraphBuilder, plan: _Plan) -> None:
    cut: dict[tuple[ir.Value, _Part], ir.Value] = {}
    for node, needs in plan.narrow.items():
        for k, part in needs.items():
            x = node.inputs[k]
            if x is not None and plan.part_of(x) is None:
                if (x, part) not in cut:
                    cut[x, part] = g.Slice(x, [part.start], [part.end], [part.axis])
                node.replace_input_with(k, cut[x, part])
    for node in plan.narrow:
        _narrow(g, node.outputs[0], plan.asked[node.outputs[0]])
    for node, taken in plan.takers.items():
        part = plan.part_of(node.inputs[0])  # pyright: ignore[reportArgumentType]
        if part is not None:
            _count_from(g, node, taken, part.start)


def _narrow(g: GraphBuilder, y: ir.Value, part: _Part) -> None:
    """The shape of a part, which a Reshape has to be told."""
    sizes, node = list(y.shape or ()), y.producer()
    sizes[part.axis] = part.end - part.start
    y.shape = ir.Shape(sizes)
    if node is not None and node.op_type == "Reshape":
        node.replace_input_with(
            1, g.constant([size if isinstance(size, int) else -1 for size in sizes], ir.DataType.INT64)
        )


def _count_from(g: GraphBuilder, node: ir.Node, taken: _Part, start: int) -> None:
    """Counts the places that a node takes from where its input begins now."""
    for k, place in enumerate((taken.start, taken.end) if node.op_type == "Slice" else (taken.start,), start=1):
        before = constant_of(node.inputs[k])
        if before is not None:
            node.replace_input_with(k, g.constant(np.full_like(before, place - start)))
