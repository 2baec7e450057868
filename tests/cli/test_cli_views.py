"""Sound, several inputs, sheets and scales on the command line."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import onnx
import pytest
from by_hand import model, normal
from cli_tools import DIGITS, records
from onnxray.cli.app import run
from PIL import Image

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def _detector(elsewhere: Path) -> None:
    """A voice detector in small: sound, a state beside it, and samples a second; and 100 samples of 1000 a second."""
    onnx.save(
        model(
            """net (float[N, T] x, float[N, 1] state, int64 sr) => (float[N, 1] y, float[N, 1] state_out) {
                s = ReduceSum<keepdims=1>(x, k) f = Cast<to=1>(sr) d = Div(s, f)
                y = Add(d, state) state_out = Identity(y) }""",
            {"k": np.array([1])},
        ),
        "voice.onnx",
    )
    with wave.open("sound.wav", "wb") as file:
        file.setparams((1, 2, 1000, 0, "NONE", ""))
        file.writeframes((np.sin(np.arange(100)) * 9000).astype("<i2").tobytes())


@pytest.mark.usefixtures("_detector")
def test_sound_is_explained_over_time(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "voice.onnx", "sound.wav", "--target", "0", "--json"]) == 0
    out, err = capsys.readouterr()
    (record,) = records(out)
    assert "sound.wav: state 'state', which was left out, starts at zero" in err
    times = {feature["name"]: feature["attribution"] for feature in record["features"]}
    assert sum(times.values()) == pytest.approx(100 / 1000)  # of dy/dx, 1/1000 for each sample
    assert "0 to 0.003 s" in times
    assert Image.open(record["files"][0]).height < 240  # the sound alone, without its state
    assert run(["explain", "voice.onnx", "sound.wav", "--target", "0"]) == 0
    text = capsys.readouterr().out
    assert "0.003 to 0.006 s" in text
    assert "feature" not in text


@pytest.mark.usefixtures("_detector")
def test_the_rate_of_an_array_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("sound.npy", np.ones((1, 100), np.float32))
    assert run(["explain", "voice.onnx", "sound.npy"]) == 2
    assert "no array for input sr" in capsys.readouterr().err
    assert run(["explain", "voice.onnx", "sound.npy", "--rate", "500", "--json"]) == 0
    (record,) = records(capsys.readouterr().out)
    assert record["score"] == pytest.approx(100 / 500)
    assert "0 to 0.006 s" in {feature["name"] for feature in record["features"]}


@pytest.mark.usefixtures("_detector")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rate", "16000"], "sound.wav has 1000 samples a second, the rate given is 16000"),
        (["--rate", "-1"], "'-1'; give samples a second, such as 16000"),
        (["--rate", "fast"], "'fast'; give samples a second"),
        (["--style", "contours"], "did you mean 'contour'"),
        (["--scale", "all"], "choose from each, shared"),
    ],
)
def test_bad_options_are_one_line(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "voice.onnx", "sound.wav", "--target", "0", *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (error,) = [line for line in err.splitlines() if "warning" not in line]
    assert error.startswith("onnxray: error: ")
    assert message in error


def test_maps_of_a_file_share_their_scale(capsys: pytest.CaptureFixture[str]) -> None:
    pictures = np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
    np.save("three.npy", pictures * np.float32([1, 0.5, 0.1])[:, None, None, None])
    ends = {}
    for option in ([], ["--scale", "shared"], ["--style", "grid"], ["--style", "grid", "--scale", "each"]):
        arguments = ["explain", DIGITS, "three.npy", "-m", "input-x-gradient", "--target", "3", "--json", *option]
        assert run(arguments) == 0
        found = records(capsys.readouterr().out)
        ends[" ".join(option)] = [record["scale"]["end"] for record in found]
        files = [record["files"] for record in found]
        assert len({file for names in files for file in names}) == (1 if "grid" in option else 3)
    assert len(set(ends[""])) == len(set(ends["--style grid --scale each"])) == 3
    assert len(set(ends["--scale shared"])) == len(set(ends["--style grid"])) == 1
    assert min(ends[""]) < ends["--style grid"][0] <= max(ends[""])


def test_the_edge_of_a_mask_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(
        model("net (float[N, 3, 16, 16] x) => (float[N, 2, 16, 16] y) { y = Conv(x, W) }", {"W": normal(2, 3, 1, 1)}),
        "s.onnx",
    )
    mask = np.zeros((16, 16), np.uint8)
    mask[4:8, 4:8] = 255
    Image.fromarray(mask).save("mask.png")
    Image.new("RGB", (16, 16), "white").save("white.png")
    assert (
        run(
            [
                "explain",
                "s.onnx",
                "white.png",
                "--preprocess",
                "unit",
                "--target",
                "mask:mask.png:1",
                "--style",
                "overlay",
            ]
        )
        == 0
    )
    pixels = np.asarray(Image.open("out/white-saliency.png")).astype(int)
    assert pixels.shape[0] == 224
    blue = (pixels[..., 2] - pixels[..., 0]) > 40
    rows, columns = np.nonzero(blue)
    assert {rows.min() // 14, columns.min() // 14, rows.max() // 14, columns.max() // 14} == {4, 7}
    assert not blue[5 * 14 : 7 * 14, 5 * 14 : 7 * 14].any()


def test_several_inputs_are_listed_by_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    """A table beside ids, which are explained at their embeddings and called by their input; the largest first."""
    table, weights, rows = normal(5, 2), np.array([[3.0], [-1.0]], np.float32), normal(1, 2)
    onnx.save(
        model(
            """net (float[N, 2] row, int64[N, 3] ids) => (float[N, 1] y) {
                e = Gather(table, ids) s = ReduceSum<keepdims=0>(e, one) a = Add(s, row) y = MatMul(a, w) }""",
            {"table": table, "w": weights, "one": np.array([1])},
        ),
        "two.onnx",
    )
    np.savez("two.npz", row=rows, ids=np.array([[4, 0, 2]]))
    assert run(["explain", "two.onnx", "two.npz", "-m", "input-x-gradient", "--json"]) == 0
    (record,) = records(capsys.readouterr().out)
    expected = {f"row, feature {k}": float(rows[0, k] * weights[k, 0]) for k in (0, 1)}
    expected |= {f"ids, token {k}": float((table[i] @ weights)[0]) for k, i in enumerate((4, 0, 2))}
    found = {one["name"]: one["attribution"] for one in record["features"]}
    assert found == pytest.approx(expected, rel=1e-5)
    assert list(found) == sorted(expected, key=lambda name: -abs(expected[name]))
