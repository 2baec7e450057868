"""Gelu in its nodes behind a product of matrices: its scales become a part of this product and of the next.

k x (1 + erf(s x)) of x = A B + c is (k / s) u (1 + erf(u)) of u = s A B + s c. onnxruntime multiplies by both scales
within the products: two passes over the largest activations of a transformer go, and x need not be kept for the reverse
pass. The results differ by rounding.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.shapes import constant_of
from .shortcuts import GeluNodes, gelu_nodes

__all__ = ["scale_in_products"]


def scale_in_products(program: ir.Model, kept: Collection[ir.Value] = ()) -> None:
    """Works in place; a Gelu of which a value between is ``kept``, or read elsewhere, stays as it is."""
    held = {*kept, *program.graph.outputs}
    g = GraphBuilder(program.graph, prefix="scaled")
    found = [gelu for node in program.graph if node.op_type == "Mul" and (gelu := gelu_nodes(node)) is not None]
    for gelu in found:
        terms = _terms(gelu.bell.x)
        if terms is not None and _is_by_itself(gelu, held):
            _rewrite(g, gelu, *terms)
    if found:
        program.graph.sort()


def _terms(x: ir.Value) -> tuple[ir.Value, np.ndarray] | None:
    """The product of matrices that x alone is made of, and the constant that is added to it."""
    add = x.producer()
    if add is None or add.op_type != "Add" or add.domain != "" or x.dtype != ir.DataType.FLOAT:
        return None
    for product, bias in (add.inputs, reversed(add.inputs)):
        constant = constant_of(bias)
        if (
            product is not None
            and constant is not None
            and len(product.uses()) == 1
            and _is_product(product.producer())
        ):
            return product, constant
    return None


def _is_by_itself(gelu: GeluNodes, held: Collection[ir.Value]) -> bool:
    """Whether nothing else reads the values that go, and nothing but products of matrices what it gives."""
    y = gelu.last.outputs[0]
    inside = {gelu.bell.x, *(node.outputs[0] for node in gelu.nodes if node is not gelu.last)}
    readers = {node for value in inside for node, _ in value.uses()}
    return (
        inside.isdisjoint(held)
        and readers <= {*gelu.nodes}
        and y not in held
        and all(_is_product(node) and place == 0 for node, place in y.uses())
    )


def _is_product(node: ir.Node | None) -> bool:
    return node is not None and node.domain == "" and node.op_type == "MatMul"


def _rewrite(g: GraphBuilder, gelu: GeluNodes, product: ir.Value, bias: np.ndarray) -> None:
    scale, y = gelu.bell.scale, gelu.last.outputs[0]
    u = g.Add(g.Mul(product, scale), g.constant(bias * scale, ir.DataType.FLOAT))
    scaled = g.shaped_like(g.Mul(g.Mul(u, g.Add(g.Erf(u), 1)), gelu.factor / scale), y)
    for node, place in list(y.uses()):
        node.replace_input_with(place, scaled)
