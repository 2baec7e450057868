"""``save --quantize``: the file runs on plain onnxruntime, is small, and its loss of agreement is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest
from by_hand import DENSE
from onnxray.attribution.inputs import prepare
from onnxray.cli.app import run
from onnxray.errors import InputError
from onnxray.gate.quantising import quantised_agreement, quantised_model
from onnxray.models import path

DIGITS, DIGIT = str(path("digits.onnx")), str(path("digit.png"))
CPU = ["CPUExecutionProvider"]
HALF = """<ir_version: 8, opset_import: ["" : 18]>
net (float16[1, 2] x) => (float16[1, 2] y) <float16[2, 2] w = {15360, 15360, 15360, 15360}> { y = MatMul (x, w) }"""
WEIGHTS = """<ir_version: 8, opset_import: ["" : 18]>
net (float[1, 2] x) => (float[1, 2] y) <int8[2, 2] v = {1, 2, 3, 4}, float s = {0.1}>
{ w = DequantizeLinear (v, s)  y = MatMul (x, w) }"""
TRIVIAL = """<ir_version: 8, opset_import: ["" : 18]> net (float[1, 2] x) => (float[1, 2] y) { y = Sin (x) }"""


def noisy_digits(count: int) -> np.ndarray:
    picture = prepare(onnxray.load(DIGITS), DIGIT).batch.feeds["image"]
    return picture + 0.1 * np.random.default_rng(0).random((count, 1, 28, 28), np.float32)


def test_the_file_has_the_scores_of_the_quantised_model_and_its_weights_once(tmp_path: Path) -> None:
    x = noisy_digits(3)
    small = quantised_model(onnxray.load(DIGITS), x)
    assert small.metadata == onnxray.load(DIGITS).metadata
    file = onnxray.Explainer(small, "saliency").save(tmp_path / "explainer.onnx")
    weights = [one for one in onnx.load(file).graph.initializer if np.prod(one.dims) > 1024]
    assert {one.data_type for one in weights} == {onnx.TensorProto.INT8}
    assert all(abs(onnx.numpy_helper.to_array(one)).max() <= 64 for one in weights)  # 7 bits: no processor saturates
    feeds = {"image": x, "target": np.full(3, -1)}
    *_, score, found = ort.InferenceSession(file, providers=CPU).run(None, feeds)
    plain = ort.InferenceSession(small.proto().SerializeToString(), providers=CPU).run(None, {"image": x})[0]
    outputs = ort.InferenceSession(file, providers=CPU).run([small.outputs[0].name], feeds)[0]
    np.testing.assert_array_equal(outputs, plain)
    float_map = onnxray.explain(DIGITS, x, method="saliency").values
    assert np.corrcoef(found.ravel(), float_map.ravel())[0, 1] > 0.9
    assert score.shape == (3,)


def test_what_cannot_be_quantised_says_so_in_one_line() -> None:
    x = np.zeros((1, 2), np.float32)
    bad = {HALF: "half-precision weights", TRIVIAL: "nothing to quantise: no Conv", WEIGHTS: "has DequantizeLinear"}
    for text, said in bad.items():
        with pytest.raises(InputError, match=said):
            quantised_model(onnxray.load(onnx.parser.parse_model(text)), x)
    model = onnxray.load(DENSE.proto())
    with pytest.raises(InputError, match=r"sample:0: .* shape \(1, 3, 5\)"):
        quantised_model(model, np.zeros((2, 3, 5), np.float32))
    small = quantised_model(model, DENSE.x())
    with pytest.raises(InputError, match=r"quantised already \(it has \w+Linear\): leave out --quantize"):
        quantised_model(small, DENSE.x())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((DIGITS, "--quantize", "nosuch"), "nosuch: there is no such file or folder"),
        ((DIGITS, "--quantize", DIGITS), "digits.onnx"),
        ((str(path("breast_cancer.onnx")), "-m", "grad-cam", "--quantize", "x.npy"), "grad-cam"),
        ((DIGITS, "-m", "grad-cam", "--layer", "a", "--layer", "b", "--quantize", DIGIT), "layer"),
    ],
)
def test_bad_uses_are_one_line(
    arguments: tuple[str, ...], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, *others = arguments
    assert run(["save", model, str(tmp_path / "made.onnx"), *others]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert said in err
    assert not (tmp_path / "made.onnx").exists()


@pytest.mark.slow
def test_a_real_net_is_smaller_and_the_loss_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from nets import net

    one = net("resnet")
    onnx.save(one.proto, tmp_path / "net.onnx")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((6, 3, one.size, one.size), np.float32))
    made = tmp_path / "explainer.onnx"
    arguments = ["--quantize", str(tmp_path / "x.npy"), "-m", "grad-cam"]
    assert run(["save", str(tmp_path / "net.onnx"), str(made), *arguments]) == 0
    out = capsys.readouterr().out
    assert made.stat().st_size < 0.4 * (tmp_path / "net.onnx").stat().st_size
    for words in ("MB quantised (", "on 6 samples: spearman ", "loss of agreement, calibrated: "):
        assert words in out
    model = onnxray.load(tmp_path / "net.onnx")
    small = quantised_model(model, tmp_path / "x.npy")
    found = quantised_agreement(model, small, tmp_path / "x.npy", "grad-cam", {})
    assert f"calibrated: {1 - (found.calibrated or 0):.2f}" in out
    assert found.metrics["spearman"] > 0.5
