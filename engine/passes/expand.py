"""Replaces operators that have no rule by the function body that the ONNX standard gives them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from ..errors import UnsupportedOperator
from ..graph.model import LIFT_CONSTANTS, infer_shapes
from ..graph.traversal import subgraphs
from .fold_shapes import fold_shapes
from .optimiser_safe import optimiser_safe

__all__ = ["expand_nodes"]

_DOMAIN = "onnxray.expanded"
_REDUCED = ("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")


def expand_nodes(program: ir.Model, nodes: Iterable[ir.Node]) -> bool:
    """Expands, in place, those of the nodes that have a function body; true where there is one."""
    opset = program.graph.opset_imports[""]
    bodies = [body for k, node in enumerate(nodes) if (body := _call_body(node, k, opset))]
    for body in bodies:
        program.functions[body.identifier()] = body
    if bodies:
        program.opset_imports[_DOMAIN] = 1
        InlinePass()(program)
        program.opset_imports.pop(_DOMAIN)
        LIFT_CONSTANTS(program)
        infer_shapes(program)
        optimiser_safe(program)
        fold_known_shapes(program)
    return bool(bodies)


def fold_known_shapes(program: ir.Model) -> bool:
    """Decides what the shapes decide; true where that was something."""
    steps = 0
    while fold_shapes(program):
        infer_shapes(program)
        steps += 1
    return steps > 0


def _call_body(node: ir.Node, number: int, opset: int) -> ir.Function | None:
    """Turns a node into a call of a function that holds its body, None where the standard has none."""
    _check_reduction(node)
    proto = _function_proto(node, opset)
    if proto is None:
        return None
    for name, default in _defaults(node, opset).items():
        if name not in node.attributes:
            node.attributes.add(default)
    proto.domain, proto.name = _DOMAIN, f"{node.op_type}_{number}"
    node.domain, node.op_type = proto.domain, proto.name
    body = ir.serde.deserialize_function(proto)
    body.opset_imports[""] = opset  # the standard gives each opset at which a body changes one of its own
    return body


def _check_reduction(node: ir.Node) -> None:
    """Refuses another reduction than the standard's three: its body would sum, onnxruntime takes the mean."""
    reduction = node.attributes.get_string("reduction", "mean") if node.op_type in _REDUCED else "mean"
    if reduction not in ("mean", "none", "sum"):
        where = f"operator {node.op_type} (node {node.name!r})"
        raise UnsupportedOperator(f"{where} has the reduction {reduction!r}, which is none of mean, none, sum")


def _defaults(node: ir.Node, opset: int) -> dict[str, ir.Attr]:
    """The default values of attributes, which the function body reads where the node has none."""
    attributes = onnx.defs.get_schema(node.op_type, opset, node.domain).attributes
    given = {name: a.default_value for name, a in attributes.items() if a.default_value.name}
    return {name: ir.serde.deserialize_attribute(value) for name, value in given.items()}


def _function_proto(node: ir.Node, opset: int) -> onnx.FunctionProto | None:
    if next(subgraphs(node), None) is not None:
        return None  # onnx-ir inlines no function that takes graphs
    try:
        schema: Any = onnx.defs.get_schema(node.op_type, opset, node.domain)
    except onnx.defs.SchemaError:
        return None
    if schema.has_function:
        body = schema.get_function_with_opset_version(max(v for v in schema.function_opset_versions if v <= opset))
    elif schema.has_context_dependent_function:
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= opset]
        types = [_type_of(value) for value in node.inputs]
        body = schema.get_context_dependent_function_with_opset_version(
            max(versions), ir.serde.serialize_node(node).SerializeToString(), types
        )
    else:
        return None
    return _as_called(onnx.FunctionProto.FromString(body), node)


def _as_called(body: onnx.FunctionProto, node: ir.Node) -> onnx.FunctionProto:
    """A body with the outputs that the node has; a constant stands in for what it leaves out, as the node does."""
    del body.output[len(node.outputs) :]
    made = {name for inner in body.node for name in inner.output}
    for name in [name for name in body.output if name not in made]:
        constant = body.node.add(op_type="Constant", output=[name])
        constant.attribute.add(name="value_float", type=onnx.AttributeProto.FLOAT, f=0.0)
    for k, output in enumerate(node.outputs):
        output.name = output.name or f"{node.outputs[0].name}:{k}"
    return body


def _type_of(value: ir.Value | None) -> bytes:
    return b"" if value is None else ir.serde.serialize_value(value).type.SerializeToString()
