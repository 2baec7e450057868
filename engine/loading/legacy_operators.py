"""Replaces operators that onnxruntime adds to the standard's own domain, though no opset has them, as files are loaded.

Its optimisers write LayerNormalization before the standard had it, and SimplifiedLayerNormalization; converters of
Core ML and Caffe2 models wrote the rest, up to opset 9. Erfc is TensorFlow's, which tf2onnx leaves in the files of
Keras. Meanwhile they wait in a domain of their own, so that checks
and upgrades leave them alone.
"""

from __future__ import annotations

from typing import Any

import onnx
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..passes.decompositions import DECOMPOSITIONS, decompose_node, decomposes
from ..passes.fused_norm import root_mean_square
from ..passes.rewrite import rewrite_nodes

__all__ = ["isolate_legacy_operators", "replace_legacy_operators"]

_OWN = "onnxray.own"


def isolate_legacy_operators(program: ir.Model) -> None:
    """Moves such operators to a domain of their own, in place."""
    opset = program.graph.opset_imports.get("", 0)
    for node in program.graph.all_nodes():
        if node.domain == "" and (_OWN, node.op_type) in DECOMPOSITIONS and not onnx.defs.has(node.op_type, opset):
            node.domain = _OWN
            program.graph.opset_imports[_OWN] = 1


def replace_legacy_operators(program: ir.Model) -> bool:
    """Puts standard operators in their place, of the opset that the model has by now; true where there was one."""
    if program.graph.opset_imports.pop(_OWN, None) is None:
        return False
    found = [node for node in program.graph.all_nodes() if node.domain == _OWN]
    return rewrite_nodes(program, found, decompose_node)


@decomposes("LayerNormalization", domain=_OWN)
def _layer_normalization(g: GraphBuilder, node: Any) -> list[ir.Value]:
    made = g.LayerNormalization(*node.inputs, outputs=len(node.outputs), **node.attributes)
    return [made] if len(node.outputs) == 1 else [*made]


@decomposes("SimplifiedLayerNormalization", domain=_OWN)
def _simplified_layer_normalization(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """Zhang and Sennrich, 2019, arXiv:1910.07467; of halves in float32. The second output is 1 / sigma."""
    x, scale = node.inputs
    axis = node.attributes.get_int("axis", -1)
    axes = tuple(range(axis, 0)) if axis < 0 else tuple(range(axis, g.rank(x)))
    wide = x if x.dtype == ir.DataType.DOUBLE else g.Cast(x, to=ir.DataType.FLOAT)
    unit, inverse = root_mean_square(g, wide, None, node.attributes.get_float("epsilon", 1e-5), axes)
    return [g.Mul(g.CastLike(unit, scale), scale), inverse]


@decomposes("ImageScaler", domain=_OWN)
def _image_scaler(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """One factor for all channels, one shift for each."""
    (x,) = node.inputs
    bias = g.constant(node.attributes.get_floats("bias", (0.0,)), x.dtype)
    return [g.Add(g.Mul(x, node.attributes.get_float("scale", 1.0)), g.Unsqueeze(bias, [1, 2]))]


@decomposes("Affine", "Scale", domain=_OWN)
def _affine(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """alpha x + beta; a Scale has neither and multiplies with its scale."""
    number = node.attributes.get_float
    return [g.Add(g.Mul(node.inputs[0], number("alpha", number("scale", 1.0))), number("beta", 0.0))]


@decomposes("ParametricSoftplus", "ScaledTanh", domain=_OWN)
def _scaled(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """alpha f(beta x)."""
    alpha, beta = (node.attributes.get_float(name) for name in ("alpha", "beta"))
    inner = g.Mul(node.inputs[0], beta)
    return [g.Mul(alpha, g.Softplus(inner) if node.op_type == "ParametricSoftplus" else g.Tanh(inner))]


@decomposes("ThresholdedRelu", domain=_OWN)
def _thresholded_relu(g: GraphBuilder, node: Any) -> list[ir.Value]:
    return [g.ThresholdedRelu(node.inputs[0], alpha=node.attributes.get_float("alpha", 1.0))]


@decomposes("Crop", domain=_OWN)
def _crop(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """Borders left, top, right and bottom; or a corner, left and top, and a size."""
    (x,) = node.inputs
    left, top, right, bottom = node.attributes.get_ints("border")
    size = node.attributes.get_ints("scale", ())
    if size:
        return [g.Slice(x, [top, left], [top + size[0], left + size[1]], [2, 3])]
    ends = g.Sub(g.Shape(x, start=2), [bottom, right])
    return [g.Slice(x, [top, left], ends, [2, 3])]


@decomposes("Erfc", domain=_OWN)
def _erfc(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """1 - erf(x)."""
    return [g.Sub(1, g.Erf(node.inputs[0]))]
