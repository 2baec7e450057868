"""Recordings that are longer than a model takes: cut into chunks, with states carried from one to the next."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from by_hand import model, normal
from cli_tools import records
from onnxray.cli.app import run
from PIL import Image
from real_files import path

pytestmark = pytest.mark.usefixtures("elsewhere")

RATE, SIZE = 100, 4
W = normal(SIZE)
SOUND = np.round(normal(18) * 3000).clip(-32000, 32000).astype("<i2")


def net(length: str = str(SIZE), state: str = "N, 1") -> onnx.ModelProto:
    """y = (w x + the mean of the state) squared; the new state is half of the old one and w x."""
    dims = state.split(", ")
    return model(
        f"""net (float[N, {length}] x, float[{state}] state) => (float[N, 1] y, float[{state}] stateN) {{
            last = Slice(x, from, to, one) p = Mul(last, W) s = ReduceSum<keepdims=1>(p, one)
            all = ReduceMean<keepdims=1>(state, axes) m = Reshape(all, column) t = Add(s, m) y = Mul(t, t)
            e = Reshape(s, like) h = Mul(state, half) stateN = Add(h, e) }}""",
        {
            "W": W, "from": np.array([-SIZE]), "to": np.array([9999]), "one": np.array([1]),
            "axes": np.array([k for k, d in enumerate(dims) if d != "N"]), "column": np.array([-1, 1]),
            "half": np.float32(0.5), "like": np.array([-1 if d == "N" else 1 for d in dims]),
        },
    )  # fmt: skip


def by_hand(chunks: list[np.ndarray]) -> tuple[list[float], list[np.ndarray]]:
    """The score of each chunk, and its gradient."""
    state, scores, maps = 0.0, [], []
    for x in chunks:
        s = float(x[-SIZE:] @ W)
        scores.append((s + state) ** 2)
        maps.append(np.append(np.zeros(len(x) - SIZE), 2 * (s + state) * W))
        state = state / 2 + s
    return scores, maps


@pytest.fixture
def sound(elsewhere: Path) -> np.ndarray:
    onnx.save(net(), "voice.onnx")
    onnx.save(net("T", "2, N, 128"), "silero.onnx")
    with wave.open("sound.wav", "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(SOUND.tobytes())
    return SOUND.astype(np.float32) / 2**15


def cut(sound: np.ndarray, length: int, hop: int) -> list[np.ndarray]:
    count = -(-len(sound) // hop)
    padded = np.concatenate([np.zeros(length - hop), sound, np.zeros(count * hop - len(sound))])
    return [padded[k * hop : k * hop + length] for k in range(count)]


def test_the_chunk_with_the_highest_score_is_explained(sound: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    scores, maps = by_hand(cut(sound, SIZE, SIZE))
    assert run(["explain", "voice.onnx", "sound.wav", "--json"]) == 0
    out, err = capsys.readouterr()
    (record,) = records(out)
    best = int(np.argmax(scores))
    assert 0 < best < len(scores) - 1
    assert record["chunks"]["scores"] == pytest.approx(scores, abs=2e-6)
    assert (record["chunks"]["explained"], record["chunks"]["starts"]) == (best, [k / 25 for k in range(5)])
    assert record["score"] == pytest.approx(scores[best])
    found = {one["name"]: one["attribution"] for one in record["features"]}
    names = [f"{(best * SIZE + k) / RATE:.4g} to {(best * SIZE + k + 1) / RATE:.4g} s" for k in range(SIZE)]
    assert [found[name] for name in names] == pytest.approx(maps[best].tolist(), rel=1e-5)
    assert "cut into 5 chunks of 4 samples, 4 apart; 'state' zero at the first, then carried on" in err
    assert "the map is of the chunk with the highest score" in err
    assert Image.open(record["files"][0]).height > 500  # the map, the recording, and the scores


def test_the_maps_of_all_chunks_are_added_up(sound: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    """Chunks that overlap: silero-vad is known by its state, here said by --chunk."""
    scores, maps = by_hand(cut(sound, 7, 5))
    assert run(["explain", "silero.onnx", "sound.wav", "--chunk", "7,5", "--at", "all", "--json", "--npz"]) == 0
    out, err = capsys.readouterr()
    (record,) = records(out)
    total = np.zeros(2 + 20)
    for k, one in enumerate(maps):
        total[5 * k : 5 * k + 7] += one
    values = np.load(next(file for file in record["files"] if file.endswith(".npz")))["values"]
    np.testing.assert_allclose(values, total[None, 2:20], rtol=1e-4, atol=1e-6)
    assert record["score"] == pytest.approx(sum(scores), rel=1e-5)
    assert "4 chunks of 7 samples, 5 apart; 'state' zero" in err
    assert "the map is the sum of those of all chunks" in err


def test_a_time_names_a_chunk(sound: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    scores, _ = by_hand(cut(sound, SIZE, SIZE))
    assert run(["explain", "voice.onnx", "sound.wav", "--at", "0.05", "-m", "integrated-gradients", "--json"]) == 0
    (record,) = records(capsys.readouterr().out)
    assert record["chunks"]["explained"] == 1
    assert record["score"] == pytest.approx(scores[1])
    assert record["chunks"]["scores"] == pytest.approx(scores, abs=2e-6)


def test_silero_is_known_by_its_state(sound: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    longer = np.resize(sound, (1, 1500))
    np.save("long.npy", longer)
    assert run(["explain", "silero.onnx", "long.npy", "--rate", "16000", "--json"]) == 0
    (record,) = records(capsys.readouterr().out)
    assert (record["chunks"]["samples"], record["chunks"]["apart"]) == (576, 512)
    assert record["chunks"]["scores"] == pytest.approx(by_hand(cut(longer[0], 576, 512))[0], abs=2e-6)
    assert run(["explain", "silero.onnx", "long.npy", "--rate", "44100"]) == 2
    assert "silero-vad takes 16000 or 8000 samples a second, not 44100; resample" in capsys.readouterr().err


@pytest.mark.usefixtures("sound")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--at", "0.18"], "--at 0.18: the recording ends at 0.18"),
        (["--at", "first"], "--at 'first': give best, all or a time in seconds"),
        (["--chunk", "8"], "input 'x' takes 4 samples; a chunk of 8 does not fit"),
        (["--chunk", "4,5"], "'4,5'; chunks have a length above 0 and start at most that far apart"),
        (["--chunk", "long"], "'long'; give samples, such as 512, or 576,512"),
    ],
)
def test_chunks_that_are_not_there_are_one_line(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", "voice.onnx", "sound.wav", *options]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert message in error


@pytest.mark.usefixtures("elsewhere")
def test_top_classes_that_differ_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    proto = model("net (float[N, 2] x, float[N, 1] state) => (float[N, 2] y, float[N, 1] state_out) {"
                  " y = Add(x, state) state_out = Identity(state) }")  # fmt: skip
    onnx.save(proto, "two.onnx")
    np.save("long.npy", np.float32([[3, 1, 0, 2]]))
    assert run(["explain", "two.onnx", "long.npy", "--json"]) == 0
    out, err = capsys.readouterr()
    assert records(out)[0]["chunks"]["scores"] == [3, 2]
    assert "with the highest score, each chunk's that of its own top class, samples 0 to 1" in err
    assert run(["explain", "two.onnx", "long.npy", "--at", "all"]) == 2
    assert "the top class is not the same in all chunks; name one by --target" in capsys.readouterr().err


@pytest.mark.usefixtures("elsewhere")
def test_frames_of_a_spectrum_have_scores_over_time(capsys: pytest.CaptureFixture[str]) -> None:
    """A stream of frames (N, 5, 1, 2), as gtcrn takes them: of a map that has no picture no feature is listed."""
    proto = model(
        """net (float[1, 5, 1, 2] mix, float[1, 1] cache) => (float[1, 1] y, float[1, 1] cache_out) {
            s = ReduceSum<keepdims=0>(mix, axes) r = Reshape(s, like) y = Add(r, cache) cache_out = Identity(y) }""",
        {"axes": np.array([1, 2, 3]), "like": np.array([1, 1])},
    )
    onnx.save(proto, "stream.onnx")
    mix = normal(1, 5, 6, 2)
    np.save("mix.npy", mix)
    assert run(["explain", "stream.onnx", "mix.npy", "--json"]) == 0
    (record,) = records(capsys.readouterr().out)
    assert record["chunks"]["scores"] == pytest.approx(np.cumsum(mix.sum((0, 1, 3))).tolist(), abs=1e-5)
    assert "features" not in record
    assert Image.open(record["files"][0]).height < 250  # the scores alone


@pytest.mark.usefixtures("sound")
def test_what_is_taken_whole_has_no_part_to_name(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--at", "0.01"]
    np.save("one.npy", np.ones((1, SIZE), np.float32))
    assert run(["explain", "voice.onnx", "one.npy", *options]) == 2
    assert "one.npy is taken whole; --at and --chunk are for recordings longer" in capsys.readouterr().err
    assert run(["explain", "voice.onnx", "one.npy", "--at", "all"]) == 0  # which is that
    capsys.readouterr()
    Image.new("RGB", (8, 8)).save("one.png")
    assert run(["explain", "voice.onnx", "one.png", "--chunk", "4"]) == 2
    assert "--chunk and --at are for recordings (.wav, .npy, .npz), and none is given" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not path("silero_vad_16k_op15").exists(), reason="silero-vad is not in ../shared/data")
def test_silero_itself(sound: np.ndarray, capsys: pytest.CaptureFixture[str]) -> None:
    """The scores are those of its own wrapper, utils_vad.py; silence, as input or baseline, makes no NaN."""
    pulses = np.where(np.arange(6000) % 130 < 2, 0.5, 0) * (np.arange(6000) > 2000)
    pulses = np.convolve(pulses, np.exp(-np.arange(80) / 15) * np.sin(np.arange(80) / 3))[:6000].astype(np.float32)
    np.save("pulses.npy", pulses[None])
    file = path("silero_vad_16k_op15")
    session, state, before = onnxruntime.InferenceSession(file), np.zeros((2, 1, 128), np.float32), np.zeros(64)
    expected = []
    for k in range(0, 6144, 512):
        x = np.concatenate([before, np.pad(pulses, (0, 144))[k : k + 512]]).astype(np.float32)
        y, state = session.run(None, {"input": x[None], "state": state, "sr": np.array(16000)})
        before, expected = x[-64:], [*expected, y[0, 0]]
    options = ["-m", "integrated-gradients", "--steps", "20", "--score", "output", "--json"]
    assert run(["explain", str(file), "pulses.npy", "--rate", "16000", "--at", "all", *options]) == 0
    (record,) = records(capsys.readouterr().out)
    assert record["chunks"]["scores"] == pytest.approx(expected, abs=1e-5)
    assert max(expected) > 2 * min(expected)
    assert "warning" not in record
