"""The head of a model: the activation that its scores come from, and the logits before it.

Classifiers of two classes have heads of their own: Sigmoid gives p, and the scores are 1 - p and p, of which the logits
are -z and z, the log-odds of each class (scikit-learn's MLPClassifier as skl2onnx writes it, among others).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.moving_operators import PASSING
from ..graph.tree_ensembles import is_forest, post_transform, without_post_transform
from .spelled_softmax import logits_of_quotient, reduces_last_axis

__all__ = ["Head", "find_head", "logits"]

ACTIVATIONS = frozenset({"Softmax", "LogSoftmax", "Sigmoid"})
POST_TRANSFORMS = {"SOFTMAX": "Softmax", "LOGISTIC": "Sigmoid"}  # of ai.onnx.ml
_MOVES = PASSING | {"Slice"}
_CONVERTS = frozenset({"Cast", "Dropout", "Identity"})


@dataclass(frozen=True)
class Head:
    """The final activation, the nodes behind it in their order, and whether these make 1 - p and p of it.

    ``before``: the logits of a Softmax in several nodes, of which ``node`` is the last.
    """

    kind: str
    node: ir.Node
    behind: tuple[ir.Node, ...] = ()
    pair: bool = False
    before: ir.Value | None = None

    @property
    def tensor(self) -> ir.Value | None:
        """The tensor before the activation, None where the activation is part of a larger operator."""
        if self.before is not None:
            return self.before
        return self.node.inputs[0] if self.node.domain == "" else None

    @property
    def sums_to_one(self) -> bool:
        """Whether the scores of an example add up to one, so that dividing by their sum changes nothing."""
        plain = all(node.op_type in _CONVERTS for node in self.behind)
        rank = len(self.node.outputs[-1].shape or ())
        axis = self.node.attributes.get_int("axis", -1) if self.node.domain == "" else -1
        return self.pair or (self.kind == "Softmax" and plain and axis in (-1, rank - 1))

    def logits(self, g: GraphBuilder) -> ir.Value:
        """The logits in the shape of the scores, emitted where nodes stand behind the activation."""
        value: Any = self.tensor if self.tensor is not None else _before_transform(g, self.node)
        for node in self.behind:
            if node.op_type == "Concat":
                value = g.Concat(g.Neg(value), value, axis=node.attributes.get_int("axis", 0))
            elif node.op_type not in _CONVERTS:
                value = getattr(g, node.op_type)(value, *node.inputs[1:], **node.attributes)
        return value


def find_head(y: ir.Value) -> Head | None:
    """The head that scores come from; None where they come from no Softmax, LogSoftmax or Sigmoid."""
    node = y.producer()
    if node is None or not node.inputs or node.inputs[0] is None:
        return None
    if kind := _activation(node, y):
        return Head(kind, node)
    if _moves(node):
        return _behind(find_head(node.inputs[0]), node)
    if (z := logits_of_quotient(node)) is not None:
        return Head("Softmax", node, before=z)
    if (p := _complemented(node)) is not None:
        head = find_head(p)
        return replace(head, behind=(*head.behind, node), pair=True) if head and head.kind == "Sigmoid" else None
    head = find_head(node.inputs[0]) if _normalises(node) else None
    return head if head is not None and head.sums_to_one else None


def logits(g: GraphBuilder, y: ir.Value) -> ir.Value:
    """The input of a final Softmax, LogSoftmax or Sigmoid, in the shape of y; y itself if there is none."""
    head = find_head(y)
    return y if head is None else head.logits(g)


def _activation(node: ir.Node, y: ir.Value) -> str | None:
    is_linear = node.domain == "ai.onnx.ml" and node.op_type == "LinearClassifier"
    if (is_linear or is_forest(node)) and y is node.outputs[-1]:
        return POST_TRANSFORMS.get(post_transform(node))
    return node.op_type if node.domain == "" and node.op_type in ACTIVATIONS else None


def _moves(node: ir.Node) -> bool:
    """Whether a node only moves data, so that it may as well move the logits."""
    return node.domain == "" and (node.op_type in _MOVES or _is_alone(node))


def _is_alone(node: ir.Node) -> bool:
    return node.op_type == "Concat" and len(node.inputs) == 1


def _behind(head: Head | None, node: ir.Node) -> Head | None:
    return None if head is None else head if _is_alone(node) else replace(head, behind=(*head.behind, node))


def _complemented(node: ir.Node) -> ir.Value | None:
    """The p of Concat(1 - p, p)."""
    if node.domain != "" or node.op_type != "Concat" or len(node.inputs) != 2 or not node.attributes.get_int("axis", 0):
        return None
    rest, p = node.inputs
    made = rest.producer() if rest is not None else None
    known = made is not None and made.op_type == "Sub" and made.domain == "" and made.inputs[1] is p
    return p if known and made is not None and _is_one(made.inputs[0]) else None


def _is_one(value: ir.Value | None) -> bool:
    held = None if value is None else ir.convenience.get_const_tensor(value)
    return held is not None and held.size == 1 and bool(np.all(held.numpy() == 1))


def _normalises(node: ir.Node) -> bool:
    """Whether a node divides the scores of an example by their sum."""
    if node.op_type == "Normalizer":
        return node.domain == "ai.onnx.ml" and node.attributes.get_string("norm", "MAX") == "L1"
    if node.domain == "" and node.op_type == "LpNormalization":
        return node.attributes.get_int("p", 2) == 1
    total = node.inputs[1].producer() if node.op_type == "Div" and node.inputs[1] is not None else None
    return reduces_last_axis(total, ("ReduceL1", "ReduceSum"), node.inputs[0])


def _before_transform(g: GraphBuilder, node: ir.Node) -> ir.Value:
    """The scores of trees, or of a LinearClassifier, before their post_transform; of classes that share a row -s, s."""
    if is_forest(node):
        return without_post_transform(g, node)
    offsets = np.asarray(node.attributes.get_floats("intercepts", [0.0]), np.float32)
    weights = np.asarray(node.attributes.get_floats("coefficients"), np.float32).reshape(len(offsets), -1)
    x = node.inputs[0]
    x = x if x is None else g.as_float32(x)
    s = g.Add(g.MatMul(x, g.constant(weights.T, ir.DataType.FLOAT)), g.constant(offsets, ir.DataType.FLOAT))
    return g.Concat(g.Neg(s), s, axis=-1) if len(offsets) == 1 else s
