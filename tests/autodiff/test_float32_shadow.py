"""Quantised and half-precision models: the forward pass as shipped, to the last bit, and a gradient in float32."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import by_hand
import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest
from gradcheck import normal
from onnxray.attribution.inputs import prepare
from onnxray.gate.layers.dequantise import dequantised
from onnxray.graph.node_names import SHADOW
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

DATA = Path(__file__).parents[3] / "shared" / "data"
IMAGENET = onnxray.Preprocess.preset("imagenet", size=(224, 224))
REAL = {
    "mobilenetv2like_qdq_244": onnxray.Preprocess.preset("imagenet", size=(244, 244)),
    "shufflenet-v2-12-int8": IMAGENET,
    "squeezenet_fp16_winml": onnxray.Preprocess.preset("caffe", size=(224, 224)),
}
EVERY_DAY = {("shufflenet-v2-12-int8", "grad-cam")}
METHODS = {
    "saliency": {},
    "guided-backprop": {},
    "deconvnet": {},
    "input-x-gradient": {},
    "integrated-gradients": {"steps": 2},
    "smoothgrad": {"samples": 2},
    "grad-cam": {},
    "occlusion": {"window": 112, "stride": 112},
}
NET = """
<ir_version: 8, opset_import: ["" : 17]>
net (float[N, 3, 12, 12] x) => (float[N, 5] y) {
    c1 = Conv <pads = [1, 1, 1, 1]> (x, w1, b1)
    r1 = Relu (c1)
    c2 = Conv <pads = [1, 1, 1, 1]> (r1, w2, b2)
    s = Add (c2, r1)
    r2 = Relu (s)
    p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r2)
    t = Transpose <perm = [0, 2, 3, 1]> (p)
    f = Flatten (t)
    h = MatMul (f, w3)
    a = Sigmoid (h)
    y = Gemm (a, w4, b4)
}
"""
WEIGHTS = {"w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 8, 3, 3), "b2": (8,), "w3": (288, 16), "w4": (16, 5), "b4": (5,)}


def float_net() -> onnx.ModelProto:
    model = onnx.parser.parse_model(NET)
    for k, (name, shape) in enumerate(WEIGHTS.items()):
        scale = np.sqrt(2 / np.prod(shape[1:] if len(shape) > 2 else shape[:1]))
        array = (normal(*shape, seed=k) * scale).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    return model


class Samples(CalibrationDataReader):
    def __init__(self) -> None:
        self.left = [{"x": normal(4, 3, 12, 12, seed=k).astype(np.float32)} for k in range(4)]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self.left.pop() if self.left else None


def quantised(kind: str, folder: Path) -> Path:
    """The net after onnxruntime's own tools, as a file there."""
    file = folder / f"{kind}.onnx"
    file.write_bytes(made(kind))
    return file


@cache
def made(kind: str) -> bytes:
    with TemporaryDirectory() as folder:
        return quantise(kind, Path(folder)).read_bytes()


def quantise(kind: str, folder: Path) -> Path:
    logging.disable(logging.WARNING)
    source, file = folder / "float.onnx", folder / f"{kind}.onnx"
    onnx.save(float_net(), source)
    if kind == "dynamic":
        quantize_dynamic(source, file)
    elif kind == "half":
        from onnxruntime.transformers.float16 import convert_float_to_float16

        onnx.save(convert_float_to_float16(float_net(), keep_io_types=True), file)
    else:
        form = QuantFormat.QOperator if kind == "qoperator" else QuantFormat.QDQ
        options = {"per_channel": kind == "qdq per channel", "reduce_range": True}
        if kind == "qdq int16":
            options = {"activation_type": QuantType.QInt16}
        quantize_static(source, file, Samples(), quant_format=form, **options)
    logging.disable(logging.NOTSET)
    return file


KINDS = ["qdq", "qdq per channel", "qdq int16", "qoperator", "dynamic", "half"]


def plain(file: Path, feeds: dict[str, np.ndarray]) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return np.asarray(ort.InferenceSession(file, options).run(None, feeds)[0])


def product(kinds: list[str], methods: list[str]) -> list[Any]:
    """Kinds with methods: every day each kind with the first method, each method with the first kind; by CI all."""
    marks = {True: (), False: pytest.mark.slow}
    return [pytest.param(k, m, marks=marks[kinds[0] == k or methods[0] == m]) for k in kinds for m in methods]


