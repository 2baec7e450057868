"""The first run of a model, with each of its methods, on a sample or on zeros: after it a request waits for nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

from ..attribution.axes import batch_axis, fixed_batch
from ..attribution.run import MissingTarget
from ..data.batch import Prepared
from ..errors import InputError, OnnxrayError
from .batcher import Batcher
from .served_model import ServedModel
from .targets import Wanted, wanted
from .work import Explain, Predict

__all__ = ["warm_up"]

SIDE = 224  # pixels of a picture whose size is open
LENGTH = 16  # of another size that is open


async def warm_up(model: ServedModel, batcher: Batcher[Any, Any], sample: Any = None) -> None:
    """Runs the model once, and once with each method. An InputError says what to give where zeros do not do."""
    try:
        given = _given(model, sample)
        await batcher(Predict(model, given), delay=0)
        for method in model.methods:
            await _explained(model, batcher, method, given)
    except OnnxrayError as error:
        on = "the sample" if sample is not None else "zeros; give --sample FILE"
        raise InputError(f"{model.name}: the first run fails on {on}: {error}") from error


async def _explained(model: ServedModel, batcher: Batcher[Any, Any], method: str, given: Prepared) -> None:
    used = given if model.one_by_one[method] or given.batch.examples > 1 else _twice(given)
    try:
        target: Wanted = wanted(model, "top1" if model.scores.single else _first(model), used.batch.examples)
        await batcher(Explain(model, used, method, target), delay=0)
    except MissingTarget:
        return  # the model has run, and there is nothing such as a box in zeros


def _first(model: ServedModel) -> str:
    """The first element of scores of several axes."""
    return ",".join("0" for _ in model.scores.shape)


def _twice(given: Prepared) -> Prepared:
    """Two examples for a method that compares them."""
    feeds = {name: array if (axis := given.batch.axes[name]) is None else np.repeat(array, 2, axis)
             for name, array in given.batch.feeds.items()}  # fmt: skip
    return Prepared(type(given.batch)(feeds, given.batch.axes, given.batch.fixed))


def _given(model: ServedModel, sample: Any) -> Prepared:
    if sample is not None:
        return model.reader(sample)
    if model.encoder is not None:
        return model.reader(model.encoder("a").inputs)
    rows = fixed_batch(model.model) or 1
    return model.reader({str(value.name): _zeros(value, model, rows) for value in model.model.inputs})


def _zeros(value: ir.Value, model: ServedModel, rows: int) -> np.ndarray:
    if value.shape is None:
        raise InputError(f"input {value.name!r} has no known shape")
    pictures = model.takes_pictures
    size = model.side.preprocess.size if pictures and model.side.preprocess else None
    open_side, counting = iter(size or (SIDE, SIDE)), batch_axis(model.model, value)
    sizes = [
        one if isinstance(one, int) else rows if axis == counting else next(open_side, LENGTH) if pictures else LENGTH
        for axis, one in enumerate(value.shape)
    ]
    return np.zeros(sizes, None if value.dtype is None else value.dtype.numpy())
