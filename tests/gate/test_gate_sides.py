"""A side says what its model and its explainers say, though it runs them less often."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxray
import pytest
from held_out import digits
from onnxray import Explainer, models
from onnxray.explainer.explanation_runs import ExplanationRuns
from onnxray.gate.layers.cam_layer import default_layer, same_layer
from onnxray.gate.model_under_test import ModelUnderTest, open_model_under_test
from onnxray.runtime import open_session
from onnxruntime.transformers.float16 import convert_float_to_float16

DIGITS = models.path("digits.onnx")
X = digits().unseen[:1, None].astype(np.float32) / 255
QDQ = Path(__file__).parents[3] / "shared" / "data" / "onnx" / "mobilenetv2like_qdq_244.onnx"
METHODS = ["input-x-gradient", "grad-cam", "saliency"]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods whose explainers were run."""
    real, names = ExplanationRuns.run, []

    def counted(self: ExplanationRuns, *given: Any, **named: Any) -> Any:
        names.append(self.method.name)
        return real(self, *given, **named)

    monkeypatch.setattr(ExplanationRuns, "run", counted)
    return names


def check(side: ModelUnderTest, given: Any, target: Any = "top1") -> None:
    """Scores, class and maps are those of the model and of each explainer by itself."""
    prepared = side.prepared(given)
    found, scores = side.evidence(prepared, target), side.scores(prepared)
    assert found.target.place == (int(scores.argmax()) if target == "top1" else target)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-4, atol=1e-5)
    for name, explainer in side.explainers.items():
        values = explainer(dict(prepared.batch.feeds), found.target.place).values
        alone = np.concatenate([v.ravel() for v in values.values()]) if isinstance(values, dict) else values[0]
        np.testing.assert_allclose(found.maps[name], alone, rtol=1e-6, err_msg=name)
    assert list(found.maps) == list(side.explainers)


@pytest.mark.parametrize("target", ["top1", 3])
def test_a_float_model_is_run_once_for_each_other_map(runs: list[str], target: Any) -> None:
    side = open_model_under_test(DIGITS, METHODS, threads=1)
    side.evidence(side.prepared(X), target)
    assert runs == ["grad-cam", "saliency"]
    assert side.passes.count == 0
    check(side, X, target)


def test_input_times_gradient_runs_where_nobody_asks_for_the_gradient(runs: list[str]) -> None:
    side = open_model_under_test(DIGITS, ["input-x-gradient"], threads=1)
    check(side, X)
    assert set(runs) == {"input-x-gradient"}


def test_several_inputs() -> None:
    a, b = (ir.val(name, ir.DataType.FLOAT, ["batch", 3]) for name in "ab")
    product, y = ir.val("ab", ir.DataType.FLOAT, ["batch", 3]), ir.val("y", ir.DataType.FLOAT, ["batch", 3])
    nodes = [ir.node("Mul", [a, b], outputs=[product]), ir.node("Softmax", [product], outputs=[y])]
    graph = ir.Graph([a, b], [y], nodes=nodes, opset_imports={"": 18}, name="product")
    model = onnxray.load(ir.to_proto(ir.Model(graph, ir_version=10)))
    side = open_model_under_test(model, ["saliency", "input-x-gradient", "integrated-gradients"], threads=1)
    check(side, {"a": np.array([[1, 2, 3]], np.float32), "b": np.array([[3, 2, -1]], np.float32)})


@pytest.mark.slow
@pytest.mark.skipif(not QDQ.is_file(), reason="the real int8 classifier of shared/data is not here")
def test_an_int8_model_answers_as_it_is_deployed() -> None:
    side = open_model_under_test(QDQ, ["saliency", "input-x-gradient"], threads=1)
    x = np.random.default_rng(0).standard_normal((1, 3, 244, 244)).astype(np.float32)
    found = side.evidence(side.prepared(x))
    session = open_session(str(QDQ), threads=1)
    np.testing.assert_array_equal(found.scores, session.run({str(side.model.inputs[0].name): x}).popitem()[1][0])
    check(side, x)


def test_half_precision_answers_as_it_is_deployed() -> None:
    half = convert_float_to_float16(onnx.load(DIGITS), keep_io_types=True)
    side = open_model_under_test(half, ["saliency"], threads=1)
    found, session = side.evidence(side.prepared(X)), open_session(half, threads=1)
    assert side.rounds
    assert not open_model_under_test(DIGITS, ["saliency"]).rounds
    np.testing.assert_array_equal(found.scores, session.run({"image": X}).popitem()[1][0])


def test_the_outputs_that_an_attribution_comes_with() -> None:
    x = digits().unseen[:5, None].astype(np.float32) / 255
    for method in ("saliency", "integrated-gradients"):
        explainer = Explainer(DIGITS, method, memory=1)  # one row at a time
        found, outputs = explainer.with_outputs(x, 3)
        np.testing.assert_array_equal(found.values, explainer(x, 3).values)
        (name, scores), *_ = outputs.items()
        np.testing.assert_allclose(scores, open_session(str(DIGITS)).run({"image": x})[name], atol=1e-5)


def test_grad_cam_takes_the_layer_that_is_named_so() -> None:
    model = onnxray.load(DIGITS)
    layer = default_layer(model)
    assert layer == "relu4"
    a, b = (Explainer(model, "grad-cam", layer=name, threads=1)(X).values for name in (layer, None))
    np.testing.assert_array_equal(a, b)
    assert same_layer(model, "relu4", model) == same_layer(model, "relu4") == "relu4"
    assert same_layer(model, "conv1", model) is None  # its map has another size than that of relu4
    assert same_layer(model, "conv9") is None
    assert same_layer(onnxray.load(models.path("breast_cancer.onnx")), "conv4", model) is None
