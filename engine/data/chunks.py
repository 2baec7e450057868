"""Chunks of a recording that is longer than a model takes: where they lie, and the length that a model wants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from ..errors import InputError
from ..graph.model import Model, is_float

__all__ = ["Chunks", "chunks_of"]

Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Chunks:
    """Chunks of ``length`` samples along an axis of an input; each ends with ``hop`` samples that none before it has.

    Outside of the recording's ``samples`` a chunk holds zeros.
    """

    name: str
    axis: int
    samples: int
    length: int
    hop: int

    def __len__(self) -> int:
        return -(-self.samples // self.hop)

    def start(self, k: int) -> int:
        """The first sample of a chunk, below zero where it starts before the recording."""
        return (k + 1) * self.hop - self.length

    def at(self, sample: float, otherwise: str) -> int:
        """The chunk whose new samples hold one of the recording; ``otherwise`` is the InputError where it has none."""
        if not 0 <= sample < self.samples:
            raise InputError(otherwise)
        return int(sample) // self.hop

    def take(self, recording: NDArray, k: int) -> NDArray:
        """A chunk of a recording."""
        places = self.start(k) + np.arange(self.length)
        inside = (places >= 0) & (places < self.samples)
        found = np.zeros_like(np.take(recording, np.zeros(self.length, int), self.axis))
        np.moveaxis(found, self.axis, 0)[inside] = np.moveaxis(recording, self.axis, 0)[places[inside]]
        return found

    def add(self, total: NDArray, part: NDArray, k: int, axis: int) -> None:
        """Adds the values of a chunk to those of the recording; what lies outside of it is dropped."""
        places = self.start(k) + np.arange(self.length)
        inside = (places >= 0) & (places < self.samples)
        np.moveaxis(total, axis, 0)[places[inside]] += np.moveaxis(part, axis, 0)[inside]


@dataclass(frozen=True)
class _Streamed:
    """Models known by the shapes of their states: length and hop of their chunks by samples a second."""

    name: str
    shapes: Mapping[str, Shape]
    chunks: Mapping[int, tuple[int, int]]


# github.com/snakers4/silero-vad: utils_vad.py puts 64 samples of the chunk before in front of 512 (at 8000 a second 32
# and 256); version 4 does not.
_KNOWN = (
    _Streamed("silero-vad", {"state": (2, None, 128)}, {16000: (576, 512), 8000: (288, 256)}),
    _Streamed("silero-vad", {"h": (1, 1, 128), "c": (1, 1, 128)}, {16000: (576, 512)}),
    _Streamed("silero-vad 4", {"h": (2, None, 64), "c": (2, None, 64)}, {16000: (512, 512), 8000: (256, 256)}),
)


def chunks_of(
    model: Model,
    arrays: Mapping[str, NDArray],
    rate: float | None = None,
    named: tuple[int, int] | None = None,
    sound: bool = True,
) -> Chunks | None:
    """The chunks of the recording for a model's first floating-point input; None where the model takes it whole.

    ``named``: length and hop that a user named. ``sound``: whether it is one, so that a length that the model fixes is
    one of time. InputError for what the model does not take.
    """
    value = next((v for v in model.inputs if is_float(v)), None)
    if value is None or value.shape is None or value.name not in arrays:
        return None
    name, array = str(value.name), arrays[str(value.name)]
    axis = _time_axis(value, array)
    if axis is None:
        return None
    size = value.shape[axis]
    length, hop = named or _known(model, value, rate) or ((size, size) if isinstance(size, int) and sound else (0, 0))
    if isinstance(size, int) and length not in (0, size):
        raise InputError(f"input {name!r} takes {size} samples; a chunk of {length} does not fit")
    return Chunks(name, axis, array.shape[axis], length, hop) if 0 < length < array.shape[axis] else None


def _time_axis(value: ir.Value, array: NDArray) -> int | None:
    """The axis that counts samples: the one that is longer than the model takes, else the longest behind the first."""
    dims = [d if isinstance(d, int) else None for d in value.shape or ()]
    if len(dims) != array.ndim or array.ndim > 4:
        return None
    other = [k for k, (d, n) in enumerate(zip(dims, array.shape, strict=True)) if d not in (None, n)]
    behind = range(min(1, array.ndim - 1), array.ndim)
    axis = max(behind, key=lambda k: array.shape[k]) if not other else other[0]
    return axis if len(other) < 2 and axis in behind and array.shape[axis] >= (dims[axis] or 0) else None


def _known(model: Model, value: ir.Value, rate: float | None) -> tuple[int, int] | None:
    """Length and hop for a model that is known by its inputs; an InputError where it takes no such rate."""
    shapes = {
        str(v.name): tuple(d if isinstance(d, int) else None for d in v.shape or ())
        for v in model.inputs
        if v is not value
    }
    one = next((one for one in _KNOWN if _fits(one.shapes, shapes)), None)
    if one is None or value.shape is None or len(value.shape) != 2:
        return None
    if rate is not None and rate not in one.chunks:
        rates = " or ".join(map(str, one.chunks))
        raise InputError(f"{one.name} takes {rates} samples a second, not {rate:g}; resample the sound")
    return one.chunks[int(rate or next(iter(one.chunks)))]


def _fits(wanted: Mapping[str, Shape], shapes: Mapping[str, Shape]) -> bool:
    """Whether the inputs have these shapes, as far as they are fixed."""
    return all(
        name in shapes
        and len(shape) == len(shapes[name])
        and all(None in (a, b) or a == b for a, b in zip(shape, shapes[name], strict=True))
        for name, shape in wanted.items()
    )
