"""ai.onnx.ml: the operators that are functions of numbers. Trees and dictionaries are black boxes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ..registry import Gradients, Node, no_gradient, vjp
from .zeros import divided

_ML = "ai.onnx.ml"

no_gradient("TreeEnsemble", "TreeEnsembleClassifier", "TreeEnsembleRegressor", "Binarizer", domain=_ML)
no_gradient("CastMap", "CategoryMapper", "DictVectorizer", "LabelEncoder", "OneHotEncoder", "ZipMap", domain=_ML)


@vjp("Scaler", domain=_ML)
def scaler(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """(x - offset) scale."""
    (x,) = node.inputs
    scaled = g.Mul(dy, g.constant(node.attributes.get_floats("scale", (1.0,)), dy.dtype))
    return scaled if x.dtype == dy.dtype else g.Cast(scaled, to=x.dtype)


@vjp("LinearRegressor", domain=_ML)
def linear_regressor(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    return _product(g, node, _before(g, node, node.outputs[0], dy), node.attributes.get_int("targets", 1))


@vjp("LinearClassifier", domain=_ML)
def linear_classifier(g: GraphBuilder, node: Node, labels: ir.Value | None, dy: ir.Value | None) -> Gradients:
    """Of the scores; two classes that share one row have the scores -s and s, or 1 - s and s behind a logistic."""
    if dy is None:
        return None
    rows, slope = len(node.attributes.get_floats("intercepts", ())) or 1, _before(g, node, node.outputs[1], dy)
    if rows == 1:
        slope = g.MatMul(slope, g.constant([[-1], [1]], slope.dtype))
    return _product(g, node, slope, rows)


def _before(g: GraphBuilder, node: Node, y: ir.Value, dy: ir.Value) -> ir.Value:
    """The gradient before the post_transform."""
    post = node.attributes.get_string("post_transform", "NONE")
    if post == "SOFTMAX":
        return g.Mul(y, g.Sub(dy, g.ReduceSum(g.Mul(y, dy), [-1], keepdims=1)))
    if post == "LOGISTIC":
        return g.Mul(dy, g.Mul(y, g.Sub(1, y)))
    if post != "NONE":
        raise ValueError(f"post_transform {post} has no rule")
    return dy


def _product(g: GraphBuilder, node: Node, dy: ir.Value, rows: int) -> ir.Value:
    weights = np.asarray(node.attributes.get_floats("coefficients")).reshape(rows, -1)
    dx = g.MatMul(dy, g.constant(weights, dy.dtype))
    return g.CastLike(dx, node.inputs[0])


@vjp("Normalizer", domain=_ML)
def normalizer(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """x over its norm: the largest, the sum of the absolute ones or the Euclidean one."""
    (x,), y = node.inputs, node.outputs[0]
    kind, along = node.attributes.get_string("norm", "MAX"), g.ReduceSum(g.Mul(dy, y), [-1], keepdims=1)
    if kind == "MAX":
        norm = g.ReduceMax(x, [-1], keepdims=1)
        largest = g.ArgMax(x, axis=-1, keepdims=1)
        slope = g.Cast(g.Equal(g.counted(x, -1), largest), to=dy.dtype)
    else:
        norm = (g.ReduceL1 if kind == "L1" else g.ReduceL2)(x, [-1], keepdims=1)
        slope = g.Sign(x) if kind == "L1" else y
    dx = divided(g, g.Sub(dy, g.Mul(slope, along)), norm)
    return g.Where(g.Equal(norm, 0), dy, dx) if kind == "MAX" else dx


@vjp("ArrayFeatureExtractor", domain=_ML)
def array_feature_extractor(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """Picks along the last axis; a column that is picked twice counts twice."""
    x, indices = node.inputs
    rows = g.Reshape(
        dy, [-1, g.dim(dy, -1)] if isinstance(g.dim(dy, -1), int) else g.Concat(g.vector([-1]), g.dim(dy, -1), axis=0)
    )
    at = g.Expand(g.Reshape(indices, [1, -1]), g.Shape(rows))
    width = g.Concat(g.Shape(rows, start=0, end=1), g.Gather(g.shape(x), [-1]), axis=0)
    blank = g.Expand(g.constant(0, dy.dtype), width)
    return g.reshape_like(g.ScatterElements(blank, at, rows, axis=1, reduction="add"), x), None


@vjp("Imputer", domain=_ML)
def imputer(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """The number in the place of a missing one is a constant."""
    (x,) = node.inputs
    missing = node.attributes.get_float("replaced_value_float", 0.0)
    return g.Where(g.IsNaN(x) if np.isnan(missing) else g.Equal(x, missing), 0, dy)


@vjp("FeatureVectorizer", domain=_ML)
def feature_vectorizer(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """Columns beside one another, as floats."""
    if len(node.inputs) == 1:
        return g.CastLike(dy, node.inputs[0])
    widths = g.vector([g.dim(x, -1) for x in node.inputs])
    parts = g.Split(dy, widths, axis=-1, outputs=len(node.inputs))
    return [g.CastLike(part, x) for part, x in zip(parts, node.inputs, strict=True)]
