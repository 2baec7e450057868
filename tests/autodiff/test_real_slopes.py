"""Every real file from its floating-point inputs to its scores: central differences of the float32 form along it."""

from __future__ import annotations

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest
from kernels import products_saturate
from onnxray.autodiff.float32_shadow import float32_form
from PIL import Image
from real_files import DATA, PICTURES, QUANTISED, path, photograph
from rounding import rounded

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="../shared/data, with real models and photographs, is not here"
)
Feeds = dict[str, np.ndarray]


def session(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options)


def random(*shape: int, scale: float = 1.0) -> np.ndarray:
    return (np.random.default_rng(0).normal(size=shape) * scale).astype(np.float32)


def digit() -> np.ndarray:
    picture = np.asarray(Image.open(DATA / "images" / "digit0.jpg").convert("L").resize((28, 28)), np.float32)
    return picture.reshape(1, 1, 28, 28)


# File: a step, in parts of the input's length, that neither kinks nor a float's digits disturb, and what it is fed.
FLOAT = {
    "iris_Network_winml": (1e-4, lambda: {"input": np.array([[6.7, 3.0, 5.2, 2.3]], np.float32)}),
    "mnist-8": (1e-5, lambda: {"Input3": digit()}),
    "season_prediction_model_temp_max_binary": (1e-4, lambda: {"input_3:0": 10 * random(1, 28, 1)}),
    "silero_vad_16k_op15": (1e-3, lambda: {
        "input": random(1, 512, scale=0.1), "state": random(2, 1, 128, scale=0.3), "sr": np.array(16000, np.int64)
    }),
    "squeezenet_fp16_winml": (1e-5, lambda: photograph("squeezenet_fp16_winml")),
    "yolox_nano_224": (3e-5, lambda: photograph("yolox_nano_224")),
}  # fmt: skip


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=pytest.mark.slow if name in ("silero_vad_16k_op15", "yolox_nano_224") else ())
    for name in FLOAT
])  # fmt: skip
def test_central_differences(name: str) -> None:
    """Of half precision the float32 form is stepped along, as half a number's digits hide a small step."""
    step, make = FLOAT[name]
    model, feeds = onnxray.load(path(name)), make()
    wide = {k: v.astype(np.float32) if v.dtype == np.float16 else v for k, v in feeds.items()}
    output, inputs = str(model.outputs[0].name), [str(v.name) for v in model.inputs if v.name != "sr"]
    graph = onnxray.differentiate(model, output, inputs)
    scores = np.asarray(session(graph.model).run([output], {**feeds, **seeds(graph, feeds, None)})[0], np.float32)
    dy = np.zeros_like(scores)
    dy.reshape(-1)[int(scores.argmax())] = 1
    names = list(graph.gradients.values())
    found = session(graph.model).run(names, {**feeds, **seeds(graph, feeds, dy)})
    for x, dx in zip(inputs, found, strict=True):
        assert dx.dtype == np.float32
        form = session(float32(float32_form(model, output, inputs).proto()))
        check(form, wide, output, x, dx, dy, step)


def seeds(graph: onnxray.GradientGraph, feeds: Feeds, dy: np.ndarray | None) -> Feeds:
    (name,) = graph.seeds.values()
    shape = next(v for v in graph.model.graph.input if v.name == name).type.tensor_type.shape.dim
    return {name: np.zeros([d.dim_value or 1 for d in shape], np.float32) if dy is None else dy}


def float32(form: onnx.ModelProto) -> onnx.ModelProto:
    for value in (*form.graph.input, *form.graph.output):
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT16:
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return form


def check(
    form: ort.InferenceSession,
    feeds: Feeds,
    output: str,
    x: str,
    dx: np.ndarray,
    dy: np.ndarray,
    step: float,
    within: float = 0.02,
) -> None:
    """The slope along the gradient is the gradient's length."""
    length, e = float(np.linalg.norm(dx)), step * float(np.linalg.norm(feeds[x]))
    ahead, behind = (form.run([output], {**feeds, x: feeds[x] + k * dx / length})[0] for k in (e, -e))
    slope = float(np.sum((ahead.astype(np.float64) - behind) * dy) / (2 * e))
    print(f"{x}: |gradient| {length:.6g}, by central differences {slope:.6g}")
    assert slope == pytest.approx(length, rel=within)


# Quantised -------------------------------------------------------------------------------------------------------


def likeness(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation of absolute values."""
    u, v = (np.argsort(np.argsort(np.abs(x).ravel())) for x in (a, b))
    return float(np.corrcoef(u, v)[0, 1])


@pytest.mark.slow
@pytest.mark.parametrize("name", QUANTISED)
def test_a_straight_through_gradient(name: str) -> None:
    """It is that of the float net to which the rounding errors of this input are added, by rules and by differences.

    Against the float net without them it is as unlike as rounding makes the float net's own gradient: errors of the
    same size, drawn at random, change that as much. Where products saturate errors are longer than half a step.
    """
    model = onnxray.load(path(name))
    x, y = str(model.inputs[0].name), str(model.outputs[0].name)
    explainer, graph, run = onnxray.Explainer(model), None, None
    for picture in PICTURES:
        feeds = photograph(name, picture)
        net = rounded(model, feeds)
        graph = graph or onnxray.differentiate(net.model, y, x)
        run = run or session(graph.model)
        found = explainer(feeds)
        dy = np.zeros((1, 1000), np.float32)
        dy[0, found.target[0]] = 1
        same, plain, noisy = (
            np.asarray(run.run([graph.gradients[x]], {**feeds, **errors, graph.seeds[y]: dy})[0])
            for errors in (net.errors, net.without(), net.noise())
        )
        cosine = float(np.sum(found.values * same) / np.linalg.norm(found.values) / np.linalg.norm(same))
        alike, by_chance = likeness(found.values, plain), likeness(noisy, plain)
        print(
            f"{name} {picture}: cosine with the float net under this rounding {cosine:.4f}, "
            f"rank correlation with it {likeness(found.values, same):.3f}, "
            f"with the float net {alike:.3f}, where random rounding leaves {by_chance:.3f}"
        )
        assert cosine > 0.99
        assert likeness(found.values, same) > 0.98
        assert net.largest() < 0.501 or products_saturate()
        assert alike > by_chance - 0.02 or net.largest() >= 0.501
        # Sums of integers are often exactly 0, where a rectifier has a kink.
        check(session(net.model), {**feeds, **net.errors}, y, x, same, dy, 5e-6, within=0.06)
