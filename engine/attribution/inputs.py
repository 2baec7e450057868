"""From what a user gives to the arrays that a model takes, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from PIL import Image

from ..data.arrays import as_array
from ..data.batch import Batch, Prepared
from ..data.preprocess import Preprocess
from ..errors import InputError
from ..graph.model import Model, is_float
from ..graph.tree_ensembles import takes_missing
from ..support.caller import warn_caller
from .axes import batch_axis, fixed_batch
from .preprocess_text import preprocess_of
from .state_inputs import state_inputs, zero_states

__all__ = ["InputReader", "prepare"]

Inputs = Any  # an array, a dict of arrays, or pictures: paths or PIL images


def prepare(model: Model, inputs: Inputs, preprocess: Preprocess | str | None = None) -> Prepared:
    """Arrays for every input of the model, by an ``InputReader`` that is made for this one call."""
    return InputReader(model, preprocess)(inputs)


@dataclass(frozen=True, eq=False)
class InputReader:
    """Makes arrays for every input of a model; what the model alone tells is found out once.

    ``preprocess`` is that of pictures, by default the model's own, or its text: "imagenet,fit=crop".
    """

    model: Model
    preprocess: Preprocess | str | None = None

    @cached_property
    def _values(self) -> dict[str, ir.Value]:
        return {str(value.name): value for value in self.model.inputs}

    @cached_property
    def _axes(self) -> dict[str, int | None]:
        return {name: batch_axis(self.model, value) for name, value in self._values.items()}

    @cached_property
    def _fixed(self) -> int | None:
        return fixed_batch(self.model)

    @cached_property
    def named(self) -> Preprocess | None:
        """The preprocessing that ``preprocess`` is, or means."""
        return preprocess_of(self.model, self.preprocess) if isinstance(self.preprocess, str) else self.preprocess

    @cached_property
    def _recipe(self) -> Preprocess | None:
        return self.named or Preprocess.from_metadata(self.model.metadata)

    def to_metadata(self) -> dict[str, str]:
        """The preprocessing that was named, as an entry of a model's metadata; empty where none was."""
        return {} if self.named is None else self.named.to_metadata()

    def __call__(self, inputs: Inputs) -> Prepared:
        """The arrays, checked.

        ``inputs`` is an array for the only input, a dict for several, or pictures (paths or PIL images, one or many).
        State inputs that are left out start at zero, and a warning says so. What was read before stays as it is.
        Raises InputError for what does not fit.
        """
        if isinstance(inputs, Prepared):
            return inputs
        pictures, recipe = _pictures(inputs), self._recipe
        drawn: tuple[Image.Image, ...] = ()
        if pictures:
            recipe = recipe or guess_preprocess(self.model)
            drawn = tuple(recipe.picture(picture) for picture in pictures)
            inputs = recipe.stacked(drawn)
        arrays, states = self._by_name(inputs)
        feeds = {name: _checked(value, arrays[name]) for name, value in self._values.items()}
        return Prepared(Batch(feeds, self._example_axes(feeds), self._fixed), drawn, recipe, states)

    @cached_property
    def _states(self) -> frozenset[str]:
        return state_inputs(self.model)

    def _by_name(self, inputs: Inputs) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
        """The arrays by input, and which of them are states that were left out and start at zero."""
        names = list(self._values)
        whole = isinstance(inputs, Mapping) and all(name in inputs for name in names)
        states = frozenset() if whole or len(names) == 1 else self._states
        given = _given(names, [name for name in names if name not in states], inputs)
        left_out = tuple(name for name in names if name not in given)
        zeros = zero_states(self.model, left_out, given) if left_out else {}
        if left_out:
            told = (
                "state {}, which was left out, starts"
                if len(left_out) == 1
                else "states {}, which were left out, start"
            )
            warn_caller(told.format(", ".join(map(repr, left_out))) + " at zero")
        return {**given, **zeros}, left_out

    def _example_axes(self, feeds: Mapping[str, np.ndarray]) -> dict[str, int | None]:
        """The axis of each input that counts examples; none where inputs of different lengths make up one example.

        Raises InputError where dimensions of one name, or of one size that the model sets, differ.
        """
        sizes = {name: feeds[name].shape[axis] for name, axis in self._axes.items() if axis is not None}
        if len(set(sizes.values())) < 2:
            return self._axes
        shapes = ((self._values[name].shape, axis) for name, axis in self._axes.items())
        if len({shape[axis] for shape, axis in shapes if shape is not None and axis is not None}) == 1:
            raise InputError(f"the inputs differ in how many examples they hold: {sizes}")
        return dict.fromkeys(self._axes)


