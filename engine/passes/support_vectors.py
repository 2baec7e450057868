"""Support vector machines of ai.onnx.ml, decomposed: sums of kernels (Chang and Lin, 2011, LIBSVM, section 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .decompositions import decomposes

_ML = "ai.onnx.ml"


@decomposes("SVMRegressor", domain=_ML)
def _regressor(g: GraphBuilder, node: Any) -> list[ir.Value]:
    """A weighted sum over the support vectors, or a linear function where there are none."""
    _plain(node)
    if node.attributes.get_int("one_class", 0):
        raise ValueError("the side on which a one-class machine puts a point has no gradient")
    x, weights = _features(g, node), np.array(node.attributes.get_floats("coefficients"))
    read = _kernels(g, node, x) if node.attributes.get_int("n_supports", 0) else x
    return [g.Add(g.MatMul(read, g.constant(weights[:, None], x.dtype)), node.attributes.get_floats("rho")[0])]


@decomposes("SVMClassifier", domain=_ML)
def _classifier(g: GraphBuilder, node: Any) -> list[ir.Value | None]:
    """Of the scores: of each class against each other one, or probabilities of two classes."""
    _plain(node)
    counts, rho = list(node.attributes.get_ints("vectors_per_class", ())), node.attributes.get_floats("rho")
    x, weights = _features(g, node), np.array(node.attributes.get_floats("coefficients"))
    if not counts:
        scores = g.Add(g.MatMul(x, g.constant(weights.reshape(len(_labels(node)), -1).T, x.dtype)), rho[0])
        return [None, scores]
    duels = g.constant(_duels(counts, weights.reshape(len(counts) - 1, -1)), x.dtype)
    scores = g.Add(g.MatMul(_kernels(g, node, x), duels), g.constant(rho, x.dtype))
    if "prob_a" not in node.attributes:
        return [None, scores if len(counts) > 2 else g.Concat(g.Neg(scores), scores, axis=1)]
    if len(counts) > 2:
        raise ValueError("probabilities of more than two classes, which are found step by step, have no rule")
    a, b = (node.attributes.get_floats(name)[0] for name in ("prob_a", "prob_b"))
    second = g.Sigmoid(g.Add(g.Mul(scores, a), b))
    return [None, g.Concat(g.Sub(1, second), second, axis=1)]


def _plain(node: Any) -> None:
    post = node.attributes.get_string("post_transform", "NONE")
    if post != "NONE":
        raise ValueError(f"post_transform {post} has no rule")


def _labels(node: Any) -> tuple[Any, ...]:
    return node.attributes.get_ints("classlabels_ints", ()) or node.attributes.get_strings("classlabels_strings", ())


def _features(g: GraphBuilder, node: Any) -> ir.Value:
    (x,) = node.inputs
    return x if x.dtype == ir.DataType.FLOAT else g.Cast(x, to=ir.DataType.FLOAT)


def _duels(counts: list[int], weights: np.ndarray) -> np.ndarray:
    """The weights (vectors, pairs) of each class against each later one; rows of LIBSVM's hold those of others."""
    ends = np.cumsum([0, *counts])
    pairs = [(i, j) for i in range(len(counts)) for j in range(i + 1, len(counts))]
    table = np.zeros((ends[-1], len(pairs)))
    for k, (i, j) in enumerate(pairs):
        for own, row in ((i, j - 1), (j, i)):
            part = slice(ends[own], ends[own + 1])
            table[part, k] = weights[row, part]
    return table


def _kernels(g: GraphBuilder, node: Any, x: ir.Value) -> ir.Value:
    """Of every row with every support vector: (rows, vectors)."""
    gamma, shift, degree = (*node.attributes.get_floats("kernel_params", ()), 0.0, 0.0, 0.0)[:3]
    many = sum(node.attributes.get_ints("vectors_per_class", ())) or node.attributes.get_int("n_supports", 0)
    vectors = np.array(node.attributes.get_floats("support_vectors")).reshape(many, -1)
    kind = node.attributes.get_string("kernel_type", "LINEAR")
    if kind == "RBF":
        apart = g.Sub(g.Unsqueeze(x, [1]), g.constant(vectors, x.dtype))
        return g.Exp(g.Mul(-gamma, g.ReduceSum(g.Mul(apart, apart), [2], keepdims=0)))
    product = g.MatMul(x, g.constant(vectors.T, x.dtype))
    if kind == "LINEAR":
        return product
    inner = g.Add(g.Mul(product, gamma), shift)
    return g.Tanh(inner) if kind == "SIGMOID" else g.Pow(inner, degree)
