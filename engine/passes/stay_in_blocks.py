"""Keeps elementwise nodes in onnxruntime's blocked layout, in a graph that onnxruntime has optimised for the CPU.

A convolution there reads and makes images in blocks, between ReorderInput and ReorderOutput nodes of a domain of its
own. What computes each element by itself may read the blocks, too: both nodes are gone then, each a pass over memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from ..graph.shapes import constant_of, static_shape
from ..graph.traversal import inputs_of

__all__ = ["DOMAIN", "late_order", "stay_in_blocks"]

DOMAIN = "com.microsoft.nchwc"
_ELEMENTWISE = frozenset({
    "Abs", "Add", "And", "Clip", "Div", "Equal", "Erf", "Exp", "Greater", "GreaterOrEqual", "HardSigmoid", "Identity",
    "IsNaN", "Less", "LessOrEqual", "Max", "Min", "Mul", "Neg", "Not", "Or", "Reciprocal", "Relu", "Sigmoid", "Sign",
    "Sqrt", "Sub", "Tanh", "Where",
})  # fmt: skip
_Size = tuple[int | str, ...]


def stay_in_blocks(program: ir.Model, block: int) -> bool:
    """Computes in blocks of so many channels what lies between two convolutions; False where nothing does.

    The nodes of the graph are in order, before and after.
    """
    graph, blocks = program.graph, _Blocks(program.graph, block)
    for node in graph:
        blocks.look_at(node)
    entries = [node for node in graph if _is_border(node, "ReorderInput") and node.inputs[0] in blocks.sizes]
    for node in entries:
        node.outputs[0].replace_all_uses_with(blocks.of(node.inputs[0]))  # type: ignore[arg-type]
    blocks.leave()
    RemoveUnusedNodesPass()(program)
    return bool(entries)


def late_order(graph: ir.Graph) -> None:
    """Orders the nodes so that a node's longest way is computed first, and its other inputs when they are due.

    What a reverse pass reads of the forward pass then comes into the cache once.
    """
    steps: dict[ir.Node, int] = {}
    for node in graph:
        steps[node] = 1 + max((steps[maker] for maker in _makers(node)), default=0)
    ends = [maker for output in reversed(graph.outputs) if (maker := output.producer()) is not None]
    waiting = [*reversed(graph), *ends]
    found: dict[ir.Node, None] = {}
    while waiting:
        unknown = {maker for maker in _makers(waiting[-1]) if maker not in found}
        if unknown:
            waiting.extend(sorted(unknown, key=steps.__getitem__))
        else:
            found[waiting.pop()] = None
    graph.remove(list(found))
    graph.extend(found)


@dataclass(frozen=True)
class _Blocks:
    """The values of a graph that could be in blocks of ``block`` channels, by channels, height and width; and those
    that are."""

    graph: ir.Graph
    block: int
    sizes: dict[ir.Value, _Size] = field(default_factory=dict)
    made: dict[ir.Value, ir.Value] = field(default_factory=dict)

    def look_at(self, node: ir.Node) -> None:
        """Notes what leaves the blocks, and what is computed of such values, constants of their size and scalars."""
        y = node.outputs[0]
        if _is_border(node, "ReorderOutput") and (size := self._size(y)):
            self.sizes[y], self.made[y] = size, node.inputs[0]  # type: ignore[assignment]
        elif numbers := _numbers(node):
            sizes = {self.sizes[x] for x in numbers if x in self.sizes}
            if len(sizes) == 1 and all(self._fits(x, *sizes) for x in numbers):
                self.sizes[y] = sizes.pop()

    def of(self, value: ir.Value) -> ir.Value:
        """The value in blocks, computed by nodes beside those that compute it outside of them."""
        waiting = [value]
        while waiting:
            node: ir.Node = waiting[-1].producer()  # type: ignore[assignment]
            unknown = [x for x in node.inputs if x in self.sizes and x not in self.made]
            if waiting[-1] in self.made or not unknown:
                last = waiting.pop()
                self.made[last] = self.made.get(last) or self._again(node)
            else:
                waiting.extend(unknown)  # type: ignore[arg-type]
        return self.made[value]

    def leave(self) -> None:
        """Takes values out of their blocks for other readers, so that nothing is computed twice for them."""
        for value, blocked in list(self.made.items()):
            others = [(user, place) for user, place in value.uses() if user.outputs[0] not in self.made]
            if others and _is_computed_float(value) and not value.is_graph_output():
                channels = ir.AttrInt64("channels", int(self.sizes[value][0]))
                out = ir.Node(DOMAIN, "ReorderOutput", [blocked], [channels], name=f"{value.name}/out")
                for user, place in others:
                    user.replace_input_with(place, out.outputs[0])
                self._put(out, value, blocked)

    def _again(self, node: ir.Node) -> ir.Value:
        inputs = [self._in_blocks(x, self.sizes[node.outputs[0]]) for x in node.inputs]
        attributes = list(node.attributes.values())
        y = node.outputs[0]
        return self._put(ir.Node("", node.op_type, inputs, attributes, name=f"{y.name}/blocked"), y, y)

    def _put(self, node: ir.Node, old: ir.Value, after: ir.Value) -> ir.Value:
        """Adds a node that computes an old value in another way, behind what computes a value that there is."""
        y = node.outputs[0]
        y.name, y.shape, y.type = node.name, old.shape, old.type
        self.graph.insert_after(after.producer(), node)  # type: ignore[arg-type]
        return y

    def _in_blocks(self, value: ir.Value | None, size: _Size) -> ir.Value | None:
        if value is not None and value not in self.made and _is_constant(value, size):
            self.made[value] = self._cut(value)
        return None if value is None else self.made.get(value, value)

    def _cut(self, constant: ir.Value) -> ir.Value:
        array: np.ndarray = constant_of(constant)  # type: ignore[assignment]
        n, c, h, w = array.shape
        cut = array.reshape(n, c // self.block, self.block, h, w).transpose(0, 1, 3, 4, 2)
        held = ir.tensor(np.ascontiguousarray(cut).reshape(array.shape), name=f"{constant.name}/blocked")
        blocked = ir.Value(name=held.name, const_value=held)
        self.graph.register_initializer(blocked)
        return blocked

    def _fits(self, value: ir.Value, size: _Size) -> bool:
        shape = static_shape(value)
        return value in self.sizes or _is_constant(value, size) or (shape is not None and set(shape) <= {1})

    def _size(self, value: ir.Value) -> _Size | None:
        dims = [dim if isinstance(dim, int) else dim.value for dim in value.shape or ()][1:]
        known = len(dims) == 3 and isinstance(dims[0], int) and dims[0] % self.block == 0 and None not in dims
        return tuple(dims) if known else None  # type: ignore[arg-type]


def _is_border(node: ir.Node, op: str) -> bool:
    """Whether it leads into the blocks or out of them, where channels are the second axis outside."""
    return node.domain == DOMAIN and node.op_type == op and not node.attributes.get_int("channels_last", 0)


def _is_computed_float(value: ir.Value) -> bool:
    """Whether it may leave the blocks by a node of its own, which takes float32 alone, and has not left them so."""
    node = value.producer()
    return node is not None and not _is_border(node, "ReorderOutput") and value.dtype == ir.DataType.FLOAT


def _numbers(node: ir.Node) -> Sequence[ir.Value]:
    """The inputs of a node that computes each element by itself, all but a Reshape's shape; else nothing."""
    if node.domain == "" and node.op_type == "Reshape":  # to the shape that it has
        wanted = constant_of(node.inputs[1])
        same = wanted is not None and wanted.shape == (4,) and not wanted.any()
        return [x for x in node.inputs[:1] if x is not None and same and not node.attributes.get_int("allowzero", 0)]
    each = node.domain == "" and node.op_type in _ELEMENTWISE
    return [x for x in node.inputs if x is not None] if each else []


def _is_constant(value: ir.Value, size: _Size) -> bool:
    shape = static_shape(value)
    return constant_of(value) is not None and shape is not None and len(shape) == 4 and shape[1:] == size


def _makers(node: ir.Node) -> set[ir.Node]:
    makers = {value.producer() for value in inputs_of(node)}
    return {maker for maker in makers if maker is not None and maker.graph is node.graph}
