"""The score of one box of a detector: found by its rank, its class, or a box that it overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, get_args

import numpy as np
import onnx_ir as ir

from ...data.labels import Labels
from ...detection.detector import SIDES, Boxes
from ...detection.suppression import kept_boxes
from ...graph.builder import GraphBuilder
from ...methods.checks import check_whole
from ...support.choice import choose
from ..score_axes import ScoreAxes
from .box_places import corners_near, found_at, order_of, row_at
from .detector_score import DetectorScore
from .selection import Selected

__all__ = ["Box"]

Part = Literal["score", "x1", "y1", "x2", "y2"]
PARTS: tuple[str, ...] = get_args(Part)
ANY, OPEN = -1.0, -1.0  # any class; a box that the run finds
FIELDS = 3 + SIDES  # of a target: place among all boxes, class, rank, corners


@dataclass(frozen=True, eq=False)
class Box(DetectorScore):
    """One box of a detector, after non-maximum suppression: its score, or the place of one of its sides.

    What the boxes are is known by the model's outputs (YOLO, SSD, DETR and others); the score of a box is that of its
    best class, times the objectness where there is one. A box that is not there is an InputError.

    Args:
        rank: 0 for the box of the highest score, 1 for the next; of those of the class, or overlapping, asked for.
        label: The index of a class, whose boxes alone count; None for all.
        near: x1, y1, x2, y2 in pixels of the model's input, ``(4,)`` or one for each example ``(N, 4)``: the boxes that
            overlap it by half or more count, the best overlap first.
        part: What is explained: "score", or "x1", "y1", "x2" or "y2", in pixels.
        least: Boxes of lower scores are none.
        overlap: Of two boxes of one class that overlap by more, the worse is none (intersection over union).
        detector: The kind of detector by name, None for the one that the outputs tell.

    Example:
        >>> onnxray.scores.Box(0, label=14).rank
        0
    """

    takes: ClassVar[str] = (
        "of each example -1, the class or -1 for any, the rank, and NaN four times or "
        "x1, y1, x2, y2 that the box overlaps"
    )

    rank: int = 0
    label: int | None = None
    near: Sequence[float] | np.ndarray | None = None
    part: Part = "score"
    least: float = 0.25
    overlap: float = 0.45
    detector: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole("rank", self.rank, 0)
        if self.label is not None:
            check_whole("label", self.label, 0)
        choose(self.part, PARTS, "part of a box")

    @property
    def kind(self) -> object:
        return super().kind, self.part

    def target(self, g: GraphBuilder, scores: ScoreAxes) -> ir.Value:
        return g.input("target", ir.DataType.FLOAT, ["rows", FIELDS])

    def emit(self, g: GraphBuilder, flat: ir.Value, target: ir.Value, scores: ScoreAxes) -> Selected:
        boxes = self.boxes(g, flat, scores)
        place, label, rank, near = g.Split(target, [1, 1, 1, SIDES], axis=1, outputs=4)
        kept = kept_boxes(g, boxes, self.overlap, self.least)
        place_of_rank, there, count = found_at(g, order_of(g, boxes, kept, label, near), rank)
        known = g.GreaterOrEqual(place, 0.0)
        at = g.Where(known, g.Cast(place, to=ir.DataType.INT64), place_of_rank)
        sides = g.Squeeze(row_at(g, boxes.sides, at), [1])
        own = g.Cast(g.GatherElements(kept.labels, at, axis=1), to=ir.DataType.FLOAT)
        its = g.Where(known, label, own)
        there = g.Or(known, there)
        value = g.Where(g.Squeeze(there, [1]), self._value(g, boxes, at, its), np.nan)
        found = (g.Cast(at, to=ir.DataType.FLOAT), its, rank, sides)
        absent = (OPEN, label, count, near)  # how many boxes there are, in the place of the rank
        settled = [g.Where(there, one, other) for one, other in zip(found, absent, strict=True)]
        return Selected(value, g.Concat(*settled, axis=1))

    def _value(self, g: GraphBuilder, boxes: Boxes, at: ir.Value, label: ir.Value) -> ir.Value:
        """The explained number of the box at a place, (rows,)."""
        if self.part == "score":
            row, index = row_at(g, boxes.scores, at), g.Cast(label, to=ir.DataType.INT64)
        else:
            row, index = row_at(g, boxes.sides, at), g.constant([[PARTS.index(self.part) - 1]], ir.DataType.INT64)
            index = g.Expand(index, g.Shape(at))
        return g.Squeeze(g.GatherElements(g.Squeeze(row, [1]), index, axis=1), [1])

    def resolve(self, rows: int, scores: ScoreAxes) -> np.ndarray:
        if self.label is not None:
            self.check_class(self.label, scores)
        target = np.zeros((rows, FIELDS), np.float32)
        target[:, 0], target[:, 1], target[:, 2] = OPEN, ANY if self.label is None else self.label, self.rank
        target[:, 3:] = np.nan if self.near is None else corners_near(self.near, rows)
        return target

    def missing(self, settled: np.ndarray, rows: np.ndarray, scores: ScoreAxes) -> str | None:
        absent = np.flatnonzero(settled[:, 0] < 0)
        if not absent.size:
            return None
        _, label, count = settled[absent[0], :3].astype(int)
        which = (f" of class {label}" if label >= 0 else "") + (" near that place" if self.near is not None else "")
        return (
            f"box {self.rank}{which} is not there: example {rows[absent[0]]} has {count or 'no'} such "
            f"{'box' if count == 1 else 'boxes'} with a score of {self.least} or more"
        )

    def label_of(self, told: np.ndarray) -> int | None:
        return int(told[1])

    def typed(self, told: np.ndarray | None = None) -> str | None:
        if not self.usual or self.part != "score":
            return None
        if self.near is None:
            return f"box:{self.rank}" if self.label is None else f"box:{self.rank}:{self.label}"
        alone = self.rank == 0 and self.label is None and np.shape(self.near) == (SIDES,)
        return f"box:{','.join(f'{side:.9g}' for side in np.ravel(self.near))}" if alone else None

    def elsewhere(self, settled: np.ndarray, told: np.ndarray) -> Box:
        """The box of the same class that overlaps this one most, as another model has it at another place."""
        return replace(self, rank=0, label=int(told[1]), near=told[2:])

    def corners_of(self, told: np.ndarray) -> np.ndarray | None:
        return told[2:]

    def words(self, told: np.ndarray, labels: Labels, scores: ScoreAxes) -> str:
        rank, label = map(int, told[:2])
        return f"box {rank}, {labels.get(label, f'class {label}')}" + ("" if self.part == "score" else f", {self.part}")

    def told(self, settled: np.ndarray, scores: ScoreAxes) -> np.ndarray:
        """Rank, class, x1, y1, x2 and y2 of each example's box."""
        return settled[:, [2, 1, 3, 4, 5, 6]]
