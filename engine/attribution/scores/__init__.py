"""The number of an example that is explained, one kind per file; ``SCORES`` has the kinds by name."""

from __future__ import annotations

from collections.abc import Mapping

from ...data.arrays import as_array
from .box import Box
from .class_boxes import ClassBoxes
from .class_score import Class
from .contrast import Contrast
from .letter import Letter
from .mask import Mask
from .norm import Norm
from .not_score import Not
from .reference_distance import Distance
from .selection import Score, Selected
from .settled import Settled
from .token import Token
from .weighted import Weighted

__all__ = [
    "SCORES",
    "Box",
    "Class",
    "ClassBoxes",
    "Contrast",
    "Distance",
    "Letter",
    "Mask",
    "Norm",
    "Not",
    "Score",
    "Selected",
    "Settled",
    "Token",
    "Weighted",
    "score_of",
]

SCORES: Mapping[str, Score] = {
    "class": Class(),
    "contrast": Contrast("top1", "top1"),
    "weights": Weighted(1.0),
    "not": Not(),
    "mask": Mask(None),
    "token": Token(0),
    "letter": Letter(0),
    "cosine": Distance(1.0),
    "euclidean": Distance(1.0, "euclidean"),
    "norm": Norm(),
    "box": Box(),
    "boxes": ClassBoxes(),
}  # one of each kind, which stands for the graph of all of them


def score_of(target: object) -> Score:
    """The score that a target means: a ``Score``, the weights of all scores as floats, or one score."""
    if isinstance(target, Score):
        return target
    weighs = not isinstance(target, str | tuple | int) and as_array(target, "the target").dtype.kind == "f"
    return Weighted(target) if weighs else Class(target)
