"""How near an embedding is to another one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import onnx_ir as ir

from ...data.arrays import as_array
from ...data.labels import Labels
from ...errors import InputError
from ...graph.builder import GraphBuilder
from ...support.choice import choose
from ..score_axes import ScoreAxes
from .norm import l2_norm
from .selection import Score, Selected

__all__ = ["Distance"]

WORDS = {"cosine": "cosine similarity to the reference", "euclidean": "negative distance to the reference"}


@dataclass(frozen=True, eq=False)
class Distance(Score):
    """How near the scores of an example, an embedding, are to a reference: what makes two pictures alike.

    Both kinds grow where the two come closer: "cosine" is the cosine of the angle between them, "euclidean" the
    negative of their distance.

    Args:
        reference: The other embedding, in the shape of an example's scores ``(D,)``, or one for each ``(N, D)``.
        measure: "cosine" or "euclidean".

    Example:
        >>> import numpy as np, onnxray.models
        >>> digits, picture = onnxray.models.path("digits.onnx"), onnxray.models.path("digit.png")
        >>> found = onnxray.explain(digits, picture, target=onnxray.scores.Distance(np.eye(10)[6]))
        >>> bool(-1 <= found.score[0] <= 1)
        True
    """

    takes: ClassVar[str] = "the embedding of each example that its own is compared with"

    reference: Any
    measure: Literal["cosine", "euclidean"] = "cosine"

    def __post_init__(self) -> None:
        choose(self.measure, WORDS, "measure")

    @property
    def kind(self) -> object:
        return type(self), self.measure

    def target(self, g: GraphBuilder, scores: ScoreAxes) -> ir.Value:
        return g.input("embedding", ir.DataType.FLOAT, ["rows", *scores.shape])

    def emit(self, g: GraphBuilder, flat: ir.Value, target: ir.Value, scores: ScoreAxes) -> Selected:
        other = g.Reshape(target, [0, -1])
        if self.measure == "euclidean":
            return Selected(g.Neg(l2_norm(g, g.Sub(flat, other))), g.Identity(target))
        product = g.ReduceSum(g.Mul(flat, other), [1], keepdims=0)
        return Selected(g.Div(product, g.Mul(l2_norm(g, flat), l2_norm(g, other))), g.Identity(target))

    def resolve(self, rows: int, scores: ScoreAxes) -> np.ndarray:
        array, shape = as_array(self.reference, "the reference"), scores.shape
        if array.dtype.kind not in "iuf" or array.shape not in (shape, (rows, *shape)):
            raise InputError(
                f"the reference, {array.dtype} of shape {array.shape}, is no embedding like the scores "
                f"{scores.tensor!r}, whose shape for one example is {scores.text}: give one, or one for each of {rows}"
            )
        if not np.isfinite(array).all():
            raise InputError("the reference holds NaN or infinity")
        array = (np.stack([array] * rows) if array.shape == shape else array).astype(np.float32)
        if self.measure == "cosine" and not array.reshape(rows, -1).any(1).all():
            raise InputError("the reference is zero, so that it has no angle to an embedding; use measure='euclidean'")
        return array

    def words(self, told: np.ndarray, labels: Labels, scores: ScoreAxes) -> str:
        return WORDS[self.measure]
