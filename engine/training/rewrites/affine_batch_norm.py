"""Replaces BatchNormalization by stored statistics with Mul and Add of one number per channel."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...graph.shapes import constant_of
from ...passes.replace import nodes_of, replace

__all__ = ["affine_batch_norm"]


def affine_batch_norm(program: ir.Model) -> bool:
    """Works in place, leaves the graph unsorted; nodes in training mode stay."""
    g = GraphBuilder(program.graph, prefix="affine")
    found = [node for node in nodes_of(program, "BatchNormalization") if _is_affine(node)]
    for node in found:
        x = node.inputs[0]
        column = [-1, *[1] * (g.rank(x) - 2)] if x is not None else []
        slope, shift = _stored(node, column) or _computed(g, node, column)
        replace(node, g.Add(g.Mul(x, slope), shift))
    return bool(found)


def _is_affine(node: ir.Node) -> bool:
    x = node.inputs[0]
    return x is not None and x.shape is not None and not node.attributes.get_int("training_mode", 0)


def _stored(node: ir.Node, column: list[int]) -> tuple[np.ndarray, np.ndarray] | None:
    """scale / sigma and bias - mean scale / sigma, worked out in float64; None where they are no constants."""
    known = [constant_of(value) for value in node.inputs[1:]]
    if any(array is None for array in known):
        return None
    scale, bias, mean, variance = (np.asarray(array, np.float64) for array in known)
    slope = scale / np.sqrt(variance + node.attributes.get_float("epsilon", 1e-5))
    return slope.reshape(column), (bias - mean * slope).reshape(column)


def _computed(g: GraphBuilder, node: ir.Node, column: list[int]) -> tuple[ir.Value, ir.Value]:
    scale, bias, mean, variance = node.inputs[1:]
    slope = g.Div(scale, g.Sqrt(g.Add(variance, node.attributes.get_float("epsilon", 1e-5))))
    return g.Reshape(slope, column), g.Reshape(g.Sub(bias, g.Mul(mean, slope)), column)
