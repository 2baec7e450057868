"""The detectors by name, and the one that a model is, by its outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ..errors import ModelError
from ..graph.model import Model
from ..support.choice import choose
from .detector import Detector, picture_input
from .grids import fastest_det, pico_det
from .pairs import detr, rt_detr, ssd
from .yolo import end_to_end, yolo, yolo_rt_detr, yolo_v8, yolox

__all__ = ["DETECTORS", "detector_of", "recognised"]

DETECTORS: Mapping[str, Callable[[Model, bool], Detector | None]] = {
    "detr": detr,
    "rt-detr": rt_detr,
    "ssd": ssd,
    "fastestdet": fastest_det,
    "picodet": pico_det,
    "rt-detr-joined": yolo_rt_detr,
    "yolo-end-to-end": end_to_end,
    "yolov8": yolo_v8,
    "yolox": yolox,
    "yolov5": yolo,
}  # the first that knows a model's outputs reads them; True: a user named it


def recognised(model: Model) -> Detector | None:
    """The detector that a model is, None where it is none that is known."""
    try:
        picture_input(model)
        return next((found for name in DETECTORS if (found := _known(model, name, named=False)) is not None), None)
    except ModelError:  # no pictures go in
        return None


def detector_of(model: Model, name: str | None) -> Detector:
    """The detector of a name, or the one that the outputs tell; a ModelError where they do not fit it, or none."""
    found = recognised(model) if name is None else _known(model, choose(name, DETECTORS, "detector"), named=True)
    if found is None:
        shapes = ", ".join(f"{y.name!r} {y.shape}" for y in model.outputs)
        what = "any detector that is known" if name is None else f"the detector {name!r}"
        raise ModelError(
            f"the outputs {shapes} are not those of {what} ({', '.join(DETECTORS)}); explain one of their elements, as "
            "in target=(0, 4)"
        )
    return found


def _known(model: Model, name: str, named: bool) -> Detector | None:
    found = DETECTORS[name](model, named)
    return None if found is None else replace(found, name=name)
