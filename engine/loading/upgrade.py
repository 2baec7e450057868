"""Replaces a model of an old opset by the same model at the oldest opset that the rules are written for."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx import version_converter

from ..errors import ModelError
from ..graph.shapes import constant_of
from ..graph.weights import put_back, take_out

__all__ = ["IR_VERSIONS", "OPSET", "cast_bounds", "upgrade"]

OPSET = 18  # the first with axes as inputs of every reduction and Pad, and with ScatterElements that adds
_LISTED = 4  # the first version of the format in which weights need not be among the inputs
IR_VERSIONS = (8, 13)  # from that of opset 18 to the newest that onnxruntime 1.31 reads; no rule needs more


def upgrade(program: ir.Model) -> ir.Model:
    """The model at opset 18."""
    before = program.graph.opset_imports[""]
    if before < 9 and any(node.op_type == "Scan" for node in program.graph.all_nodes()):
        raise ModelError(
            f"opset {before} has a Scan with a batch axis, which later ones have not; export it at {OPSET}"
        )
    program.ir_version = max(program.ir_version, _LISTED)
    weights = take_out(program)
    try:
        converted = ir.from_proto(version_converter.convert_version(ir.to_proto(program), OPSET))
    except Exception as error:  # the converter raises RuntimeError, ConvertError and more
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"opset {before} cannot be upgraded to {OPSET}: {reason}; export it at {OPSET}") from error
    put_back(converted, weights)
    return converted


def cast_bounds(program: ir.Model) -> bool:
    """Gives the bounds of Clip and the filling of Pad the type of their node, in place; true where one had another.

    The converter makes float32 constants of what were attributes, in half precision and float64, too.
    """
    nodes = [node for node in program.graph.all_nodes() if node.domain == "" and node.op_type in ("Clip", "Pad")]
    found = [(node, k, bound) for node in nodes for k in (1, 2) if (bound := _retyped(node, k)) is not None]
    for node, k, bound in found:
        node.replace_input_with(k, bound)
    return bool(found)


def _retyped(node: ir.Node, k: int) -> ir.Value | None:
    """A float32 constant in the type of what its node computes, None where it has that."""
    x, array = node.inputs[0], constant_of(node.inputs[k]) if k < len(node.inputs) else None
    if array is None or array.dtype != np.float32 or x is None or x.dtype is None or x.dtype == ir.DataType.FLOAT:
        return None
    with np.errstate(over="ignore"):  # where there was no bound, it is the end of float32
        tensor = ir.tensor(array.astype(x.dtype.numpy()), name=f"{node.outputs[0].name}/bound_{k}")
    bound = ir.Value(name=tensor.name, shape=ir.Shape(array.shape), type=ir.TensorType(x.dtype), const_value=tensor)
    if node.graph is not None:
        node.graph.register_initializer(bound)
    return bound
