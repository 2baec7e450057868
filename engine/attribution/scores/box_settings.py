"""The settings that scores of boxes share: checked, and what a detector that orders its own boxes cannot do."""

from __future__ import annotations

from math import isfinite
from typing import Any

from ...detection.detector import Detector
from ...errors import InputError

__all__ = ["check_index", "check_limits", "sorted_boxes"]


def check_index(name: str, value: Any) -> int:
    """A whole number, or an InputError that names the argument."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise InputError(f"{name} of a box is {value!r}; give a whole number")
    return int(value)


def check_limits(least: Any, overlap: Any) -> None:
    """An InputError where the least score is no number, or the overlap no share."""
    if not _is_number(least) or not _is_number(overlap) or least < 0 or not 0 <= overlap <= 1:
        raise InputError(
            f"least={least!r} and overlap={overlap!r} of a box: give a number from 0 up, and one from 0 to 1"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def sorted_boxes(detector: Detector) -> str | None:
    """Why a method of many points cannot follow a box of a detector that orders its boxes by their scores."""
    if not detector.sorts:
        return None
    return (
        f"this {detector.name} model orders its boxes by their scores, so that a box has another place at every point; "
        "use a method of one point, such as saliency, layer-cam or lrp, or export the model without that step"
    )
