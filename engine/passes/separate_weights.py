"""Square weights that a graph reads in two orientations, as a product and its gradient do, become two constants.

OpenVINO 2026.4 packs the constant of a matrix product once for each address and shape. A square weight and its
transpose share both, so one of the products is computed with the matrix of the other: a wrong result without an error.
Behind a transposition in three axes, which OpenVINO computes before it runs, the second constant has an address of its
own; onnxruntime folds it as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import onnx_ir as ir

from ..graph.shapes import static_shape
from ..graph.traversal import depends_on_inputs

__all__ = ["separate_weights"]


def separate_weights(program: ir.Model) -> None:
    """Gives every product that reads a square weight otherwise than the first one a transposed copy, in place."""
    first: dict[ir.Value, bool | None] = {}
    for node in list(program.graph.all_nodes()):
        for place in _weights(node):
            root, turned = _root(node.inputs[place])
            if root is None or not _square(root) or depends_on_inputs(root):
                continue
            turned = None if node.op_type == "Einsum" else turned != bool(_attribute(node, "transB"))
            if root not in first:
                first[root] = turned
            elif turned is None or turned != first[root]:
                _read_copy(node, place, root)


def _weights(node: ir.Node) -> Iterator[int]:
    """The inputs of a node that may be the constant of a matrix product."""
    if node.op_type == "Einsum":
        yield from range(len(node.inputs))
    elif node.op_type in ("MatMul", "Gemm"):
        yield 1


def _root(value: ir.Value | None) -> tuple[ir.Value | None, bool]:
    """The value that one is, or whose transposed matrix it is, and which of the two."""
    turned = False
    while value is not None and (made := value.producer()) is not None and made.op_type in ("Transpose", "Identity"):
        turned ^= made.op_type == "Transpose" and list(made.attributes.get_ints("perm", (1, 0))) == [1, 0]
        value = made.inputs[0]
    return value, turned


def _square(value: ir.Value) -> bool:
    shape = static_shape(value)
    return shape is not None and len(shape) == 2 and shape[0] == shape[1] > 1


def _read_copy(node: ir.Node, place: int, root: ir.Value) -> None:
    """The node reads the transposed root, a constant of its own, in the orientation that it needs."""
    name = f"{node.outputs[0].name}/weight{place}"
    copy, turned = _transposed(node, root, name), _root(node.inputs[place])[1]
    if node.op_type == "Einsum":
        if not turned:
            node.attributes["equation"] = ir.AttrString("equation", _turned(node, place))
    elif node.op_type == "Gemm":
        node.attributes["transB"] = ir.AttrInt64("transB", int(turned == bool(_attribute(node, "transB"))))
    elif not turned:
        copy = _emit(node, "Transpose", f"{name}/back", [copy], copy, perm=[1, 0])
    node.replace_input_with(place, copy)


def _transposed(node: ir.Node, root: ir.Value, name: str) -> ir.Value:
    """The transposed root by a transposition in three axes, in the graph of the node and before it."""
    zero = ir.tensor(np.array([0], np.int64), name=f"{name}/axis")
    axis = ir.Value(name=zero.name, shape=ir.Shape([1]), type=ir.TensorType(ir.DataType.INT64), const_value=zero)
    _graph(node).register_initializer(axis)
    lifted = _emit(node, "Unsqueeze", f"{name}/lifted", [root, axis], root)
    turned = _emit(node, "Transpose", f"{name}/turned", [lifted], root, perm=[0, 2, 1])
    return _emit(node, "Squeeze", name, [turned, axis], root)


def _graph(node: ir.Node) -> ir.Graph:
    """The graph that a node is in."""
    return cast(ir.Graph, node.graph)


def _emit(
    node: ir.Node, op: str, name: str, inputs: list[ir.Value], like: ir.Value, **attributes: list[int]
) -> ir.Value:
    made = ir.node(op, inputs, attributes, name=name)
    made.outputs[0].name, made.outputs[0].type = name, like.type
    _graph(node).insert_before(node, made)
    return made.outputs[0]


def _turned(node: ir.Node, place: int) -> str:
    """The equation of an Einsum with the letters of one operand in reverse."""
    operands, arrow, result = str(_attribute(node, "equation")).replace(" ", "").partition("->")
    parts = operands.split(",")
    parts[place] = parts[place][::-1]
    return ",".join(parts) + arrow + result


def _attribute(node: ir.Node, name: str) -> object:
    found = node.attributes.get(name)
    return None if found is None else found.value
