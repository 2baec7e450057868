"""Rules of one's own: an Overlay, or rules by operator, in the place of a Relu policy's name."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
import onnxray
import pytest
from by_hand import CONV, DENSE, TOLERANCE, model, normal
from measures import distance
from onnxray.autodiff.overlays import OVERLAYS
from onnxray.autodiff.registry import Rule, as_rule


def halved(g: Any, node: Any, dy: Any) -> Any:
    return g.Mul(dy, 0.5)


def half_relu(x: np.ndarray, k: int) -> np.ndarray:
    """The gradient of DENSE if a Relu sent back half of what arrives, wherever it is."""
    return np.broadcast_to(0.5 * DENSE.weights["B"][:, k], DENSE.hidden_of(x).shape) @ DENSE.weights["A"].T


@pytest.mark.parametrize(
    "rules", [{"Relu": halved}, onnxray.Overlay("half", {"Relu": halved})], ids=["dict", "overlay"]
)
def test_a_rule_of_ones_own(rules: Any) -> None:
    x = DENSE.x()
    found = onnxray.explain(DENSE.proto(), x, target=2, rules=rules)
    assert distance(found.values, half_relu(x, 2)) <= TOLERANCE
    assert found.provenance["rules"] == ("half" if isinstance(rules, onnxray.Overlay) else "rules")


def test_methods_of_many_points_take_it_too() -> None:
    x = DENSE.x()
    found = onnxray.explain(DENSE.proto(), x, "integrated-gradients", target=2, steps=3, rules={"Relu": halved})
    assert distance(found.values, x * half_relu(x, 2)) <= TOLERANCE


def test_differentiate_takes_it_as_relu_and_as_rules() -> None:
    made = onnxray.differentiate(DENSE.proto(), relu={"Relu": halved})
    other = onnxray.differentiate(DENSE.proto(), rules=onnxray.Overlay("half", {"Relu": halved}), relu="guided")
    assert (made.relu, other.relu) == ("rules", "half, guided")
    assert [str(one) for one in made.activations] == ["Relu relu: overridden"]


def test_rules_lie_over_those_of_the_method() -> None:
    """The dense layer's rule is replaced; the Relu keeps that of guided backprop."""
    x = DENSE.x()
    rules = onnxray.Overlay("first", {"Gemm": halved_gemm}, applies=lambda node: node.name == "first")
    found = onnxray.explain(DENSE.proto(), x, "guided-backprop", target=1, rules=rules)
    assert distance(found.values, 0.5 * DENSE.gradient(x, 1, "guided")) <= TOLERANCE


def halved_gemm(g: Any, node: Any, dy: Any) -> Any:
    return [g.MatMul(g.Mul(dy, 0.5), g.Transpose(node.inputs[1], perm=[1, 0])), None, None]


class ByName(onnxray.Overlay):
    def rule(self, node: ir.Node) -> Rule | None:
        return as_rule(lambda g, node, dy: g.Neg(dy)) if node.name == "relu" else None


def test_a_subclass_chooses_by_the_node() -> None:
    x = CONV.x()
    found = onnxray.explain(CONV.proto(), x, target=0, rules=ByName("by name"))
    assert distance(found.values, -CONV_without_kink(x, 0)) <= TOLERANCE


def CONV_without_kink(x: np.ndarray, k: int) -> np.ndarray:
    free = onnxray.explain(CONV.proto(), x, target=k, rules={"Relu": lambda g, node, dy: dy})
    return np.asarray(free.values)


def test_a_rule_of_several_nodes() -> None:
    """The rule of the second node gives the gradient of what the first reads, and the first is left out."""
    net = model("net (float[N, 4] x) => (float[N, 4] y) { a = Exp(x)  y = Sin(a) }")
    rules = {"Sin": lambda g, node, dy: {node.inputs[0].producer().inputs[0]: g.Mul(dy, 3.0)}}
    made = onnxray.explain(net, normal(2, 4), target=1, rules=rules)
    np.testing.assert_array_equal(made.values, np.float32(3) * np.eye(4, dtype=np.float32)[[1, 1]])


def test_a_gradient_straight_through_what_has_none() -> None:
    net = model("net (float[N, 4] x) => (float[N, 4] y) { a = Round(x)  y = Mul(a, a) }")
    x = normal(2, 4) * 3
    with pytest.raises(onnxray.NoGradientPath, match="Round"):
        onnxray.explain(net, x, target=1)
    found = onnxray.explain(net, x, target=1, rules={"Round": lambda g, node, dy: dy})
    np.testing.assert_allclose(found.values, 2 * np.round(x) * np.eye(4)[[1, 1]])


def test_behind_a_function_without_a_rule() -> None:
    """Shrink is expanded though Round, behind it, has a gradient by the overlay alone."""
    net = model("net (float[N, 4] x) => (float[N, 4] y) { s = Shrink<lambd=0.1>(x)  a = Round(s)  y = Mul(a, a) }")
    x = normal(2, 4) * 3
    found = onnxray.explain(net, x, target=1, rules={"Round": lambda g, node, dy: dy})
    truth = 2 * np.round(np.where(np.abs(x) > 0.1, x, 0)) * (np.abs(x) > 0.1) * np.eye(4)[[1, 1]]
    np.testing.assert_allclose(found.values, truth)


