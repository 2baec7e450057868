"""Puts the library's gradient nodes into the caller's graph: lowered to standard operators, or as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx_ir as ir

from ..autodiff.backward import BROADCASTING
from ..errors import BuilderError
from ..graph.builder import GraphBuilder
from ..graph.shapes import same_shape
from .lowering import LOWERINGS, ForwardNode, lower
from .patch import GRADIENT_OF

__all__ = ["Graft", "needed_nodes"]

_REPEATING = BROADCASTING | {"Gemm"}


def needed_nodes(
    graph: ir.Graph, outputs: Iterable[str], known: Mapping[str, Any], forward: Mapping[str, ir.Node]
) -> list[ir.Node]:
    """The nodes that outputs depend on, up to values that are known already, in graph order."""
    wanted, found = set(outputs), []
    for node in reversed(graph):
        made = [value.name for value in node.outputs]
        if any(name in wanted and name not in known for name in made):
            found.append(node)
            wanted.update(str(x.name) for x in (*node.inputs, *_forward_reads(node, forward)) if x is not None)
    return found[::-1]


def _forward_reads(node: ir.Node, forward: Mapping[str, ir.Node]) -> Sequence[ir.Value | None]:
    """The values of its forward node that the lowering of a training operator reads, be it only for their shape."""
    origin = forward.get(forward_name(node))
    if origin is None:
        return []
    repeating = origin.op_type in _REPEATING
    reads = [x for x in origin.inputs if repeating and x is not None and not same_shape(x, origin.outputs[0])]
    places = {f"x{k}": v for k, v in enumerate(origin.inputs)} | {f"y{k}": v for k, v in enumerate(origin.outputs)}
    row = LOWERINGS.get(node.op_type)
    named = (*row.inputs, *row.outputs) if row else ()
    return [*reads, *(places.get(place) for place in named if isinstance(place, str))]


def forward_name(node: ir.Node) -> str:
    """The name of the forward node that a gradient's node belongs to."""
    return (node.name or "").rsplit(GRADIENT_OF, 1)[0]


def _described(new: ir.Value, old: ir.Value, name: str | None) -> ir.Value:
    """An output with the name, or the old one's, and with the old one's type and shape."""
    new.name = name if name is not None else old.name
    new.type, new.shape = new.type or old.type, new.shape or old.shape
    return new


