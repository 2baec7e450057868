"""Operators without a rule are expanded through the function body that the standard gives them."""

import numpy as np
import onnx
import pytest
from gradcheck import evaluate, normal, reference
from onnxray.autodiff.registry import RULES
from onnxray.errors import UnsupportedOperator
from onnxray.gradient_graph import differentiate
from onnxray.loading.load import load

BODIES = [
    ("Shrink <lambd = 0.3, bias = 0.1>", "Shrink", 18),
    ("Shrink", "Shrink", 18),  # attributes by default
]


@pytest.mark.parametrize(("text", "op", "opset"), BODIES, ids=["given", "default"])
def test_an_operator_without_a_rule_is_expanded(text: str, op: str, opset: int) -> None:
    signature = f'<ir_version: 10, opset_import: ["" : {opset}]> g (double[3,4] x) => (double[3,4] y)'
    model = onnx.parser.parse_model(f"{signature} {{ y = {text} (x) }}")
    assert ("", op) not in RULES
    graph = differentiate(model)
    x, w, v = normal(3, 4), normal(3, 4, seed=1), normal(3, 4, seed=2)
    found = reference(graph, {"x": x}, {"y": w})["x"]
    ahead, behind = evaluate(model, {"x": x + 1e-6 * v})["y"], evaluate(model, {"x": x - 1e-6 * v})["y"]
    assert np.sum(found * v) == pytest.approx(np.sum(w * (ahead - behind)) / 2e-6, rel=1e-6)


def test_the_model_itself_is_not_changed() -> None:
    source = load(onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 18]> g (float[3] x) => (float[3] y) { y = Shrink (x) }'
    ))  # fmt: skip
    differentiate(source)
    assert [node.op_type for node in source.graph] == ["Shrink"]


def test_an_unknown_activation_of_a_fused_operator_is_refused() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 18, "com.microsoft" : 1]>'
        "g (float[1,2,5,5] x, float[3,2,3,3] w) => (float[1,3,3,3] y)"
        '{ y = com.microsoft.FusedConv <activation = "Bend"> (x, w) }'
    )
    with pytest.raises(UnsupportedOperator, match=r"FusedConv .* no activation 'Bend' in the standard"):
        differentiate(model)


@pytest.mark.parametrize("reduction", ["", "max"])
@pytest.mark.parametrize("op", ["NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss"])
def test_unknown_reduction_of_a_loss_is_refused(op: str, reduction: str) -> None:
    """Its body would sum, where onnxruntime takes the mean."""
    model = onnx.parser.parse_model(
        f"""<ir_version: 10, opset_import: ["" : 18]>
        g (float[2, 3] x, int64[2] t) => (float y) {{ y = {op} <reduction = "{reduction}"> (x, t) }}"""
    )
    with pytest.raises(UnsupportedOperator, match=f"{op}.*reduction"):
        differentiate(model)
