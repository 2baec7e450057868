"""The self-examination: providers tried, kernels measured, and what is said of them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnxray.cli.app import run
from onnxray.diagnostics import diagnosis
from onnxray.diagnostics.byte_products import layers_at_risk, products_saturate
from onnxray.diagnostics.inspection import inspect
from onnxray.diagnostics.where_nodes_run import placement
from onnxray.errors import RuntimeUnavailable
from onnxray.loading.load import load
from onnxray.models import path
from onnxray.support import processor

CHAIN = """<ir_version: 8, opset_import: ["" : 18]>
net (float[1, 4] x) => (float[1, 4] y) { a = Sin (x)  b = Cos (a)  y = Add (a, b) }"""
BYTES = """<ir_version: 8, opset_import: ["" : 18]>
net (float[1, 2] x) => (float[1, 2] y) <float s = {{0.1}}, {KIND} z = {{0}}, int8[2, 2] w = {{{MOST}, 3, 4, -{MOST}}}>
{{ a = QuantizeLinear (x, s, z)  b = DequantizeLinear (a, s, z)  v = DequantizeLinear (w, s)
  [layer] y = MatMul (b, v) }}"""
DIGITS = str(path("digits.onnx"))


def byte_net(activations: str, largest: int) -> onnx.ModelProto:
    return onnx.parser.parse_model(BYTES.format(KIND=activations, MOST=largest))


def test_the_cpu_passes_and_what_is_found_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    cpu = next(one for one in found["providers"] if one["provider"] == "CPUExecutionProvider")
    assert cpu["difference"] < 1e-5
    assert cpu["nodes"] > 10
    assert found["versions"]["onnx"] == onnx.__version__
    assert found["products_saturate"] == products_saturate()
    assert ("cut off" in found["notes"][0]) == products_saturate()
    assert found["processor"]["cores"] >= 1


def test_a_provider_that_computes_something_else_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = diagnosis.open_session

    class Wrong:
        def __init__(self, *given: Any) -> None:
            self.session = right(*given)

        def run(self, *given: Any) -> dict[str, np.ndarray]:
            return {name: 1.05 * array for name, array in self.session.run(*given).items()}

    monkeypatch.setattr(diagnosis, "open_session", Wrong)
    assert run(["doctor"]) == 1
    assert "WRONG" in capsys.readouterr().out


def test_a_provider_that_does_not_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "available_providers", lambda: ["NoSuchExecutionProvider"])
    (one,) = diagnosis.diagnose(DIGITS).providers
    assert (one.passed, one.difference) == (False, None)
    assert "no execution provider 'NoSuchExecutionProvider' here" in one.note


def test_the_nodes_of_each_provider_are_counted() -> None:
    model = onnx.parser.parse_model(CHAIN).SerializeToString()
    found = placement(model, {"x": np.zeros((1, 4), np.float32)})
    assert found == {"CPUExecutionProvider": {"Sin": 1, "Cos": 1, "Add": 1}}
    with pytest.raises(RuntimeUnavailable):
        placement(model, {}, "tpu")


def test_the_measured_product_is_that_of_the_kernel() -> None:
    """Against NumPy, with weights of 7 bits, which no processor cuts off, and of 8 bits."""
    draw = np.random.default_rng(0)
    a = draw.integers(200, 256, (3, 16)).astype(np.uint8)
    for most in (64, 128):
        b = draw.integers(most - 8, most, (16, 5)).astype(np.int8)
        text = '<ir_version: 8, opset_import: ["" : 18]> net (uint8[3, 16] a, int8[16, 5] b) => (int32[3, 5] y)'
        model = onnx.parser.parse_model(f"{text} {{ y = MatMulInteger (a, b) }}")
        session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        exact = np.array_equal(session.run(None, {"a": a, "b": b})[0], a.astype(np.int32) @ b)
        assert exact == (most == 64 or not products_saturate())


@pytest.mark.parametrize(
    ("activations", "largest", "expected"),
    [("uint8", 100, ["layer"]), ("uint8", 65, ["layer"]), ("uint8", 64, []), ("int8", 100, [])],  # 64 + 64 fit
)
def test_layers_at_risk_have_uint8_activations_and_large_int8_weights(
    activations: str, largest: int, expected: list[str]
) -> None:
    net = load(byte_net(activations, largest))
    assert layers_at_risk(net) == expected
    assert inspect(net).at_risk == (tuple(expected) if products_saturate() else ())


def test_inspect_names_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("onnxray.diagnostics.inspection.products_saturate", lambda: True)
    onnx.save(byte_net("uint8", 100), tmp_path / "net.onnx")
    assert run(["inspect", str(tmp_path / "net.onnx")]) == 0
    assert "1 layer has int8 weights beyond 7 bits" in capsys.readouterr().out


def test_words_about_half_precision_follow_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    here = processor.this_processor()
    monkeypatch.setattr(diagnosis, "_self_tests", lambda model: [])
    for features, word in (((), "as it has no 16-bit arithmetic"), (("avx512_fp16",), "has 16-bit arithmetic")):
        monkeypatch.setattr(diagnosis, "this_processor", lambda features=features: replace(here, features=features))
        assert word in diagnosis.diagnose(DIGITS).notes[1]
