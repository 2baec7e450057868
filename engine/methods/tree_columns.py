"""From which element of the model's inputs a column of a tensor comes, through what works column by column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir

from ..errors import UnsupportedOperator
from ..graph.moving_operators import RESHAPING

__all__ = ["FIXED", "columns_of"]

FIXED = -1  # a column that no explained input changes
_ML = "ai.onnx.ml"
_ELEMENTWISE = frozenset({
    "Abs", "Add", "Cast", "Ceil", "Clip", "Div", "Dropout", "Exp", "Floor", "Identity", "Log", "Max", "Min", "Mul",
    "Neg", "Pow", "Reciprocal", "Round", "Sign", "Sqrt", "Sub",
})  # fmt: skip
_OF_TABLES = frozenset({"Binarizer", "Imputer", "LabelEncoder", "Scaler"})


def columns_of(value: ir.Value, known: Mapping[ir.Value, np.ndarray]) -> np.ndarray:
    """For each element of one example of a tensor the number of the element of the inputs that decides it.

    ``known`` has these numbers for the inputs, (1, *example). An UnsupportedOperator names a node that mixes columns.
    """
    return _columns(value, dict(known))


def _columns(value: ir.Value, found: dict[ir.Value, np.ndarray]) -> np.ndarray:
    """As ``columns_of``; ``found`` keeps what was found, as values may be read more than once."""
    if value not in found:
        node = value.producer()
        found[value] = np.full(_sizes(value), FIXED) if node is None else _made(node, found)
    return found[value]


def _made(node: ir.Node, known: dict[ir.Value, np.ndarray]) -> np.ndarray:
    read = [_columns(x, known) for x in node.inputs if x is not None]
    made = _move(node)
    if made is None or (found := made(node, read)) is None:
        raise UnsupportedOperator(
            f"operator {node.op_type} (node {node.name!r}) before the trees mixes columns, so that no tree column is "
            "that of an input; kernel-shap explains it"
        )
    return found


def _move(node: ir.Node) -> Callable[[ir.Node, list[np.ndarray]], np.ndarray | None] | None:
    if (node.domain == "" and node.op_type in _ELEMENTWISE) or (node.domain == _ML and node.op_type in _OF_TABLES):
        return _same
    if node.domain == "" and node.op_type in RESHAPING:
        return _reshaped
    return _MOVES.get((node.domain, node.op_type))


def _same(node: ir.Node, read: list[np.ndarray]) -> np.ndarray | None:
    """Elements that each come from one column, where the operands agree on it or have constants."""
    found, *others = np.broadcast_arrays(*read)
    for other in others:
        if ((found != other) & (found != FIXED) & (other != FIXED)).any():
            return None
        found = np.where(found == FIXED, other, found)
    return found


def _reshaped(node: ir.Node, read: list[np.ndarray]) -> np.ndarray | None:
    sizes = _sizes(node.outputs[0])
    return read[0].reshape(sizes) if np.prod(sizes) == read[0].size else None


def _joined(node: ir.Node, read: list[np.ndarray]) -> np.ndarray | None:
    rank = read[0].ndim
    axis = node.attributes.get_int("axis", rank - 1) % rank
    return np.concatenate(read, axis) if axis else None


def _picked(node: ir.Node, read: list[np.ndarray]) -> np.ndarray | None:
    """Columns by constant indices."""
    held = ir.convenience.get_const_tensor(node.inputs[1]) if node.inputs[1] is not None else None
    rank = read[0].ndim
    axis = rank - 1 if node.domain == _ML else node.attributes.get_int("axis", 0) % rank
    if held is None or not axis:
        return None
    return np.take(read[0], held.numpy().ravel() if node.domain == _ML else held.numpy(), axis)


def _encoded(node: ir.Node, read: list[np.ndarray]) -> np.ndarray:
    """One column for each category, all of the column that has the category."""
    kinds = node.attributes.get_ints("cats_int64s", ()) or node.attributes.get_strings("cats_strings", ())
    return np.repeat(read[0][..., None], len(kinds), -1)


def _sizes(value: ir.Value) -> list[int]:
    """The shape of one example, with 1 where examples are counted."""
    dims: list[Any] = list(value.shape) if value.shape is not None else []
    return [size if isinstance(size, int) else 1 for size in dims]


_MOVES: dict[tuple[str, str], Callable[[ir.Node, list[np.ndarray]], np.ndarray | None]] = {
    ("", "Concat"): _joined,
    ("", "Gather"): _picked,
    (_ML, "ArrayFeatureExtractor"): _picked,
    (_ML, "FeatureVectorizer"): _joined,
    (_ML, "OneHotEncoder"): _encoded,
}