def guess_preprocess(model: Model) -> Preprocess:
    """A guess from the shape of the first float input."""
    first = next((v for v in model.inputs if is_float(v)), None)
    if first is None or first.shape is None or len(first.shape) != 4:
        raise InputError("the model's input is no picture (rank 4); give an array (by a file: .npy, .csv or .wav)")
    return Preprocess.guess([d if isinstance(d, int) else d.value for d in first.shape])


def _pictures(inputs: Inputs) -> list[Any]:
    one = isinstance(inputs, str | PathLike | Image.Image)
    many = (
        isinstance(inputs, Sequence) and bool(inputs) and all(isinstance(i, str | Path | Image.Image) for i in inputs)
    )
    return [inputs] if one else list(inputs) if many else []


def _given(names: list[str], needed: list[str], inputs: Inputs) -> dict[str, np.ndarray]:
    """The arrays that a user gives, by input; an InputError where one that is needed is not there."""
    given = dict(inputs) if isinstance(inputs, Mapping) else {needed[0]: inputs} if len(needed) == 1 else None
    if given is None:
        raise InputError(f"the model has several inputs; give a dict with: {', '.join(names)}")
    if missing := [name for name in needed if name not in given]:
        raise InputError(f"no array for input {', '.join(missing)}; the model takes: {', '.join(names)}")
    if unknown := [str(name) for name in given if name not in names]:
        raise InputError(f"no input {', '.join(unknown)} in the model; it takes: {', '.join(names)}")
    return given


def _checked(value: ir.Value, given: Any) -> np.ndarray:
    """The array in the model's type; of its shape, and finite."""
    array = as_array(given, f"input {value.name!r}")
    wanted = value.dtype.numpy() if value.dtype is not None else array.dtype
    if (
        array.dtype.kind not in "fiub"
        or (array.dtype.kind != "f" and is_float(value))
        or (array.dtype.kind == "f" and not is_float(value))
    ):
        raise InputError(
            f"input {value.name!r} takes {wanted}, not {array.dtype}; convert it, pictures to the model's range"
        )
    _check_shape(value, array)
    with np.errstate(over="ignore"):
        array = array.astype(wanted, copy=False)
    if is_float(value) and not np.isfinite(array).all() and not (takes_missing(value) and not np.isinf(array).any()):
        first = np.argwhere(~np.isfinite(array))[0].tolist()
        raise InputError(f"input {value.name!r} holds NaN or infinity, at index {first}")
    return array


def _check_shape(value: ir.Value, array: np.ndarray) -> None:
    if value.shape is None:
        return
    dims = [d if isinstance(d, int) else None for d in value.shape]
    text = "(" + ", ".join(str(d) for d in value.shape) + ")"
    fits = array.ndim == len(dims) and all(
        d in (None, n) or (axis == 0 and n > 0) for axis, (d, n) in enumerate(zip(dims, array.shape, strict=True))
    )
    if not fits:
        raise InputError(f"input {value.name!r} has shape {array.shape}, the model takes {text}")
    if 0 in array.shape:
        raise InputError(f"input {value.name!r} is empty: shape {array.shape}")
