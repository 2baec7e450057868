"""Target: which score is explained, as nodes on a model's output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from .errors import InputError, ModelError
from .graph import GraphBuilder
from .model import Model, is_float

__all__ = [
    "ACTIVATED",
    "Target",
    "flat_scores",
    "logits",
    "resolve_target",
    "row_scores",
    "score_tensor",
    "select_scores",
    "softmax_before",
    "weigh_scores",
]

ACTIVATED = frozenset({"Softmax", "LogSoftmax", "Sigmoid"})
_PASSED = frozenset({"Identity", "Cast", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Transpose", "Dropout"})


def score_tensor(model: Model, score: str) -> ir.Value:
    """The tensor whose elements are scores: the first float output, or the tensor that ``score`` names."""
    if score not in ("logit", "output"):
        return model.values(score)[0]
    outputs = [value for value in model.outputs if is_float(value)]
    if not outputs:
        raise ModelError("the model has no floating-point output, so there is no score to explain")
    return outputs[0]


def row_scores(model: Model, score: str) -> ir.Value:
    """The score tensor, which the model must compute, for each example."""
    y = score_tensor(model, score)
    if y.is_graph_input():
        raise ModelError(f"the score {y.name!r} is an input of the model; name a tensor that it computes")
    if y.shape is not None and not len(y.shape):
        raise ModelError(f"the score {y.name!r} is one number for all examples; name a tensor with one for each")
    return y


def softmax_before(y: ir.Value) -> tuple[ir.Node | None, list[ir.Node]]:
    """The Softmax, LogSoftmax or Sigmoid that a value comes from, and the nodes that only move data behind it."""
    moves: list[ir.Node] = []
    node = y.producer()
    while node is not None and node.domain == "" and node.op_type in _PASSED and node.inputs[0] is not None:
        moves.append(node)
        node = node.inputs[0].producer()
    found = node if node is not None and node.domain == "" and node.op_type in ACTIVATED else None
    return found, moves


def logits(g: GraphBuilder, y: ir.Value) -> ir.Value:
    """What stands before a final Softmax, LogSoftmax or Sigmoid, in the shape of y; y itself where there is none."""
    activation, moves = softmax_before(y)
    if activation is None:
        return y
    value: Any = activation.inputs[0]
    for node in reversed(moves):
        if node.op_type not in ("Cast", "Dropout"):
            value = getattr(g, node.op_type)(value, *node.inputs[1:], **node.attributes)
    return value


@dataclass(frozen=True)
class Target:
    """Which element of the score tensor, per example: flat indices (-1: the largest), or a seed of its shape."""

    indices: np.ndarray | None = None
    seed: np.ndarray | None = None


def flat_scores(g: GraphBuilder, y: ir.Value) -> ir.Value:
    """The scores as float32 rows, one per example."""
    return g.Reshape(y if y.dtype == ir.DataType.FLOAT else g.Cast(y, to=ir.DataType.FLOAT), [0, -1])


def select_scores(g: GraphBuilder, flat: ir.Value, indices: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The selected score of each row, and its index; an index of -1 selects the largest."""
    top = g.ArgMax(flat, axis=1, keepdims=0)
    chosen = g.Where(g.Less(indices, 0), top, indices)
    return g.Squeeze(g.GatherElements(flat, g.Unsqueeze(chosen, [1]), axis=1), [1]), chosen


def weigh_scores(g: GraphBuilder, flat: ir.Value, seed: ir.Value) -> ir.Value:
    """The sum of each row's scores weighted by its seed."""
    return g.ReduceSum(g.Mul(flat, g.Reshape(seed, [0, -1])), [1], keepdims=0)


def resolve_target(target: object, rows: int, shape: tuple[int | None, ...]) -> Target:
    """Reads what a user says: "top1", an index, one per example, a tuple, or a seed of the output's shape.

    ``shape`` is that of one example's scores, None where it is open.
    """
    if isinstance(target, str):
        if target != "top1":
            raise InputError(f"target {target!r}: give a class index, one per example, a tuple, an array or 'top1'")
        return Target(np.full(rows, -1, np.int64))
    if isinstance(target, tuple):
        return Target(np.full(rows, _flatten(target, shape), np.int64))
    array = np.asarray(target)
    if array.dtype.kind == "f":
        return Target(seed=_seed(array, rows, shape))
    if array.dtype.kind not in "iu" or array.ndim > 1 or array.size not in (1, rows):
        raise InputError(
            f"target of type {array.dtype}, shape {array.shape}: give one index, or one for each of {rows}"
        )
    indices = np.broadcast_to(array.astype(np.int64).reshape(-1), rows).copy()
    _check_range(indices, shape)
    return Target(indices)


def _flatten(index: tuple[int, ...], shape: tuple[int | None, ...]) -> int:
    if len(index) != len(shape) or None in shape:
        wanted = "a class index" if len(shape) == 1 else f"{len(shape)} indices"
        raise InputError(f"target {index}: the scores of one example have shape {shape}; give {wanted}")
    sizes = [size or 0 for size in shape]
    wrapped = [i + n if i < 0 else i for i, n in zip(index, sizes, strict=True)]
    if not all(0 <= i < n for i, n in zip(wrapped, sizes, strict=True)):
        raise InputError(f"target {index} is outside of the scores' shape {shape}")
    return int(np.ravel_multi_index(wrapped, sizes))


def _seed(array: np.ndarray, rows: int, shape: tuple[int | None, ...]) -> np.ndarray:
    fits = array.ndim == len(shape) + 1 and all(n in (None, m) for n, m in zip(shape, array.shape[1:], strict=True))
    if not fits or array.shape[0] != rows:
        raise InputError(f"a target array is a seed of the scores' shape {(rows, *shape)}, not {array.shape}")
    if not np.isfinite(array).all():
        raise InputError("the target array, a seed, holds NaN or infinity")
    return array.astype(np.float32)


def _check_range(indices: np.ndarray, shape: tuple[int | None, ...]) -> None:
    if None in shape:
        return
    count = int(np.prod([size or 0 for size in shape]))
    wrong = indices[(indices < 0) | (indices >= count)]
    if wrong.size:
        raise InputError(f"target {wrong[0]} is out of range: the model has scores 0 to {count - 1}")
