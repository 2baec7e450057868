"""The scores of all boxes of a class that a detector keeps, summed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from ...data.labels import Labels
from ...detection.suppression import kept_boxes
from ...graph.builder import GraphBuilder
from ...methods.checks import check_whole
from ..score_axes import ScoreAxes
from .detector_score import DetectorScore
from .selection import Selected

__all__ = ["ClassBoxes"]

OPEN = -1.0  # boxes that the run finds
END = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class ClassBoxes(DetectorScore):
    """All boxes of a class that a detector keeps: the sum of their scores of that class.

    Args:
        label: The index of the class.
        least: Boxes of lower scores are none.
        overlap: Of two boxes of one class that overlap by more, the worse is none (intersection over union).
        detector: The kind of detector by name, None for the one that the outputs tell.

    Example:
        >>> onnxray.scores.ClassBoxes(16).label
        16
    """

    takes: ClassVar[str] = "of each example the class, and -1 for each box"

    label: int = 0
    least: float = 0.25
    overlap: float = 0.45
    detector: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("label", self.label, 0)

    def target(self, g: GraphBuilder, scores: ScoreAxes) -> ir.Value:
        return g.input("target", ir.DataType.FLOAT, ["rows", "boxes_and_class"])

    def emit(self, g: GraphBuilder, flat: ir.Value, target: ir.Value, scores: ScoreAxes) -> Selected:
        """``target`` is the class, and for each box whether it counts, or -1; settled, it is 1 or 0."""
        boxes = self.boxes(g, flat, scores)
        label, given = g.Slice(target, [0], [1], [1]), g.Slice(target, [1], [END], [1])
        kept = kept_boxes(g, boxes, self.overlap, self.least)
        own = g.Equal(g.Cast(kept.labels, to=ir.DataType.FLOAT), label)
        found = g.Cast(g.And(g.Greater(kept.scores, 0.0), own), to=ir.DataType.FLOAT)
        counts = g.Where(g.Less(given, 0.0), found, given)
        index = g.Expand(g.Unsqueeze(g.Cast(label, to=ir.DataType.INT64), [2]), g.Shape(g.Unsqueeze(counts, [2])))
        its = g.Squeeze(g.GatherElements(boxes.scores, index, axis=2), [2])
        value = g.ReduceSum(g.Mul(its, counts), [1], keepdims=0)
        some = g.Greater(g.ReduceSum(counts, [1], keepdims=0), 0.0)
        return Selected(g.Where(some, value, np.nan), g.Concat(label, counts, axis=1))

    def resolve(self, rows: int, scores: ScoreAxes) -> np.ndarray:
        self.check_class(self.label, scores)
        return np.array([[self.label, *[OPEN] * (scores.shape[0] or 1)]] * rows, np.float32)

    def missing(self, settled: np.ndarray, rows: np.ndarray, scores: ScoreAxes) -> str | None:
        absent = np.flatnonzero(settled[:, 1:].sum(1) == 0)
        if not absent.size:
            return None
        return (
            f"boxes of class {self.label} are not there: example {rows[absent[0]]} has none with a score of "
            f"{self.least} or more"
        )

    def told(self, settled: np.ndarray, scores: ScoreAxes) -> np.ndarray:
        """Class and number of boxes of each example."""
        return np.stack([settled[:, 0], settled[:, 1:].sum(1)], axis=1).astype(np.int64)

    def typed(self, told: np.ndarray | None = None) -> str | None:
        return f"boxes:{self.label}" if self.usual else None

    def elsewhere(self, settled: np.ndarray, told: np.ndarray) -> ClassBoxes:
        """All boxes of the class that the other model keeps."""
        return self

    def label_of(self, told: np.ndarray) -> int | None:
        return int(told[0])

    def words(self, told: np.ndarray, labels: Labels, scores: ScoreAxes) -> str:
        label, count = map(int, told)
        return f"{count} box{'es' * (count != 1)} of {labels.get(label, f'class {label}')}"

    def length(self, g: GraphBuilder, target: ir.Value) -> ir.Value | float:
        count = g.ReduceSum(g.Max(0.0, g.Slice(target, [1], [END], [1])), [1], keepdims=0)
        return g.Max(1.0, g.Sqrt(count))