@pytest.mark.parametrize(("kind", "method"), product(KINDS, [m for m in METHODS if m != "occlusion"]))
def test_the_score_is_the_models_own(kind: str, method: str, tmp_path: Path) -> None:
    file, x = quantised(kind, tmp_path), normal(2, 3, 12, 12, seed=9).astype(np.float32)
    expected = plain(file, {"x": x})
    found = onnxray.explain(file, x, method, target=[3, 1], score="output", **METHODS[method])
    np.testing.assert_array_equal(found.score, expected[[0, 1], [3, 1]])
    assert found.values.dtype == np.float32
    assert np.count_nonzero(found.values)
    assert found.provenance["gap"] < (1e-3 if kind == "half" else 1e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_the_outputs_beside_the_gradient_are_the_models_own(kind: str, tmp_path: Path) -> None:
    file, x = quantised(kind, tmp_path), normal(2, 3, 12, 12, seed=9).astype(np.float32)
    graph = onnxray.differentiate(file)
    (tmp_path / "gradient.onnx").write_bytes(graph.model.SerializeToString())
    found = plain(tmp_path / "gradient.onnx", {"x": x, graph.seeds["y"]: np.ones((2, 5), np.float32)})
    np.testing.assert_array_equal(found, plain(file, {"x": x}))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b))


@pytest.mark.parametrize(("kind", "least"), [("dynamic", 0.97), ("half", 0.9999)])
def test_the_gradient_is_near_that_of_the_float_net(kind: str, least: float, tmp_path: Path) -> None:
    file, x = quantised(kind, tmp_path), normal(2, 3, 12, 12, seed=9).astype(np.float32)
    found, expected = (onnxray.explain(net, x, target=2).values for net in (file, float_net()))
    assert cosine(found, expected) > least


@pytest.mark.parametrize(("kind", "least"), [("qdq", 0.97), ("qdq per channel", 0.97), ("qdq int16", 0.999)])
def test_the_gradient_is_near_that_of_the_dequantised_net(kind: str, least: float, tmp_path: Path) -> None:
    """Which has the same weights and clips, and rounds no activation."""
    file, x = quantised(kind, tmp_path), normal(2, 3, 12, 12, seed=9).astype(np.float32)
    found, expected = (onnxray.explain(net, x, target=2).values for net in (file, dequantised(file)))
    assert cosine(found, expected) > least


@pytest.mark.slow
def test_with_16_bits_hardly_a_mask_changes(tmp_path: Path) -> None:
    """Unless the runtime rounds to 8, as onnxruntime does from 1.32 on before products with 8-bit weights."""
    file, x = quantised("qdq int16", tmp_path), normal(2, 3, 12, 12, seed=9).astype(np.float32)
    graph, dy = onnxray.differentiate(file), np.zeros((2, 5), np.float32)
    dy[:, 2] = 1
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")  # products in float32
    session = ort.InferenceSession(graph.model.SerializeToString(), options)
    (found,) = session.run([graph.gradients["x"]], {"x": x, graph.seeds["y"]: dy})
    assert cosine(found, onnxray.explain(dequantised(file), x, target=2).values) > 0.99999


@pytest.mark.parametrize("layer", ["r2_DequantizeLinear_Output", "r1_DequantizeLinear_Output", "c2"])
def test_layers_that_a_maximum_reads(layer: str, tmp_path: Path) -> None:
    file, x = quantised("qdq", tmp_path), normal(2, 3, 12, 12, seed=9).astype(np.float32)
    found = onnxray.explain(file, x, "grad-cam", target=2, layer=layer).values
    expected = onnxray.explain(float_net(), x, "grad-cam", target=2, layer=layer.split("_")[0]).values
    assert cosine(found, expected) > 0.9


@pytest.mark.parametrize(("kind", "method"), product(["qdq", "qoperator"], ["guided-backprop", "deconvnet"]))
def test_relu_policies_find_what_was_merged(kind: str, method: str, tmp_path: Path) -> None:
    """The tool merges each Relu into the QuantizeLinear behind it."""
    file, x = quantised(kind, tmp_path), normal(2, 3, 12, 12, seed=9).astype(np.float32)
    assert "Relu" not in {node.op_type for node in onnx.load(file).graph.node}
    found, expected, plain_one = (
        onnxray.explain(net, x, how, target=2).values
        for net, how in ((file, method), (float_net(), method), (file, "saliency"))
    )
    assert cosine(found, expected) > 0.95
    assert cosine(found, plain_one) < 0.9


def test_float_models_have_no_shadow() -> None:
    names = [node.name for node in onnxray.differentiate(float_net()).model.graph.node]
    assert names
    assert not any(name.startswith(SHADOW) for name in names)


