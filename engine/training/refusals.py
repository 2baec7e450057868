"""What the library is known to get wrong without a word, and no rewrite puts right."""

from __future__ import annotations

import onnx_ir as ir

from ..errors import BuilderError
from ..gradient import BROADCASTING
from ..paths import influenced
from ..shapes import static_shape

__all__ = ["refuse", "refuse_open"]

_CONTROL = frozenset({"If", "Loop", "Scan"})
_SHAPED = frozenset({"AveragePool", "MaxPool"}) | BROADCASTING
_SCATTERS = frozenset({"ScatterElements", "ScatterND"})


def refuse(program: ir.Model) -> None:
    """Raises BuilderError, naming the node."""
    ends = set(program.graph.outputs)
    for node in program.graph:
        reason = _reason(node) or _lost(program.graph, node, ends)
        if reason:
            raise BuilderError(
                f"onnxruntime-training gets operator {node.op_type} (node {node.name!r}) wrong: {reason}; "
                "use builder='portable'"
            )


def refuse_open(program: ir.Model) -> None:
    """Raises BuilderError where the library's own kernels would go wrong on a graph: they take no open dimension.

    Its MaxPoolGrad writes out of bounds, its AveragePoolGrad gives an empty gradient, and of two open dimensions with
    different names it takes for granted that neither is 1.
    """
    for node in program.graph:
        if node.op_type in _SHAPED and any(x is not None and static_shape(x) is None for x in node.inputs):
            raise BuilderError(
                f"runtime='training' needs fixed shapes, and those of {node.op_type} (node {node.name!r}) "
                "are open; fix the sizes of the model's inputs, batch included"
            )
        if node.op_type == "Gelu" and node.attributes.get_string("approximate", "none") != "none":
            raise BuilderError(f"runtime='training' takes Gelu (node {node.name!r}) of tanh for that of erf")


def _reason(node: ir.Node) -> str:
    if node.op_type in _CONTROL:
        return "it does not differentiate into subgraphs"
    if node.op_type in _SCATTERS and node.attributes.get_string("reduction", "none") != "none":
        return "it takes no notice of the reduction"
    return ""


def _lost(graph: ir.Graph, node: ir.Node, ends: set[ir.Value]) -> str:
    """What is lost of a node with several outputs: a Split is taken back by joining the gradients that there are."""
    if node.op_type == "Split" and any(not influenced(graph, [part]) & ends for part in node.outputs):
        return "a part of it leads nowhere, and its length is not known"
    if node.op_type == "LayerNormalization" and any(influenced(graph, [v]) & ends for v in node.outputs[1:]):
        return "it drops the gradients of mean and deviation"
    return ""
