"""Sound from .wav files, as an array for the input of a model that takes a waveform."""

from __future__ import annotations

import re
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from ..errors import InputError
from ..graph.model import Model, is_float
from ..support.damaged import readable

__all__ = ["WAV", "read_sound", "read_wav", "sampling_rate", "with_rate"]

WAV = ".wav"
RATE = re.compile(r"sr|rate|(sample|sampling)_?rate", re.IGNORECASE)  # names of inputs that take samples a second
KINDS = {1: "u1", 2: "<i2", 4: "<i4"}  # bytes of a sample


def read_sound(model: Model, path: Path, rate: float | None) -> tuple[dict[str, np.ndarray], float]:
    """The sound of a file for the model's first floating-point input, by name, and its samples a second.

    InputError for a file of another rate than ``rate``, or with more channels or fewer samples than the model takes.
    """
    sound, own = read_wav(path)
    if rate is not None and rate != own:
        raise InputError(f"{path} has {own} samples a second, the rate given is {rate:g}; resample it, or name no rate")
    value = next((v for v in model.inputs if is_float(v)), None)
    if value is None or value.shape is None or len(value.shape) not in (1, 2, 3):
        shape = "none of floating-point numbers" if value is None else f"{value.name!r} {value.shape}"
        raise InputError(f"{path} is sound, (batch, channels, samples) or without channels; the model takes {shape}")
    return {str(value.name): _shaped(path, sound, value)}, float(own)


def with_rate(model: Model, arrays: dict[str, np.ndarray], rate: float | None) -> dict[str, np.ndarray]:
    """The arrays, and beside them the samples a second for an input that takes them as one integer."""
    found = dict(arrays)
    for value in model.inputs if rate is not None else ():
        one = value.shape is None or all(size == 1 for size in value.shape)
        if value.name not in found and one and not is_float(value) and RATE.fullmatch(str(value.name)):
            found[str(value.name)] = np.full([1] * len(value.shape or ()), int(rate or 0), np.int64)
    return found


def sampling_rate(arrays: Mapping[str, np.ndarray]) -> float | None:
    """The samples a second that an input of one integer gives, by its name; None where none does."""
    found = [array for name, array in arrays.items() if RATE.fullmatch(name) and array.dtype.kind in "iu"]
    return float(found[0].ravel()[0]) if found and found[0].size == 1 and found[0].ravel()[0] > 0 else None


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    """Channels by samples, float32 from -1 to 1, and the samples a second; InputError for what is no PCM sound."""
    with readable(path, "sound as .wav reads it (PCM)", InputError), wave.open(str(path), "rb") as file:
        width, channels, rate = file.getsampwidth(), file.getnchannels(), file.getframerate()
        numbers = _numbers(file.readframes(file.getnframes()), width)
    if not numbers.size:
        raise InputError(f"{path} holds no sample")
    return numbers.reshape(-1, channels).T, rate


def _numbers(raw: bytes, width: int) -> np.ndarray:
    if width == 3:  # the lowest byte of four is zero
        raw, width = np.pad(np.frombuffer(raw, np.uint8).reshape(-1, 3), ((0, 0), (1, 0))).tobytes(), 4
    numbers = np.frombuffer(raw, KINDS[width]).astype(np.float64)
    middle = 2.0 ** (8 * width - 1)
    return ((numbers - middle if width == 1 else numbers) / middle).astype(np.float32)


def _shaped(path: Path, sound: np.ndarray, value: ir.Value) -> np.ndarray:
    """The sound in the axes of an input; the last counts samples unless the last but one is the longer."""
    dims: list[Any] = [d if isinstance(d, int) else None for d in value.shape or ()]
    channels, samples = sound.shape
    turned = len(dims) == 3 and dims[1] != channels and dims[2] == channels
    wanted = dims[1] if turned else dims[-1]
    room = dims[-1 - (not turned)] if len(dims) == 3 else 1
    if room not in (None, channels):
        raise InputError(f"{path} has {channels} channels, the model takes {room}; mix them into one file of {room}")
    if samples < (wanted or 0):
        raise InputError(f"{path} has {samples} samples, the model takes {wanted}; cut or pad the sound")
    sound = sound.T if turned else sound
    return sound[0] if len(dims) == 1 else sound if len(dims) == 2 else sound[None]
