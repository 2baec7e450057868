"""Replaces Pad along some axes with Pad along all axes.

onnxruntime's transpose optimiser permutes the pads as if they were for all axes, and so do the Transposes round it in a
gradient graph: "indices element out of data bounds", or, where the axes are all there in another order, wrong values.
"""

from __future__ import annotations

import onnx_ir as ir

from ..graph import GraphBuilder

__all__ = ["whole_pads"]


def whole_pads(program: ir.Model) -> bool:
    """Works in place, in subgraphs too; true where there was one. Computed pads are scattered to their axes."""
    found = [node for node in program.graph.all_nodes() if _names_axes(node)]
    around = GraphBuilder(program.graph, prefix="whole") if found else None
    for node in found:
        x, pads, axes = node.inputs[0], node.inputs[1], node.inputs[3]
        if around is not None and x is not None:
            g = around if node.graph is program.graph else around.nested(node.graph)
            whole = g.whole_pads(x, pads, axes)
            node.replace_input_with(1, whole if isinstance(whole, ir.Value) else g.constant(whole, ir.DataType.INT64))
            node.resize_inputs(3)
    if found:
        program.graph.sort()
    return bool(found)


def _names_axes(node: ir.Node) -> bool:
    return node.domain == "" and node.op_type == "Pad" and len(node.inputs) > 3 and node.inputs[3] is not None
