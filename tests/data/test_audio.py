"""Sound from .wav files: numbers by their formula, the rate, and files that do not fit the model."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import onnxray
import pytest
from by_hand import model
from onnxray.data.audio import read_wav
from onnxray.data.files import read_given

ENDS = {1: [0, 128, 255], 2: [-(2**15), 0, 2**15 - 1], 3: [-(2**23), 0, 2**23 - 1], 4: [-(2**31), 0, 2**31 - 1]}


def net(shape: str = "N, T", others: str = "") -> onnxray.Model:
    return onnxray.load(model(f"net (float[{shape}] x{others}) => (float[{shape}] y) {{ y = Mul(x, x) }}"))


def sound(path: Path, channels: int = 1, width: int = 2, rate: int = 8000, frames: int = 3) -> Path:
    """The lowest number, zero, and the highest, over and over."""
    numbers = np.resize(ENDS[width], frames * channels)
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(b"".join(int(n).to_bytes(width, "little", signed=width > 1) for n in numbers))
    return path


@pytest.mark.parametrize("width", ENDS)
def test_samples_of_every_width_lie_between_minus_one_and_one(width: int, tmp_path: Path) -> None:
    found, rate = read_wav(sound(tmp_path / "a.wav", width=width))
    np.testing.assert_allclose(found, [[-1, 0, 1]], atol=2.0 ** (1 - 8 * width) + 1e-7)
    assert (found.dtype, rate) == (np.float32, 8000)


@pytest.mark.parametrize(
    ("shape", "channels", "expected"),
    [
        ("N, T", 1, (1, 6)),
        ("T", 1, (6,)),
        ("N, 2, T", 2, (1, 2, 6)),
        ("N, T, 2", 2, (1, 6, 2)),
        ("N, C, T", 2, (1, 2, 6)),
    ],
)
def test_sound_is_laid_out_as_the_model_takes_it(shape: str, channels: int, expected: tuple, tmp_path: Path) -> None:
    given = read_given(net(shape), sound(tmp_path / "a.WAV", channels, frames=6))
    assert (given.inputs.shape, given.rate) == (expected, 8000)
    turned = given.inputs[0].T if shape == "N, T, 2" else given.inputs
    assert turned.ravel()[:3].tolist() == pytest.approx(([-1, 1, 0] if channels == 2 else [-1, 0, 1]), abs=1e-4)


def test_the_rate_is_given_to_an_input_that_takes_it(tmp_path: Path) -> None:
    taking = net(others=", int64 sr, int64[1] count")
    given = read_given(taking, sound(tmp_path / "a.wav"))
    assert {name: array.tolist() for name, array in given.inputs.items() if name != "x"} == {"sr": 8000}
    np.savez(tmp_path / "a.npz", x=np.ones(4, np.float32))
    assert read_given(taking, tmp_path / "a.npz", 16000).inputs["sr"] == 16000


@pytest.mark.parametrize(
    ("shape", "made", "rate", "message"),
    [
        ("N, T", {}, 16000, "8000 samples a second, the rate given is 16000"),
        ("N, T", {"channels": 2}, None, "2 channels, the model takes 1"),
        ("N, 3, T", {"channels": 2}, None, "2 channels, the model takes 3"),
        ("N, 4", {}, None, "3 samples, the model takes 4"),
        ("N, 3, 8, 8", {}, None, "is sound, .* the model takes 'x'"),
        ("N, T", {"frames": 0}, None, "holds no sample"),
    ],
)
def test_sound_that_does_not_fit_is_refused(shape: str, made: dict, rate: float | None, message: str, tmp_path: Path):
    with pytest.raises(onnxray.InputError, match=message):
        read_given(net(shape), sound(tmp_path / "a.wav", **made), rate)


@pytest.mark.parametrize("held", [b"", b"RIFF", b"no sound at all, but text"])
def test_a_broken_file_is_refused(held: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(held)
    with pytest.raises(onnxray.InputError, match=r"a\.wav cannot be read") as caught:
        read_given(net(), tmp_path / "a.wav")
    assert "\n" not in str(caught.value)
