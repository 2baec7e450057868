"""The boxes that a detector finds, as its explanations count them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import TopologicalSortPass

from ..attribution.inputs import Inputs, prepare
from ..attribution.scores import Box
from ..data.preprocess import Preprocess
from ..detection.detector import DETECTIONS, SIDES, joined_from, split_table
from ..detection.suppression import kept_boxes
from ..graph.builder import GraphBuilder
from ..graph.model import Model, Source
from ..loading.load import load
from ..runtime import Provider, Session, SessionSettings, open_model

__all__ = ["BoxFinder", "DetectedBox", "detect", "open_box_finder"]

EACH = 8  # pictures of one run, where the model leaves their number open
OUTPUTS = ("onnxray/kept", "onnxray/labels", "onnxray/sides")


@dataclass(frozen=True)
class DetectedBox:
    """A box that a detector keeps: its rank by score, the index of its class, and x1, y1, x2, y2 in pixels of the
    model's input."""

    rank: int
    label: int
    score: float
    corners: tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class BoxFinder:
    """A detector in a session that gives its boxes; opened by ``open_box_finder``, called often."""

    model: Model
    session: Session
    preprocess: Preprocess | None

    def __call__(self, inputs: Inputs) -> list[list[DetectedBox]]:
        """The boxes of each example, the highest score first."""
        batch = prepare(self.model, inputs, self.preprocess).batch
        each, found = batch.fixed or EACH, []
        for start in range(0, batch.examples, each):
            rows = np.arange(start, min(start + each, batch.examples))
            results = self.session.run(batch.take(batch.fill(rows)), list(OUTPUTS))
            found += [_listed(*(results[name][k] for name in OUTPUTS)) for k in range(len(rows))]
        return found


def open_box_finder(
    model: Source,
    box: Box | None = None,
    preprocess: Preprocess | None = None,
    providers: Sequence[Provider] | Provider | None = None,
    threads: int | None = None,
) -> BoxFinder:
    """Opens a detector once for many calls; arguments are those of ``detect``."""
    source, box = load(model), box or Box()
    session = open_model(_with_kept(box.prepared(source), box), SessionSettings(providers, threads))
    return BoxFinder(source, session, preprocess)


def detect(
    model: Source,
    inputs: Inputs,
    *,
    box: Box | None = None,
    preprocess: Preprocess | None = None,
    providers: Sequence[Provider] | Provider | None = None,
    threads: int | None = None,
) -> list[list[DetectedBox]]:
    """Lists the boxes of a detector, as ``onnxray.scores.Box`` counts them: box k of an example is ``Box(k)``.

    Args:
        model: Path, bytes, ModelProto or ``Model``.
        inputs: An array ``(N, *input)``, a dict of arrays by input name, or pictures (paths or PIL images).
        box: The settings ``least``, ``overlap`` and ``detector`` are those of this score; None for their defaults.
        preprocess: How pictures become inputs; None for what the model carries.
        providers: Execution providers, "cpu", "cuda", "openvino" or as onnxruntime names them; None for the CPU.
        threads: CPU threads of one run; None for all cores.

    Returns:
        list: For each example its boxes, the highest score first.

    Raises:
        ModelError: A model that cannot be read or run, or whose outputs are those of no known detector.
        InputError: Inputs that do not fit the model.

    Example:
        >>> import numpy as np, onnxray
        >>> onnxray.detect(onnxray.models.path("digits.onnx"), np.zeros((1, 1, 28, 28), np.float32))
        Traceback (most recent call last):
        onnxray.errors.ModelError: ...
    """
    return open_box_finder(model, box, preprocess, providers, threads)(inputs)


def _with_kept(model: Model, box: Box) -> Model:
    """A copy that gives the kept boxes."""
    copy = model.copy()
    g = GraphBuilder(copy.graph, prefix="kept")
    table = ir.convenience.create_value_mapping(copy.graph)[DETECTIONS]
    numbers: Any = table.shape[2] if table.shape is not None else SIDES
    boxes = joined_from(table) or split_table(g, table, numbers)
    kept = kept_boxes(g, boxes, box.overlap, box.least)
    for name, value in zip(OUTPUTS, (kept.scores, kept.labels, boxes.sides), strict=True):
        g.output(value, name)
    TopologicalSortPass()(copy.program)
    return copy


def _listed(scores: np.ndarray, labels: np.ndarray, sides: np.ndarray) -> list[DetectedBox]:
    order = np.argsort(-scores, kind="stable")[: np.count_nonzero(scores)]
    return [DetectedBox(rank, int(labels[k]), float(scores[k]), _four(sides[k])) for rank, k in enumerate(order)]


def _four(sides: np.ndarray) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = sides.tolist()
    return x1, y1, x2, y2
