"""Gives every LayerNormalization its own scale and bias and names all of its outputs."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...passes.replace import nodes_of

__all__ = ["complete_layer_norm"]


def complete_layer_norm(program: ir.Model) -> bool:
    """Works in place, leaves the graph unsorted.

    A missing bias becomes zeros; scale and bias go through an Identity each, as onnxruntime-training names their
    gradients after them.
    """
    g = GraphBuilder(program.graph, prefix="norm")
    found = nodes_of(program, "LayerNormalization")
    for node in found:
        x, scale, bias = (*node.inputs, None)[:3]
        bias = bias if bias is not None else g.Sub(scale, scale)
        node.resize_inputs(3)
        node.replace_input_with(1, g.Identity(scale))
        node.replace_input_with(2, g.Identity(bias))
        _name_outputs(g, node, x)
    return bool(found)


def _name_outputs(g: GraphBuilder, node: ir.Node, x: ir.Value | None) -> None:
    """Mean and inverse deviation, of the shape of x with ones from the axis on."""
    node.resize_outputs(3)
    for output, what in zip(node.outputs[1:], ("mean", "inverse_deviation"), strict=True):
        if not output.name:
            output.name = g.fresh(f"{node.outputs[0].name}/{what}")
            output.type = ir.TensorType(ir.DataType.FLOAT)
            output.shape = _kept(node, x)


def _kept(node: ir.Node, x: ir.Value | None) -> ir.Shape | None:
    if x is None or x.shape is None:
        return None
    axis = int(np.arange(len(x.shape))[node.attributes.get_int("axis", -1)])
    return ir.Shape([*x.shape[:axis], *[1] * (len(x.shape) - axis)])
