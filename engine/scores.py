"""Objects for ``target=``: the score that is explained.

``onnxray.explain(model, picture, target=onnxray.scores.Contrast(6, 8))`` explains why 6 and not 8.
"""

from .attribution.scores import (
    SCORES,
    Box,
    Class,
    ClassBoxes,
    Contrast,
    Distance,
    Letter,
    Mask,
    Norm,
    Not,
    Score,
    Token,
    Weighted,
)

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
    "Token",
    "Weighted",
]
