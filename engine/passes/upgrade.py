"""Replaces a model of an old opset by the same model at the oldest opset that the rules are written for."""

from __future__ import annotations

import onnx_ir as ir
from onnx import version_converter

from ..errors import ModelError
from ..weights import put_back, take_out

__all__ = ["IR_VERSIONS", "OPSET", "upgrade"]

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
