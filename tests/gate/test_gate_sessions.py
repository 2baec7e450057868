"""One model in two kinds of session: what their settings change, what is told of them, and where kernels part."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from held_out import digits
from kernels import products_saturate
from onnx.parser import parse_model
from onnxray import models
from onnxray.cli.app import run
from onnxray.errors import InputError, RuntimeUnavailable
from onnxray.gate.layers.compare_layers import KernelLoss, LayerReport
from onnxray.gate.layers.kernels import cut_at, kernel_losses, quantised_tensors, with_kernels
from onnxray.gate.model_under_test import ModelUnderTest, open_model_under_test
from onnxray.gate.side_session import session_json, session_words, side_session
from onnxray.runtime import SessionSettings
from without_vnni import hiding_library, why_not

DIGITS, DIGIT = str(models.path("digits.onnx")), str(models.path("digit.png"))
X = digits().unseen[:2, None].astype(np.float32) / 255
DATA = Path(__file__).parents[3] / "shared" / "data"
QDQ = DATA / "onnx" / "mobilenetv2like_qdq_244.onnx"
DEFAULT = SessionSettings()
CHAIN = """<ir_version: 8, opset_import: ["" : 17]>
net (float[N, 64] x) => (float[N, 8] y) <float s = {0.01}, float w = {0.00025}, uint8 z = {0}, int8 i = {0}> {
  a = QuantizeLinear (x, s, z)   b = DequantizeLinear (a, s, z)
  [first] c = MatMul (b, first)  d = QuantizeLinear (c, s, z)   e = DequantizeLinear (d, s, z)
  [second] f = MatMul (e, second) g = QuantizeLinear (f, s, z)  h = DequantizeLinear (g, s, z)
  [third] y = MatMul (h, third)
}"""


def chain(**weights: np.ndarray) -> onnx.ModelProto:
    """Three layers with weights of int8, quantised in between; the last one ends in floats."""
    model = parse_model(CHAIN)
    drawn = np.random.default_rng(0)
    shapes = {"first": (64, 32), "second": (32, 16), "third": (16, 8)}
    values = {name: drawn.integers(-20, 20, shape).astype(np.int8) for name, shape in shapes.items()} | weights
    nodes = []
    for name, array in values.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, f"{name}/8"))
        nodes.append(onnx.helper.make_node("DequantizeLinear", [f"{name}/8", "w", "i"], [name]))
    for node in reversed(nodes):
        model.graph.node.insert(0, node)
    return model


ROWS = np.random.default_rng(1).random((2, 64), np.float32) * 2.5


def loads() -> Iterator[Any]:
    return (lambda row=row: row[None] for row in ROWS)


@pytest.mark.parametrize("given", [{"optimization": "off", "threads": 1}, ["optimization=off", "threads=1"]])
def test_settings_of_a_side_are_given_as_a_mapping_or_as_texts(given: Any) -> None:
    found = side_session(given, "reference_session", SessionSettings("cpu", 4))
    assert found == SessionSettings("cpu", 1, "off")
    assert session_words(session_json(found)) == "cpu, optimization off, 1 thread"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("optimisation=off", "no setting of candidate_session 'optimisation'; did you mean 'optimization'"),
        ({"optimization": "none"}, "no optimization of candidate_session 'none'; choose from off, basic"),
        (["threads=0"], "candidate_session: threads='0'; give a number from 1 up, or all"),
        (["threads"], "--candidate-session 'threads': give NAME=VALUE"),
    ],
)
def test_a_setting_that_is_none_is_an_error_of_one_line(given: Any, told: str) -> None:
    with pytest.raises(InputError, match=r"^[^\n]+$") as caught:
        side_session(given, "candidate_session", DEFAULT)
    assert told in str(caught.value)


def test_a_provider_that_is_missing_is_an_error() -> None:
    with pytest.raises(RuntimeUnavailable, match="no execution provider 'nosuch'"):
        onnxray.compare(DIGITS, DIGITS, X, methods="saliency", candidate_session={"provider": "nosuch"})


def test_a_float_model_agrees_with_itself_without_optimisation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compare", DIGITS, DIGITS, DIGIT, "--method", "saliency", "--method", "grad-cam"]
    command += ["--reference-session", "optimization=off", "--candidate-session", "threads=1"]
    assert run([*command, "--report", str(tmp_path), "--json", str(tmp_path / "found.json")]) == 0
    record = json.loads((tmp_path / "found.json").read_text())
    held = [one["mean"] for one in record["summary"] if one["metric"] in ("spearman", "cosine", "ssim", "top1", "top5")]
    assert len(held) == 8
    assert min(held) >= 0.999
    sessions = record["provenance"]["sessions"]
    assert sessions["reference"] == {"providers": ["CPUExecutionProvider"], "threads": None, "optimization": "off"}
    assert sessions["candidate"] == {"providers": ["CPUExecutionProvider"], "threads": 1, "optimization": "all"}
    told = "the reference ran on cpu, optimization off, the candidate on cpu, optimization all, 1 thread"
    assert told in capsys.readouterr().out
    page = (tmp_path / "report.html").read_text()
    assert "(cpu, optimization off)" in page
    assert "(cpu, optimization all, 1 thread)" in page


def test_the_sessions_of_a_side_are_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of explainers, forward passes and the recorder of layers."""
    from onnxray import runtime
    from onnxray.gate.layers import recorder

    opened, real = [], runtime.open_session

    def counted(*given: Any, **named: Any) -> Any:
        opened.append(named.get("optimization", "all"))
        return real(*given, **named)

    monkeypatch.setattr(runtime, "open_session", counted)
    monkeypatch.setattr(recorder, "open_session", counted)
    side = open_model_under_test(DIGITS, ["saliency", "occlusion"], optimization="basic", threads=1)
    side.scores(side.prepared(X[:1]))
    side.evidence(side.prepared(X[:1]))
    side.with_threads(1).scores(side.prepared(X[:1]))
    recorder.open_layer_recorder(side, [])
    assert len(opened) >= 5
    assert set(opened) == {"basic"}