@pytest.mark.parametrize(
    ("kind", "method"),
    product(["qdq", "qdq per channel", "qdq int16", "qoperator"], ["saliency", "integrated-gradients", "grad-cam"]),
)
def test_a_saved_explainer_has_the_models_scores(kind: str, method: str, tmp_path: Path) -> None:
    file, x = quantised(kind, tmp_path), normal(2, 3, 12, 12, seed=9).astype(np.float32)
    explainer = onnxray.Explainer(file, method, score="output", **METHODS[method])
    session = ort.InferenceSession(explainer.save(tmp_path / "explainer.onnx"))
    y, score, values = session.run(["y", "score", "attribution"], {"x": x, "target": np.array([3, 1])})
    np.testing.assert_array_equal(y, plain(file, {"x": x}))
    np.testing.assert_array_equal(score, np.asarray(y)[[0, 1], [3, 1]])
    expected = explainer(x, target=[3, 1]).values
    np.testing.assert_allclose(values, expected, rtol=1e-4, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("kind", KINDS)
def test_layers_are_named_as_the_model_names_them(kind: str, tmp_path: Path) -> None:
    model = onnxray.load(quantised(kind, tmp_path))
    explainer = onnxray.Explainer(model, "guided-backprop")
    own = tuple(node.name or str(node.outputs[0].name) for node in model.graph)
    assert explainer.activations
    assert all(activation.node.startswith(own) for activation in explainer.activations)


# Half precision ------------------------------------------------------------------------------------------------------

SATURATED = """
<ir_version: 8, opset_import: ["" : 18]>
net (float16[N, 4] x) => (float16[N, 2] y) <float[4, 2] v = {0.01, 0.02, 0.03, -0.01, 0.02, 0.01, -0.02, 0.03}>
{ w = Cast <to = 10> (v)  h = MatMul (x, w)  s = Sigmoid (h)  t = Mul (s, s)  y = Mul (t, t) }
"""


def test_small_gradients_of_a_half_precision_net_do_not_vanish() -> None:
    """A sigmoid so near to 1 that half precision takes it for 1, and one whose slopes lie below its numbers."""
    w = np.array([[0.01, 0.02], [0.03, -0.01], [0.02, 0.01], [-0.02, 0.03]], np.float16).astype(np.float64)
    x = np.array([[300, 150, 100, 25], [-300, -150, -100, 90]], np.float16)
    found = onnxray.explain(onnx.parser.parse_model(SATURATED), x, target=0, score="output").values
    s = 1 / (1 + np.exp(-(x.astype(np.float64) @ w)[:, :1]))
    np.testing.assert_allclose(found, 4 * s**4 * (1 - s) * w[:, 0], rtol=5e-3)
    assert (np.abs(found) < 1e-7).any()


def test_the_seed_and_the_gradient_of_half_precision_are_float32() -> None:
    graph = onnxray.differentiate(onnx.parser.parse_model(SATURATED), wrt=["x", "w", "h"])
    kinds = {
        value.name: value.type.tensor_type.elem_type for value in (*graph.model.graph.input, *graph.model.graph.output)
    }
    names = [*graph.seeds.values(), *graph.gradients.values()]
    assert {kinds[name] for name in names} == {onnx.TensorProto.FLOAT}
    assert kinds["y"] == onnx.TensorProto.FLOAT16


# Real files ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not DATA.is_dir(), reason="../shared/data, with real models and photographs, is not here")
@pytest.mark.parametrize(("name", "method"), [
    pytest.param(name, method, marks=() if (name, method) in EVERY_DAY else pytest.mark.slow)
    for name in REAL for method in METHODS
])  # fmt: skip
def test_the_score_of_a_real_file_is_its_own(name: str, method: str) -> None:
    file, picture = DATA / "onnx" / f"{name}.onnx", DATA / "images" / "doberman.png"
    model = onnxray.load(file)
    feeds = prepare(model, picture, REAL[name]).batch.feeds
    expected = plain(file, dict(feeds)).reshape(-1)
    found = onnxray.explain(model, picture, method, score="output", preprocess=REAL[name], **METHODS[method])
    assert found.score[0] == expected[int(found.target[0])]
    assert int(found.target[0]) == int(expected.argmax())
    assert found.provenance["gap"] < (1e-3 if "fp16" in name else 5e-2)
    assert np.count_nonzero(found.values)


@pytest.mark.parametrize("more", ["float[N, 4] x", "int8[4, 3] W", "float[4, 3] w"])
def test_inputs_and_weights_that_are_outputs_of_a_quantised_model(more: str, tmp_path: Path) -> None:
    weights = {"s": np.float32(0.05), "z": np.uint8(128), "v": np.int8(0), "W": np.arange(12, dtype=np.int8)}
    weights["W"] = weights["W"].reshape(4, 3)
    text = f"""net (float[N, 4] x) => (float[N, 3] y, {more}) {{
        q = QuantizeLinear(x, s, z)
        d = DequantizeLinear(q, s, z)
        w = DequantizeLinear(W, s, v)
        y = MatMul(d, w)
    }}"""
    model = by_hand.model(text, weights)
    explainer = onnxray.Explainer(model)
    x = np.linspace(-2, 2, 8, dtype=np.float32).reshape(2, 4)
    found, outputs = explainer.with_outputs(x, target=1)
    np.testing.assert_allclose(found.values, [weights["W"][:, 1] * 0.05] * 2, rtol=1e-5)
    assert list(outputs) == ["y", more.split()[-1]]
    assert explainer.save(tmp_path / "explainer.onnx").is_file()
    assert onnxray.differentiate(model, of="y").gradients == {"x": "grad_x"}
