"""Computes what is known before the run: shapes and whatever is made of them, and the If that they decide.

Function bodies of the standard are written for every rank; this leaves the part that is for the rank at hand.
"""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir

from ..graph.moving_operators import CASTING
from ..graph.shapes import constant_of, static_shape

__all__ = ["fold_shapes", "known_value"]

_MOST = 1024  # elements of a constant that is worth computing
_COMPARISONS = {"And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or", "Where"}
_SUMS = {"Add", "Div", "Max", "Min", "Mod", "Mul", "Neg", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Sub"}
_MOVES = CASTING - {"Flatten", "Transpose"} | {"Concat", "Expand", "Gather", "Slice"}  # of lists of sizes
_OPS = _COMPARISONS | _SUMS | _MOVES | {"Constant", "ConstantOfShape", "Range"}


def fold_shapes(program: ir.Model) -> bool:
    """Works in place; true where an If was decided, after which more shapes may be known."""
    graph, opset, decided = program.graph, program.graph.opset_imports[""], False
    for node in list(graph):
        if node.domain == "" and node.op_type == "If":
            decided |= _decide(graph, node)
        elif (
            node.domain == ""
            and len(node.outputs) == 1
            and node.outputs[0].uses()
            and not node.outputs[0].is_graph_output()
        ):
            found = known_value(node, opset)
            if found is not None:
                node.outputs[0].replace_all_uses_with(_constant(graph, node.outputs[0], found))
    return decided


def known_value(node: ir.Node, opset: int) -> np.ndarray | None:
    """The integers or truth values that a node gives, None where only the run will tell."""
    shape = static_shape(node.inputs[0]) if node.inputs and node.inputs[0] is not None else None
    if node.op_type in ("Shape", "Size") and shape is not None:
        start, end = node.attributes.get_int("start", 0), node.attributes.get_int("end", len(shape))
        return np.array(shape[start:end] if node.op_type == "Shape" else int(np.prod(shape)), np.int64)
    if node.op_type not in _OPS:  # nor are weights read for nothing
        return None
    read = [constant_of(x) for x in node.inputs if x is not None]
    arrays = [x for x in read if x is not None and x.size <= _MOST and x.dtype.kind in "iub"]
    if len(arrays) < len(read) or not (read or node.op_type == "Constant"):
        return None
    if node.op_type == "ConstantOfShape" and arrays[0].prod() > _MOST:
        return None
    from onnx.reference import ReferenceEvaluator  # imported late: few models need it

    given = {f"x{k}": x for k, x in enumerate(arrays)}
    (found,) = ReferenceEvaluator(_alone(node, list(given), opset)).run(None, given)
    array = np.asarray(found)
    return array if array.size <= _MOST and array.dtype.kind in "iub" else None


def _alone(node: ir.Node, names: list[str], opset: int) -> onnx.ModelProto:
    """A model of one node."""
    proto, rest = ir.serde.serialize_node(node), iter(names)
    inputs = [name and next(rest) for name in proto.input]
    del proto.input[:], proto.output[:]
    proto.input.extend(inputs)
    proto.output.append("y")
    model = onnx.ModelProto(ir_version=10, opset_import=[onnx.OperatorSetIdProto(version=opset)])
    model.graph.node.append(proto)
    model.graph.input.extend(onnx.ValueInfoProto(name=name) for name in names)
    model.graph.output.add(name="y")
    return model


def _constant(graph: ir.Graph, value: ir.Value, array: np.ndarray) -> ir.Value:
    tensor = ir.tensor(array, name=f"{value.name}/folded")
    folded = ir.Value(name=tensor.name, shape=ir.Shape(array.shape), type=ir.TensorType(tensor.dtype))
    folded.const_value = tensor
    graph.register_initializer(folded)
    return folded


def _decide(graph: ir.Graph, node: ir.Node) -> bool:
    """Puts the branch that will be taken in the place of an If."""
    known = constant_of(node.inputs[0])
    if known is None:
        return False
    branch = node.attributes["then_branch" if known.reshape(()) else "else_branch"].as_graph()
    for value in list(branch.initializers.values()):
        graph.register_initializer(branch.initializers.pop(str(value.name)))
    outputs, nodes = list(branch.outputs), list(branch)
    branch.outputs.clear()
    branch.remove(nodes)
    named = [ir.node("Identity", [y]) for y in outputs]
    made = [end.outputs[0] for end in named]
    ir.convenience.replace_nodes_and_values(graph, node, [node], [*nodes, *named], list(node.outputs), made)
    return True