def test_a_rule_for_an_operator_that_would_be_expanded() -> None:
    net = model("net (float[N, 4] x) => (float[N, 4] y) { y = Shrink<lambd=0.1>(x) }")
    found = onnxray.explain(net, normal(2, 4), target=1, rules={"Shrink": lambda g, node, dy: g.Mul(dy, 5.0)})
    np.testing.assert_array_equal(found.values, 5 * np.eye(4, dtype=np.float32)[[1, 1]])


def test_a_map_that_rules_blank_says_so() -> None:
    with pytest.warns(UserWarning, match="is zero everywhere: rules= let no gradient through"):
        onnxray.explain(DENSE.proto(), DENSE.x(), target=2, rules={"Relu": lambda g, node, dy: g.Mul(dy, 0.0)})


class Plainly(onnxray.Overlay):
    def rule(self, node: ir.Node) -> Any:
        return halved if node.op_type == "Relu" else None


def test_a_subclass_may_give_a_plain_function() -> None:
    x = DENSE.x()
    found = onnxray.explain(DENSE.proto(), x, target=2, rules=Plainly("plain"))
    assert distance(found.values, half_relu(x, 2)) <= TOLERANCE


def test_a_node_in_a_branch_is_met(recwarn: pytest.WarningsRecorder) -> None:
    net = model(
        """net (float[N, 3] x) => (float[N, 3] y) {
            yes = Constant<value = bool {1}>()
            y = If(yes) <then_branch = up () => (float[N, 3] a) { a = Relu(x) },
                         else_branch = down () => (float[N, 3] b) { b = Neg(x) }>
        }"""
    )
    onnxray.explain(net, np.abs(normal(2, 3)), target=1, rules={"Relu": halved})
    assert [str(one.message) for one in recwarn if "no node between" in str(one.message)] == []


def test_a_saved_explainer_keeps_it(tmp_path: Any) -> None:
    import onnxruntime

    x, explainer = DENSE.x(), onnxray.Explainer(DENSE.proto(), rules={"Relu": halved})
    session = onnxruntime.InferenceSession(explainer.save(tmp_path / "e.onnx"), providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map["onnxray.rules"] == "rules"
    (found,) = session.run(["attribution"], {"x": x, "target": np.array([2, 2, 2])})
    assert distance(found, half_relu(x, 2)) <= TOLERANCE


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"Relo": halved}, "rules: ONNX has no operator 'Relo'; did you mean 'Relu'?"),
        ({"If": halved}, "operator If holds subgraphs"),
        ({"Relu": 3}, "the rule for Relu is of type int: give a function rule"),
        ("gided", "no overlay 'gided'; did you mean 'guided'?"),
        (7, f"rules of type int: give one of {', '.join(OVERLAYS)}, an onnxray.Overlay"),
    ],
)
def test_what_is_no_rule_is_refused_by_name(rules: Any, said: str) -> None:
    with pytest.raises(onnxray.InputError, match=said):
        onnxray.explain(DENSE.proto(), DENSE.x(), rules=rules)
    with pytest.raises(onnxray.InputError, match=said):
        onnxray.differentiate(DENSE.proto(), relu=rules)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (lambda g, node, dy: [dy, dy], "gives 2 gradients for 1 inputs"),
        (lambda g, node, dy: [1.5], "gives a float where a value that g emitted"),
        (lambda g, node, dy: g.ReduceSum(dy, [1]), "gives a gradient of shape"),
        (lambda g, node, dy: g.Concat(dy, dy, axis=1), "gives a gradient of shape"),
    ],
)
def test_a_rule_that_gives_no_gradient_is_told_from_a_failure(rule: Any, said: str) -> None:
    with pytest.raises(onnxray.UnsupportedOperator, match=f"operator Relu .*the overlay's rule {said}"):
        onnxray.explain(DENSE.proto(), DENSE.x(), rules={"Relu": rule})


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"MatMul": lambda g, node, dy: [dy, None]}, "gives a gradient of shape"),
        ({"Add": lambda g, node, dy: dy}, "gives 1 gradients for 2 inputs; give one each, None for zero"),
    ],
)
def test_a_rule_that_leaves_an_input_out_or_has_its_shape_wrong(rules: Any, said: str) -> None:
    text = "net (float[N, 6] x) => (float[N, 4] y) { p = MatMul(x, A)  s = Sin(p)  y = Add(p, s) }"
    net = model(text, {"A": normal(6, 4)})
    with pytest.raises(onnxray.UnsupportedOperator, match=f"the overlay's rule {said}"):
        onnxray.explain(net, normal(2, 6), target=1, rules=rules)


def test_a_method_without_a_gradient_takes_none() -> None:
    with pytest.raises(onnxray.InputError, match="'occlusion' takes no gradient, so that rules= would change nothing"):
        onnxray.explain(DENSE.proto(), DENSE.x(), "occlusion", rules={"Relu": halved})


def test_a_rule_that_meets_no_node_is_told() -> None:
    with pytest.warns(UserWarning, match="no node between input and score has a rule of 'rules': the map is that of"):
        found = onnxray.explain(DENSE.proto(), DENSE.x(), target=2, rules={"Sigmoid": halved})
    assert distance(found.values, DENSE.gradient(DENSE.x(), 2)) <= TOLERANCE