@dataclass(eq=False)
class Graft:
    """One gradient graph on its way into another: the values by name, and what is known of some of them."""

    g: GraphBuilder
    forward: Mapping[str, ir.Node]
    values: dict[str, ir.Value]
    lowered: bool = True
    shapes: dict[str, ir.Value] = field(default_factory=dict)  # of which value a shape is
    widths: dict[str, ir.Value] = field(default_factory=dict)  # which value was repeated along these axes

    def add(self, node: ir.Node) -> None:
        """Emits what one node computes."""
        self.g.prefix = f"grad/{forward_name(node)}"
        inputs = [None if x is None or not x.name else self.value(x) for x in node.inputs]
        if not self.lowered:
            results = self._raw(node, inputs)
        elif node.op_type in LOWERINGS and GRADIENT_OF in (node.name or ""):
            results = lower(self.g, node, inputs, self._forward_of(node))
        else:
            results = self._emitter(node)(node, inputs)
        for output, result in zip(node.outputs, results, strict=False):
            if output.name and result is not None:
                self.values[output.name] = self._unbroadcast(node, output.name, result)

    def _unbroadcast(self, node: ir.Node, name: str, result: ir.Value) -> ir.Value:
        """Sums a gradient to the shape of its value: the library takes open dimensions of two names for equal."""
        origin = self.forward.get(forward_name(node))
        if not self.lowered or origin is None or origin.op_type not in _REPEATING:
            return result
        for x in origin.inputs:
            if x is not None and re.fullmatch(rf"{re.escape(str(x.name))}_grad(_\d+)?", name):
                repeated = not same_shape(x, origin.outputs[0])
                return self.g.sum_to(result, self.value(x)) if repeated else self.g.shaped_like(result, x)
        return result

    def value(self, x: ir.Value) -> ir.Value:
        """The value of that name; constants of the library's come in when they are read."""
        name = str(x.name)
        if name not in self.values:
            if x.const_value is None:
                raise BuilderError(f"onnxruntime-training's gradient graph reads {name!r}, which nothing computes")
            array = x.const_value.numpy()
            self.values[name] = self.g.constant(array, ir.DataType.from_numpy(array.dtype))
        return self.values[name]

    def _forward_of(self, node: ir.Node) -> ForwardNode:
        name = forward_name(node)
        origin = self.forward.get(name)
        if origin is None:
            raise BuilderError(f"operator {node.op_type} (node {node.name!r}) belongs to no node of the model")
        inputs, outputs = (
            [self.values.get(str(v.name)) if v else None for v in vs] for vs in (origin.inputs, origin.outputs)
        )
        return ForwardNode(origin.op_type, inputs, outputs, origin.attributes, name)

    def _emitter(self, node: ir.Node) -> Callable[[ir.Node, Sequence[Any]], Sequence[Any]]:
        special = getattr(self, f"_{node.op_type}", None)
        return special or (self._standard if node.domain == "" else self._unknown)

    def _unknown(self, node: ir.Node, inputs: Sequence[Any]) -> Sequence[Any]:
        raise BuilderError(f"operator {node.domain}::{node.op_type} (node {node.name!r}) has no standard form here")

    def _standard(self, node: ir.Node, inputs: Sequence[Any]) -> Sequence[Any]:
        emit = getattr(self.g, node.op_type, None)
        if emit is None:
            return self._unknown(node, inputs)
        while inputs and inputs[-1] is None:
            inputs = inputs[:-1]
        several = {"outputs": len(node.outputs)} if len(node.outputs) > 1 else {}
        made = emit(*inputs, **several, **node.attributes)
        return made if isinstance(made, tuple) else [made]

    def _Trilu(self, node: ir.Node, inputs: Sequence[Any]) -> Sequence[Any]:
        return [self.g.Trilu(*inputs, upper=node.attributes.get_int("upper", 1))]

    def _raw(self, node: ir.Node, inputs: Sequence[Any]) -> Sequence[Any]:
        """The node as it is; where only an output is new of a node that is there, that output."""
        equal = self._equal_node(node)
        if equal is not None:
            equal.resize_outputs(len(node.outputs))
            return [_described(new, old, new.name) for new, old in zip(equal.outputs, node.outputs, strict=True)]
        made = ir.node(
            node.op_type, inputs, domain=node.domain, num_outputs=len(node.outputs), name=self.g.fresh(str(node.name))
        )
        made.attributes.update(node.attributes)
        self.g.graph.append(made)
        self.g.graph.opset_imports.setdefault("com.microsoft", 1)
        return [
            _described(new, old, self.g.fresh(old.name) if old.name else "")
            for new, old in zip(made.outputs, node.outputs, strict=True)
        ]

    def _equal_node(self, node: ir.Node) -> ir.Node | None:
        first = self.values.get(str(node.outputs[0].name))
        found = first.producer() if first is not None else None
        return found if found is not None and found.op_type == node.op_type else None

    # Operators that say more here than alone ---------------------------------------------------------------

    def _Identity(self, node: ir.Node, inputs: Sequence[Any]) -> Sequence[Any]:
        return inputs

    def _Shape(self, node: ir.Node, inputs: Sequence[Any]) -> Sequence[Any]:
        if node.attributes.get_int("start", 0) or node.attributes.get_int("end", None) is not None:
            return self._standard(node, inputs)
        self.shapes[str(node.outputs[0].name)] = inputs[0]
        return [self.g.shape(inputs[0])]

    def _Reshape(self, node: ir.Node, inputs: Sequence[Any]) -> Sequence[Any]:
        like, origin = self._shape_of(node), self.forward.get(forward_name(node))
        if like is None:
            return self._standard(node, inputs)
        repeated = origin is not None and origin.op_type in {*_REPEATING, "Expand"}
        return [(self.g.sum_to if repeated else self.g.reshape_like)(inputs[0], like)]

    def _Expand(self, node: ir.Node, inputs: Sequence[Any]) -> Sequence[Any]:
        like = self._shape_of(node)
        return self._standard(node, inputs) if like is None else [self.g.expand_like(inputs[0], like)]

    def _shape_of(self, node: ir.Node) -> ir.Value | None:
        """The value whose shape a node takes for its second input."""
        return self.shapes.get(str(node.inputs[1].name)) if node.inputs[1] else None

    def _BroadcastGradientArgs(self, node: ir.Node, inputs: Sequence[Any]) -> Sequence[Any]:
        """The axes along which each of two shapes was repeated: kept back for the sums over them."""
        of = [self.shapes.get(str(x.name)) for x in node.inputs if x is not None]
        if None in of:
            return self._unknown(node, inputs)
        self.widths |= {str(v.name): value for v, value in zip(node.outputs, of, strict=True) if v.name and value}
        return of

    def _ReduceSum(self, node: ir.Node, inputs: Sequence[Any]) -> Sequence[Any]:
        axes = str(node.inputs[1].name) if len(node.inputs) > 1 and node.inputs[1] else ""
        if axes in self.widths:
            return [self.g.sum_to(inputs[0], self.widths[axes])]
        defaults = {"keepdims": 1, "noop_with_empty_axes": 0}
        return [self.g.ReduceSum(*inputs, **{name: node.attributes.get_int(name, n) for name, n in defaults.items()})]

    _ReduceSumTraining = _ReduceSum

    def _Scale(self, node: ir.Node, inputs: Sequence[Any]) -> Sequence[Any]:
        """Times a scalar of any type, or over it."""
        x, scale = inputs
        factor = scale if scale.dtype == x.dtype else self.g.Cast(scale, to=x.dtype)
        return [(self.g.Div if node.attributes.get_int("scale_down", 0) else self.g.Mul)(x, factor)]

    def _FusedMatMul(self, node: ir.Node, inputs: Sequence[Any]) -> Sequence[Any]:
        turned = [
            self.g.swap_last(x) if node.attributes.get_int(flag, 0) else x
            for x, flag in zip(inputs, ("transA", "transB"), strict=True)
        ]
        alpha = node.attributes.get_float("alpha", 1.0)
        product = self.g.MatMul(*turned)
        return [product if alpha == 1.0 else self.g.Mul(product, np.float32(alpha))]
