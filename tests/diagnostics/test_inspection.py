"""inspect(): what it says of models that are fine, that stop the gradient, and that nobody can differentiate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper
from onnxray.cli.app import run
from onnxray.diagnostics.inspection import Inspection, inspect
from onnxray.loading.load import load
from onnxray.models import path
from real_files import DATA, daily

needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real models of shared/data are not here")


def chain(*nodes: onnx.NodeProto, out: int = TensorProto.FLOAT, extra: tuple[str, int] = ("", 1)) -> Inspection:
    """A model from x (N, 4) to y through nodes."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])
    y = helper.make_tensor_value_info("y", out, ["N", 4])
    opsets = [helper.make_opsetid("", 18)] + ([helper.make_opsetid(*extra)] if extra[0] else [])
    graph = helper.make_graph(list(nodes), "chain", [x], [y])
    return inspect(load(helper.make_model(graph, opset_imports=opsets, ir_version=8)))


def node(op: str, source: str, target: str, **more: Any) -> onnx.NodeProto:
    return helper.make_node(op, [source], [target], name=f"the {op}", **more)


def test_digits() -> None:
    found = inspect(load(path("digits.onnx")))
    assert [(one.name, one.dtype, one.shape) for one in found.inputs] == [("image", "float", ("batch", 1, 28, 28))]
    assert found.score is not None
    assert (found.score.tensor, found.score.activation) == ("logits", None)
    assert found.gradient.differentiable
    assert found.labels == tuple("0123456789")
    assert found.preprocess is not None
    assert {(one.op, one.overridden) for one in found.activations} == {("Relu", True)}
    assert [one.name for one in found.layers if one.default] == ["relu4"]
    assert found.parameters == sum(
        onnx.numpy_helper.to_array(one).size
        for one in onnx.load(path("digits.onnx")).graph.initializer
        if one.data_type != TensorProto.INT64
    )


def test_the_softmax_is_found_behind_moves() -> None:
    found = chain(node("Exp", "x", "a"), node("Softmax", "a", "b"), node("Identity", "b", "y"))
    assert found.score is not None
    assert found.score.activation is not None
    assert (found.score.logits, found.score.activation.op) == ("a", "Softmax")


def test_what_stops_the_gradient_is_named() -> None:
    found = chain(node("Floor", "x", "y"))
    assert not found.gradient.differentiable
    assert [(one.op, one.node) for one in found.gradient.stops] == [("Floor", "the Floor")]


def test_a_cast_to_integers_stops_it_too() -> None:
    found = chain(node("Cast", "x", "a", to=TensorProto.INT32), node("Cast", "a", "y", to=TensorProto.FLOAT))
    assert not found.gradient.differentiable
    assert found.gradient.stops


def test_a_way_round_is_enough() -> None:
    found = chain(node("Floor", "x", "a"), helper.make_node("Sub", ["x", "a"], ["y"]))
    assert found.gradient.differentiable
    assert [one.op for one in found.gradient.stops] == ["Floor"]


def test_operators_without_a_rule_are_unsupported() -> None:
    found = chain(node("Mystery", "x", "y", domain="com.example"), extra=("com.example", 1))
    assert not found.gradient.differentiable
    assert [one.op for one in found.gradient.unsupported] == ["com.example::Mystery"]


def test_an_index_of_the_largest_stops_it() -> None:
    found = chain(node("Exp", "x", "a"), node("ArgMax", "a", "b", axis=1), node("Cast", "b", "y", to=TensorProto.FLOAT))
    assert not found.gradient.differentiable
    assert [(one.op, one.node) for one in found.gradient.stops] == [("ArgMax", "the ArgMax")]


def test_an_unknown_operator_off_the_way_is_none_of_its_business() -> None:
    found = chain(
        node("Mystery", "x", "a", domain="com.example"),
        node("Floor", "a", "b"),
        helper.make_node("Add", ["x", "b"], ["y"]),
        extra=("com.example", 1),
    )
    assert found.gradient.differentiable
    assert found.gradient.unsupported == ()


def test_why_a_rule_refuses_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]> g (float[N, 3] x) => (float[M, 3] y) {
        n = Constant <value = int64 {2}> () s = SplitToSequence (x, n) y = ConcatFromSequence <axis = 0> (s) }"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "parts.onnx")
    assert run(["inspect", str(tmp_path / "parts.onnx")]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "operator ConcatFromSequence (node '') cannot be differentiated: how many tensors SplitToSequence" in told
    assert "use a black-box method such as occlusion" in told


def test_both_verdicts_on_activations() -> None:
    found = chain(node("Relu", "x", "a"), node("Tanh", "a", "y"))
    assert [(one.op, one.overridden) for one in found.activations] == [("Relu", True), ("Tanh", False)]


def test_a_model_without_scores_is_still_reported() -> None:
    found = chain(node("Cast", "x", "y", to=TensorProto.INT64), out=TensorProto.INT64)
    assert found.score is None
    assert not found.gradient.differentiable


def test_layer_names_can_be_used() -> None:
    model = load(path("digits.onnx"))
    for layer in inspect(model).layers:
        assert model.layer(layer.name).tensor == layer.tensor


def test_json_is_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(path("breast_cancer.onnx")), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert set(told) == set(Inspection.__dataclass_fields__)
    assert told["labels"] == ["malignant", "benign"]
    assert len(told["metadata"]["onnxray.features"]) == 30


def test_text_names_every_activation(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(path("digits.onnx"))]) == 0
    text = capsys.readouterr().out
    assert all(one.node in text for one in inspect(load(path("digits.onnx"))).activations)
    assert "grad-cam's default" in text


@pytest.mark.slow
@needs_data
def test_control_flow_is_no_obstacle() -> None:
    found = inspect(load(DATA / "onnx" / "silero_vad_16k_op15.onnx"))
    assert found.gradient.differentiable
    assert found.gradient.unsupported == ()


@needs_data
@pytest.mark.parametrize("file", daily("iris_Network_winml", "mnist-8", "squeezenet_fp16_winml"))
def test_real_models(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", str(file)]) == 0
    out, err = capsys.readouterr()
    opset = next(entry.version for entry in onnx.load(file).opset_import if not entry.domain)
    assert out.startswith(f"{file}: opset {opset}, ")
    assert {value.name for value in onnx.load(file).graph.output} & set(out.split())
    assert "gradient     reaches the score\n" in out
    assert err == ""