def test_a_golden_file_says_its_sessions_and_takes_no_others(tmp_path: Path) -> None:
    golden = tmp_path / "digits.golden"
    onnxray.compare(DIGITS, DIGITS, X, methods="saliency", golden=golden, reference_session={"optimization": "off"})
    found = onnxray.compare(golden, DIGITS, X, methods="saliency")
    assert found.provenance["sessions"]["reference"]["optimization"] == "off"
    with pytest.raises(InputError, match=r"reference_session: .* was recorded in sessions of its own"):
        onnxray.compare(golden, DIGITS, X, methods="saliency", reference_session={"threads": 1})


def test_the_cut_model_computes_each_layer_of_its_own_input() -> None:
    side = open_model_under_test(chain(), [])
    assert quantised_tensors(side.model) == ["a", "d", "g"]
    cut = cut_at(side.model, ["a", "d", "g"])
    assert [value.name for value in cut.inputs] == ["x", "a", "d", "g"]
    assert [value.name for value in cut.outputs] == ["own/a", "own/d", "own/g"]


def optimised(side: ModelUnderTest) -> ModelUnderTest:
    return replace(side, passes=replace(side.passes, settings=replace(side.settings, optimization="all")))


def test_exact_kernels_part_nowhere() -> None:
    plain = open_model_under_test(chain(), [], optimization="off")
    assert kernel_losses(plain, optimised(plain), loads()) == ()


FULL = {"first": np.full((64, 32), 50, np.int8), "second": np.full((32, 16), 127, np.int8)}


def test_the_first_layer_whose_kernel_differs_is_named() -> None:
    """By construction: the kernel of the second layer loses a part of each sum."""
    weights = [FULL | {"second": FULL["second"] - less} for less in (67, 74)]
    whole, cut = (open_model_under_test(chain(**one), []) for one in weights)
    (found,) = kernel_losses(whole, cut, loads())
    assert (found.layer, found.operator, found.tensor) == ("second", "MatMul", "g")
    assert found.share > 0.9
    assert found.steps > 1
    report = replace(LayerReport((), (), None), kernels=(found,))
    assert "the sessions part at layer second (MatMul): of the same input " in report.parted


def test_the_page_says_where_sessions_part(tmp_path: Path) -> None:
    found = onnxray.compare(DIGITS, DIGITS, X, methods="saliency", layers=False)
    loss = KernelLoss("Conv_305", "Conv", "t", 0.09, 58)
    page = replace(found, layers=replace(LayerReport((), (), "Conv_305"), kernels=(loss,))).report(tmp_path).read_text()
    assert "The sessions part at layer Conv_305 (Conv): of the same input 9.00% of its values differ" in page


def test_saturating_kernels_are_named_where_the_processor_has_them() -> None:
    """The second layer reads 200 of 255 and has the largest weights: two products of them exceed 16 bits."""
    exact = open_model_under_test(chain(**FULL), [], optimization="off")
    fused, brightest = optimised(exact), [lambda: np.full((1, 64), 2.5, np.float32)]
    report = with_kernels(LayerReport((), (), None), exact, fused, brightest)
    assert report.breaks == ("second" if products_saturate() else None)


@pytest.mark.slow
@pytest.mark.skipif(not QDQ.is_file(), reason="the real int8 classifier of shared/data is not here")
def test_a_real_int8_classifier_fails_where_8_bit_sums_saturate() -> None:
    """With every default method, on one photograph that two kinds of kernels call by two names."""
    recipe = onnxray.Preprocess.preset("imagenet", size=(244, 244))
    picture = [DATA / "images" / "doberman.png"]
    found = onnxray.compare(QDQ, QDQ, picture, preprocess=recipe, reference_session={"optimization": "off"}, steps=5)
    assert found.layers is not None
    assert found.verdict == ("fail" if products_saturate() else "pass")
    assert bool(found.layers.kernels) == products_saturate()


@pytest.mark.slow
@pytest.mark.skipif(not QDQ.is_file(), reason="the real int8 classifier of shared/data is not here")
@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_the_command_fails_where_vnni_is_hidden_and_names_the_layer(tmp_path: Path) -> None:
    """With the command's own defaults; the float model that ships passes in the same kind of process."""
    found = {}
    for model, picture, more in (
        (str(QDQ), str(DATA / "images" / "doberman.png"), ["--preprocess", "imagenet"]),
        (DIGITS, DIGIT, []),
    ):
        command = ["compare", model, model, picture, "--reference-session", "optimization=off", "--json", "-", *more]
        done = subprocess.run(
            [sys.executable, "-c", "from onnxray.cli.app import main; main()", *command],
            env=os.environ | {"LD_PRELOAD": str(hiding_library(tmp_path))}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        found[model] = done.returncode, json.loads(done.stdout)
    code, saturated = found[str(QDQ)]
    assert (code, saturated["verdict"]) == (1, "fail")
    assert saturated["layers"]["kernels"][0]["layer"] == saturated["layers"]["breaks"] == "Conv_305"
    code, exact = found[DIGITS]
    held = [one["worst"] for one in exact["summary"] if one["metric"] in ("spearman", "cosine", "ssim", "top-iou")]
    assert (code, len(held)) == (0, 16)
    assert min(held) >= 0.999
    assert exact["layers"]["kernels"] == []
