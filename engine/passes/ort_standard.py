"""Replaces the operator that onnxruntime keeps in the standard's domain although the standard has none of that name.

Its optimiser writes SimplifiedLayerNormalization, the root mean square norm (Zhang and Sennrich, 2019,
arXiv:1910.07467), into models of every opset; the standard has RMSNormalization since 23.
"""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from ..graph import GraphBuilder
from .respell import replace

__all__ = ["disown", "spell_ort_standard"]

_OPS = frozenset({"SimplifiedLayerNormalization"})
_DOMAIN = "com.microsoft"


def disown(program: ir.Model) -> None:
    """Moves such nodes to onnxruntime's own domain, where checkers and converters let them be."""
    for node in program.graph.all_nodes():
        if node.domain == "" and node.op_type in _OPS:
            node.domain = _DOMAIN
            program.graph.opset_imports.setdefault(_DOMAIN, 1)


def spell_ort_standard(program: ir.Model) -> bool:
    """Works in place, at opset 18 or later; true where there was one."""
    found = [node for node in program.graph.all_nodes() if node.domain == _DOMAIN and node.op_type in _OPS]
    return replace(program, found, _root_mean_square_norm)


def _root_mean_square_norm(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """Computed in float32; the second output is 1 / sigma."""
    x, scale = node.inputs
    axis = node.attributes.get_int("axis", -1)
    axes = [-1] if axis == -1 else list(range(axis - g.rank(x) if axis >= 0 else axis, 0))
    wide = g.Cast(x, to=ir.DataType.FLOAT)
    mean = g.ReduceMean(g.Mul(wide, wide), axes, keepdims=1)
    inverse = g.Reciprocal(g.Sqrt(g.Add(mean, node.attributes.get_float("epsilon", 1e-5))))
    return [g.Mul(g.CastLike(g.Mul(wide, inverse), scale), scale), inverse]
