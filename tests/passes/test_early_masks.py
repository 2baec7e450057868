"""Masks that a saved file makes early: the same results, in a form that OpenVINO keeps in bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxray
import onnxruntime as ort
import pytest
from onnx.parser import parse_model
from onnxray.passes.early_masks import mask_early

NET = """<ir_version: 8, opset_import: ["" : 18]>
net (float[N, 3, 8, 8] x) => (float[N, 4] y) <float low = {0}, float high = {6}, int64[2] axes = {2, 3}> {
  a = Conv<pads=[1, 1, 1, 1]>(x, w1)  b = Clip(a, low, high)
  c = Conv<pads=[1, 1, 1, 1]>(b, w2)  d = Relu(c)
  e = Conv<pads=[1, 1, 1, 1]>(d, w3)  f = Clip(e, low, high)  g = Add(b, f)
  y = ReduceMean<keepdims=0>(g, axes)
}"""
OWN = NET.replace("d = Relu(c)", "zero = Sub(low, low) m = Greater(c, zero) n = Cast<to=1>(m) d = Mul(c, n)")
MASKS = ("/Equal", "/Equal_1", "/Greater")
SHAPES = {"w1": (4, 3, 3, 3), "w2": (4, 4, 3, 3), "w3": (4, 4, 3, 3)}


def made(text: str = NET) -> onnx.ModelProto:
    model, drawn = parse_model(text), np.random.default_rng(0)
    for name, shape in SHAPES.items():
        weights = 2 * drawn.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(weights, name))
    return model


def early(model: onnx.ModelProto, large: int = 1) -> onnx.ModelProto:
    program = ir.from_proto(onnx.shape_inference.infer_shapes(model))
    mask_early(program, large)
    return ir.to_proto(program)


def saved(text: str = NET, method: str = "saliency") -> onnx.ModelProto:
    return ir.to_proto(onnxray.Explainer(made(text), method).exported())


def results(model: onnx.ModelProto, batch: int, level: str = "ORT_ENABLE_ALL") -> list[Any]:
    x = np.random.default_rng(batch).standard_normal((batch, 3, 8, 8)).astype(np.float32)
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x, "target": np.full(batch, -1)})


def chosen(model: onnx.ModelProto) -> int:
    """The gates that read a mask And a condition that holds."""
    nodes = {node.output[0]: node for node in model.graph.node}
    casts = [node for node in nodes.values() if node.op_type == "Cast" and node.input[0] in nodes]
    return sum(nodes[node.input[0]].name.startswith("early/And") for node in casts)


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("level", ["ORT_ENABLE_ALL", "ORT_DISABLE_ALL"])
@pytest.mark.parametrize("text", [NET, OWN], ids=["gates", "a mask of the model's own"])
def test_results_stay_to_the_last_bit(text: str, level: str, batch: int) -> None:
    plain = saved(text)
    changed = early(plain)
    onnx.checker.check_model(changed, full_check=True)
    assert [value.name for value in changed.graph.output] == [value.name for value in plain.graph.output]
    assert (chosen(plain), chosen(changed)) == (0, 3 if text is NET else 2)
    for found, truth in zip(results(changed, batch, level), results(plain, batch, level), strict=True):
        np.testing.assert_array_equal(found, truth)


def test_masks_stand_behind_their_activations_and_the_choice_behind_the_scores() -> None:
    """onnxruntime computes the masks where they are read if no node before the reverse pass has a place behind it."""
    names = [node.name for node in early(saved()).graph.node]
    first = next(k for k, name in enumerate(names) if name.startswith("explain/"))
    behind = [name for name in names[first:] if name.startswith("early/")]
    assert not behind
    assert sum(name.startswith("early/Slice") for name in names[:first]) == 3 + 1
    assert sum(name.startswith("early/And") for name in names[:first]) == 3
    assert names[first - 1].startswith("early/Where")


@pytest.mark.parametrize(
    ("text", "method", "large"),
    [
        (NET, "saliency", 4 * 8 * 8 + 1),
        (NET, "occlusion", 1),
        (NET.replace("(float[N, 4] y)", "(int64[N] y)").replace("y = Red", "r = Red").replace(
            "(g, axes)", "(g, axes) y = ArgMax<axis=1, keepdims=0>(r)"), "saliency", 1),
        (NET.replace("float[N, 3, 8, 8]", "float[N, 3, H, W]"), "saliency", 1),
    ],
    ids=["small images", "no gradient", "the first output is an index", "images of any size"],
)  # fmt: skip
def test_what_stays(text: str, method: str, large: int) -> None:
    options = {"score": "r"} if "ArgMax" in text else {}
    plain = ir.to_proto(onnxray.Explainer(made(text), method, **options).exported())
    assert not any(node.name.startswith("early/") for node in early(plain, large).graph.node)


def test_saved_explainers_of_large_images_have_them() -> None:
    assert chosen(saved(NET.replace("8, 8", "150, 150"))) == 3


def test_openvino_keeps_bytes_of_the_forward_pass(tmp_path: Path) -> None:
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")
    model = early(saved())
    onnx.save(model, tmp_path / "explainer.onnx")
    core = openvino.Core()
    read = core.read_model(tmp_path / "explainer.onnx")
    read.reshape({"x": [2, 3, 8, 8], "target": [2]})
    compiled = core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    x = np.random.default_rng(2).standard_normal((2, 3, 8, 8)).astype(np.float32)
    found = compiled({"x": x, "target": np.full(2, -1)})
    for k, truth in enumerate(results(model, 2)):
        np.testing.assert_allclose(found[k], truth, rtol=1e-4, atol=1e-5)
    nodes = [(node.friendly_name, node.rt_info) for node in compiled.get_runtime_model().get_ops()]
    order = {name: int(about["execOrder"].astype(str)) for name, about in nodes if "execOrder" in about}
    masks = [name for name, about in nodes if name in order and name.endswith(MASKS)]
    assert len(masks) == 3
    assert max(order[name] for name in masks) < order["early/y"]
    assert {dict(nodes)[name]["outputPrecisions"].astype(str) for name in masks} == {"u8"}
