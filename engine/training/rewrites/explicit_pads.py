"""Replaces auto_pad=SAME_UPPER, SAME_LOWER and VALID of convolutions and pools by the pads that they stand for."""

from __future__ import annotations

import onnx_ir as ir

from ...autodiff.ops.window import spatial_shape, window_of
from ...errors import ModelError
from ...passes.replace import nodes_of

__all__ = ["explicit_pads"]


def explicit_pads(program: ir.Model) -> bool:
    """Works in place; ModelError, naming the node, where the pads depend on a size that only the run will tell."""
    found = [node for node in nodes_of(program, "Conv", "AveragePool", "MaxPool") if _is_automatic(node)]
    for node in found:
        try:
            pads = window_of(node, node.inputs[0], _kernel(node)).pads  # type: ignore[arg-type]
        except ValueError as error:
            raise ModelError(f"{node.op_type} {node.name!r}: {error}; fix the sizes of the model's inputs") from error
        node.attributes.pop("auto_pad")
        node.attributes.add(ir.AttrInt64s("pads", pads))
    return bool(found)


def _is_automatic(node: ir.Node) -> bool:
    return node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET"


def _kernel(node: ir.Node) -> tuple[int, ...]:
    """The kernel's size: a pool says it, a convolution may leave it to its weights."""
    given = node.attributes.get_ints("kernel_shape", None)
    weights = node.inputs[1] if len(node.inputs) > 1 else None
    sizes = given if given is not None or weights is None else spatial_shape(weights)
    if sizes is None:
        raise ModelError(f"{node.op_type} {node.name!r}: auto_pad needs a kernel of known size")
    return tuple(sizes)
