"""Boxes of a detector on the command line: which are explained, where they lie in the picture, and drawn."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from ..attribution.scores import Box
from ..data.files import Given, is_picture
from ..data.pictures import picture_size
from ..data.preprocess import Preprocess
from ..drawing.draw_box import with_box, with_mask
from ..drawing.views import View
from ..errors import InputError
from ..explainer import BoxFinder

__all__ = ["MOST", "boxes_of", "in_picture", "marked"]

MOST = 10  # boxes of a picture that are explained


def boxes_of(finder: BoxFinder, given: Given) -> list[Box]:
    """The scores of the boxes of one picture, the highest first; an InputError where there is none."""
    examples = finder(given.inputs)
    if len(examples) > 1:
        raise InputError(f"{len(examples)} pictures in one file have boxes of their own; name one, as --target box:0")
    boxes = examples[0]
    if not boxes:
        raise InputError(f"the detector finds no box with a score of {Box().least} or more")
    if len(boxes) > MOST:
        warnings.warn(
            f"{len(boxes)} boxes, the first {MOST} are explained; name others, as --target box:{MOST}", stacklevel=2
        )
    return [Box(box.rank) for box in boxes[:MOST]]


def marked(
    views: Mapping[str, View], corners: np.ndarray | None, name: str, mask: np.ndarray | None
) -> dict[str, View]:
    """The views of an example with what its score is taken of drawn on its picture: a box, the edge of a mask."""
    if corners is None and mask is None:
        return dict(views)

    def draw(picture: Image.Image, width: int) -> Image.Image:
        edged = picture if mask is None else with_mask(picture, mask)
        return edged if corners is None else with_box(edged, (corners * edged.width / width).tolist(), name)

    return {
        key: replace(view, mark=partial(draw, width=view.picture.width)) if view.picture is not None else view
        for key, view in views.items()
    }


def in_picture(corners: np.ndarray, file: Path, preprocess: Preprocess | None) -> list[float]:
    """x1, y1, x2, y2 of a box in pixels of its picture; of an array in those of the model's input."""
    if preprocess is not None and is_picture(file):
        corners = preprocess.placement(picture_size(file)).in_picture(corners)
    return np.round(np.asarray(corners, np.float64), 1).tolist()
