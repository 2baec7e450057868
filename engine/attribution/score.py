"""The tensor that holds the scores of a model, and its elements as rows."""

from __future__ import annotations

import onnx
import onnx_ir as ir

from ..errors import ModelError
from ..graph.builder import GraphBuilder
from ..graph.model import Model, is_float
from ..graph.moving_operators import CASTING
from ..runtime import Session, SessionSettings, open_model
from ..support.choice import nearest
from .score_axes import ScoreAxes

__all__ = [
    "TENSORS",
    "flat_scores",
    "open_scores",
    "row_scores",
    "score_tensor",
]

TENSORS = ("logit", "output")  # tensors of scores by a name of ours; any other name is that of a tensor


def score_tensor(model: Model, score: str) -> ir.Value:
    """The tensor whose elements are scores: the first float output, or the tensor that ``score`` names.

    Of a model that gives classes alone, as segmenters do, it is the tensor whose largest element is taken.
    """
    if score not in TENSORS:
        return _named(model, score)
    outputs = [value for value in model.outputs if is_float(value)]
    outputs = outputs or [scores for value in model.outputs if (scores := _largest_of(value)) is not None]
    if not outputs:
        raise ModelError("the model has no floating-point output, so there is no score to explain")
    return outputs[0]


def _largest_of(value: ir.Value | None) -> ir.Value | None:
    """The floating-point tensor whose largest elements an output counts; None where no ArgMax makes it."""
    while value is not None and (node := value.producer()) is not None and node.domain == "" and node.inputs:
        value = node.inputs[0]
        if node.op_type == "ArgMax":
            return value if value is not None and is_float(value) else None
        if node.op_type not in CASTING:
            return None
    return None


def _named(model: Model, score: str) -> ir.Value:
    try:
        return model.values(score)[0]
    except ModelError as error:
        if near := nearest(score, TENSORS):
            raise ModelError(f"no score {score!r}; did you mean {near[0]!r}? or name a tensor") from error
        raise


def row_scores(model: Model, score: str) -> ir.Value:
    """The score tensor, which the model must compute, for each example."""
    y = score_tensor(model, score)
    if y.is_graph_input():
        raise ModelError(f"the score {y.name!r} is an input of the model; name a tensor that it computes")
    return y


def open_scores(model: Model, y: ir.Value, settings: SessionSettings) -> tuple[Session, str]:
    """A session of the model as it is that also gives the tensor of its scores, and the name of that."""
    program, name = model.copy(), str(y.name)
    if name not in [value.name for value in program.outputs]:
        program.graph.outputs.append(ir.convenience.create_value_mapping(program.graph)[name])
    return open_model(program, settings), name


def flat_scores(g: GraphBuilder, y: ir.Value, axes: ScoreAxes) -> ir.Value:
    """The scores as float32 rows, one per example; a rank that a file declares and a run does not find is forgotten."""
    if axes.known and y.shape is not None and len(y.shape) != len(axes.shape) + (axes.axis is not None):
        sizes = list(axes.shape)
        y.shape = ir.Shape(sizes if axes.axis is None else [*sizes[: axes.axis], None, *sizes[axes.axis :]])
    y = g.as_float32(y)
    if axes.axis:
        rest = [axis for axis in range(len(axes.shape) + 1) if axis != axes.axis]
        y = g.Transpose(y, perm=[axes.axis, *rest])
    try:
        return g.Reshape(y, [1 if axes.axis is None else 0, -1])
    except onnx.shape_inference.InferenceError as error:
        dims = ", ".join(map(str, y.shape or ()))
        raise ModelError(
            f"the scores {axes.tensor!r} have the declared shape ({dims}), which is none: {error}"
        ) from error
