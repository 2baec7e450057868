"""`onnxray save --target`: the file takes the target of that kind, says what it holds, and gives what a call gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxray
import onnxruntime
import pytest
from by_hand import model, normal
from cli_tools import one_line
from detector_nets import NETS, SIDE
from onnxray import scores
from onnxray.attribution.scores import SCORES
from onnxray.cli.app import run
from PIL import Image

pytestmark = pytest.mark.usefixtures("elsewhere")

YOLO = next(net for net in NETS if net.name == "yolov8" and len(net.shapes) == 1 and net.metadata)
X = normal(1, 3, SIDE, SIDE, seed=5)
STEPS, CHANNELS = (6, 4), 3


def net(shape: tuple[int, ...]) -> onnx.ModelProto:
    """Scores of any shape, linear in a picture of 3 x 32 x 32."""
    weights = {"w": normal(3 * SIDE * SIDE, int(np.prod(shape)), seed=1) / SIDE, "s": np.array([0, *shape])}
    sizes, body = ", ".join(map(str, shape)), "flat = Flatten(x) m = MatMul(flat, w) y = Reshape(m, s)"
    return model(f"net (float[N, 3, {SIDE}, {SIDE}] x) => (float[N, {sizes}] y) {{ {body} }}", weights)


CASES = {
    "6-8": (net((10,)), scores.Contrast(6, 8)),
    "not:7": (net((10,)), scores.Not(7)),
    "3": (net((10,)), scores.Class(3)),
    "top1": (net((10,)), scores.Class("top1")),
    "norm": (net((10,)), scores.Norm()),
    "1,2": (net(STEPS), scores.Class((1, 2))),
    "token:5": (net(STEPS), scores.Token(5)),
    "token:5:2": (net(STEPS), scores.Token(5, 2)),
    "letter:0": (net(STEPS), scores.Letter(0)),
    "mask:mask.png:1": (net((CHANNELS, 8, 8)), scores.Mask(np.arange(64).reshape(8, 8) < 20, 1)),
    "box:0": (YOLO.proto(), scores.Box(0)),
    "box:1:dog": (YOLO.proto(), scores.Box(1, label=1)),
    "boxes:dog": (YOLO.proto(), scores.ClassBoxes(1)),
}


EVERYDAY = ("6-8", "norm", "mask:mask.png:1", "box:1:dog")


@pytest.mark.parametrize(
    "target", [pytest.param(one, marks=() if one in EVERYDAY else pytest.mark.slow) for one in CASES]
)
def test_a_file_of_each_kind_gives_what_a_call_gives(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    proto, score = CASES[target]
    onnx.save(proto, "net.onnx")
    Image.fromarray((np.arange(64).reshape(8, 8) < 20).astype(np.uint8) * 255).save("mask.png")
    assert run(["save", "net.onnx", "explainer.onnx", "--target", target]) == 0
    printed = capsys.readouterr().out.splitlines()
    session = onnxruntime.InferenceSession("explainer.onnx", providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    explainer = onnxray.Explainer(proto)
    value = explainer.target_input(score)
    assert printed[0] == "explainer.onnx"
    assert [line.split(":")[0].strip() for line in printed[1 : 1 + len(names)]] == names == ["x", "target"]
    assert printed[2].endswith(score.takes)
    score_found, attribution = session.run(["score", "attribution"], {"x": X, "target": value})
    expected = explainer(X, score)
    np.testing.assert_allclose(score_found, expected.score, rtol=1e-5)
    np.testing.assert_allclose(attribution, expected.values, rtol=1e-4, atol=1e-6)
    if value.size <= 16:
        assert printed[-1] == f"  {target}: {', '.join(f'{one:g}' for one in value.ravel().tolist())}"


@pytest.mark.parametrize("kind", ["weights", "cosine", "euclidean"])
def test_a_kind_that_takes_numbers_has_its_own_input(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(net((10,)), "net.onnx")
    assert run(["save", "net.onnx", "explainer.onnx", "--target", kind]) == 0
    name = "seed" if kind == "weights" else "embedding"
    assert capsys.readouterr().out.splitlines()[-1] == f"  {name}: float (rows, 10), {SCORES[kind].takes}"


def test_the_inputs_are_printed_of_the_model_in_memory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of gigabytes is not parsed again once it is written."""
    onnx.save(net((10,)), "net.onnx")
    read: list[str] = []
    real = onnx.load
    monkeypatch.setattr(onnx, "load", lambda path, *given, **named: read.append(str(path)) or real(path, *given))
    assert run(["save", "net.onnx", "explainer.onnx", "--target", "6-8"]) == 0
    assert capsys.readouterr().out.splitlines()[1:3] == [
        f"  x: float (N, 3, {SIDE}, {SIDE})", f"  target: int64 (rows, 2), {scores.Contrast.takes}"
    ]  # fmt: skip
    assert [path for path in read if "explainer" in path] == []


def test_every_kind_says_what_its_target_holds() -> None:
    assert [name for name, score in SCORES.items() if not score.takes] == []


@pytest.mark.parametrize(("target", "shape", "reason"), [
    ("box:0", (10,), "not those of any detector"),
    ("boxes:1", (10,), "not those of any detector"),
    ("token:0", (10,), "not those of a sequence"),
    ("letter:0", (10,), "not those of a sequence"),
    ("mask:mask.png:1", (10,), "mask"),
    ("mask:nowhere.png:1", (3, 8, 8), "nowhere.png"),
    ("mask:mask.png:1", (3, 9, 9), "mask"),
    ("10", (10,), "out of range"),
    ("6-12", (10,), "out of range"),
    ("token:6", STEPS, "out of range"),
    ("nothing", (10,), "no index"),
    ("3", STEPS, "give 2 indices"),
])  # fmt: skip
def test_what_names_no_score_is_one_line(
    target: str, shape: tuple[int, ...], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    onnx.save(net(shape), "net.onnx")
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save("mask.png")
    assert reason in one_line(["save", "net.onnx", "explainer.onnx", "--target", target], capsys)
    assert not Path("explainer.onnx").exists()


def test_a_box_of_a_detector_that_sorts_its_boxes(capsys: pytest.CaptureFixture[str]) -> None:
    """Such boxes have another place at every point: a method of many points is refused, one of one point is not."""
    onnx.save(next(one for one in NETS if one.name == "yolo-end-to-end").proto(), "net.onnx")
    call = ["save", "net.onnx", "explainer.onnx", "--target", "box:0"]
    assert "orders its boxes" in one_line([*call, "-m", "smoothgrad"], capsys)
    assert run(call) == 0
