"""A shadow that computes other scores than the model says so: its gradient may not be the model's."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest
from gradcheck import normal
from kernels import products_saturate
from onnx import numpy_helper
from onnxray.autodiff.float32_shadow import float32_form
from onnxray.models import path
from onnxruntime.quantization import quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16

HIDDEN, MELS, LAYERS = 32, 40, 3
HEAD = '<ir_version: 8, opset_import: ["" : 17]>'


def embedder(gain: float) -> onnx.ModelProto:
    """Three layers of LSTM on frames (N, T, 40) and a projection: the form of many speaker embedders.

    ``gain``: what the usual initial weights, uniform up to 1 / sqrt(hidden), are multiplied by.
    """
    body, weights = ["x0 = Transpose <perm = [1, 0, 2]> (x)"], {}
    for k in range(LAYERS):
        body.append(f"y{k}, h{k} = LSTM <hidden_size = {HIDDEN}> (x{k}, w{k}, r{k})  x{k + 1} = Squeeze (y{k}, one)")
        for name, width in ((f"w{k}", HIDDEN if k else MELS), (f"r{k}", HIDDEN)):
            rng = np.random.default_rng(len(weights))
            weights[name] = gain / HIDDEN**0.5 * rng.uniform(-1, 1, (1, 4 * HIDDEN, width))
    body.append(f"last = Squeeze (h{LAYERS - 1}, zero)  y = MatMul (last, p)")
    constants = "<int64[1] one = {1}, int64[1] zero = {0}>"
    text = f"{HEAD} net (float[N, T, {MELS}] x) => (float[N, 16] y) {constants} {{ {' '.join(body)} }}"
    model = onnx.parser.parse_model(text)
    weights["p"] = normal(HIDDEN, 16)
    model.graph.initializer.extend(numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items())
    return model


def quantised(folder: Path, gain: float, reduce_range: bool) -> onnx.ModelProto:
    logging.disable(logging.WARNING)
    onnx.save(embedder(gain), folder / "float.onnx")
    quantize_dynamic(
        folder / "float.onnx", folder / "int8.onnx", op_types_to_quantize=["LSTM"], reduce_range=reduce_range
    )
    logging.disable(logging.NOTSET)
    model = onnx.load(folder / "int8.onnx")
    assert [node.op_type for node in model.graph.node].count("DynamicQuantizeLSTM") == LAYERS
    return model


def frames(count: int) -> np.ndarray:
    return normal(1, count, MELS, seed=1).astype(np.float32)


def explained(model: onnx.ModelProto, x: np.ndarray, **options) -> tuple[onnxray.Attribution, list[str]]:
    """An attribution, and the warnings that it came with."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        found = onnxray.explain(model, x, target=3, **options)
    return found, [str(warning.message) for warning in heard if "shadow" in str(warning.message)]


def scores(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    return np.asarray(ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0], np.float64)


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x))))


def test_a_healthy_recurrent_net_is_silent(tmp_path: Path) -> None:
    """Seven bits of weights do not saturate on any processor."""
    found, heard = explained(quantised(tmp_path, gain=1, reduce_range=True), frames(20))
    assert heard == []
    assert found.provenance["gap_bound"] == pytest.approx(3 * 3**0.5 * 8 / 255 / 12**0.5)
    assert 0 < found.provenance["gap"] < 0.03


def test_products_that_saturate_are_told(tmp_path: Path) -> None:
    """The same net with 8 bits of weights: on processors whose kernels saturate, its scores are not the shadow's."""
    found, heard = explained(quantised(tmp_path, gain=1, reduce_range=False), frames(20))
    assert (len(heard) == 1) == products_saturate()
    assert (found.provenance["gap"] > 0.05) == products_saturate()


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients"])
def test_a_recurrence_that_amplifies_rounding_is_told(method: str, tmp_path: Path) -> None:
    """Weights so large that one step multiplies a difference: after 80 frames the two nets say unlike things."""
    model, x = quantised(tmp_path, gain=12, reduce_range=True), frames(80)
    options = {"steps": 2} if method == "integrated-gradients" else {}
    found, (line,) = explained(model, x, method=method, **options)
    shipped, shadow = scores(model, x), scores(float32_form(onnxray.load(model), "y", "x").proto(), x)
    expected = max(rms(shadow - shipped), abs(shadow[0, 3] - shipped[0, 3])) / rms(shipped)
    assert found.provenance["gap"] >= 0.9 * rms(shadow - shipped) / rms(shipped)
    assert found.provenance["gap"] <= 1.1 * expected
    assert f"lies {found.provenance['gap']:.1%} of the scores' size" in line
    assert "docs/quantised.md" in line
    assert "\n" not in line


def test_a_seed_is_measured_by_its_length(tmp_path: Path) -> None:
    model, x = quantised(tmp_path, gain=12, reduce_range=True), frames(80)
    seed = np.zeros((1, 16), np.float32)
    seed[0, 3] = 7
    with pytest.warns(UserWarning, match="float32 shadow"):
        one, other = (onnxray.explain(model, x, target=target).provenance["gap"] for target in (3, seed))
    assert other == pytest.approx(one, rel=1e-3)


def test_the_largest_gap_of_a_batch_counts() -> None:
    """Of the digits' net in half precision."""
    model = onnx.load(path("digits.onnx"))
    size = [dim.dim_value for dim in model.graph.input[0].type.tensor_type.shape.dim][1:]
    half, x = convert_float_to_float16(model, keep_io_types=True), normal(3, *size, seed=1).astype(np.float32)
    gaps = [explained(half, x[k : k + 1])[0].provenance["gap"] for k in range(3)]
    found, heard = explained(half, x)
    assert found.provenance["gap"] == pytest.approx(max(gaps), rel=0.05)
    assert heard == []


def test_float_models_have_no_gap() -> None:
    found = onnxray.explain(path("digits.onnx"), path("digit.png"))
    assert "gap" not in found.provenance


def test_weights_alone_are_quantised_in_silence() -> None:
    """Nothing rounds on the way: the two scores differ by what float32 leaves, of which no line tells."""
    layers = "".join(
        f"f{k} = DequantizeLinear(w{k}, s) m{k} = MatMul(h{k}, f{k}) h{k + 1} = Tanh(m{k})\n" for k in range(3)
    )
    text = f"{HEAD} net (float[N,256] h0) => (float[N,256] h3) <float s = {{1e-3}}> {{ {layers} }}"
    model, weights = onnx.parser.parse_model(text), np.random.default_rng(2).integers(-127, 128, (3, 256, 256), np.int8)
    model.graph.initializer.extend(numpy_helper.from_array(one, f"w{k}") for k, one in enumerate(weights))
    found, heard = explained(model, normal(4, 256, seed=1).astype(np.float32))
    assert heard == []
    assert found.provenance["gap"] < 1e-5


def test_a_saved_explainer_has_the_outputs_it_had(tmp_path: Path) -> None:
    model = quantised(tmp_path, gain=1, reduce_range=True)
    for method, options in (("saliency", {}), ("integrated-gradients", {"steps": 2})):
        explainer = onnxray.Explainer(model, method, **options)
        explainer(frames(20), target=3)
        file = explainer.save(tmp_path / "explainer.onnx")
        delta = ["delta"] * (method == "integrated-gradients")
        assert [value.name for value in onnx.load(file).graph.output] == ["y", "score", "attribution", *delta]
