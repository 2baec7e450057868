"""The functions beside explain: jacobian, activations and differentiate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import onnxruntime
import pytest
from by_hand import CONV, DENSE, TOLERANCE, Array, ByHand, label, normal
from measures import distance
from onnxray.attribution.activations import LayerReader
from onnxray.autodiff.composites import COMPOSITES
from onnxray.autodiff.overlays import OVERLAYS
from onnxray.backends import BUILDERS
from onnxray.data.batch import Prepared
from onnxray.explainer.explanation_runs import ExplanationRuns
from onnxray.gate.comparison import HARDLY_OF_WEIGHTS
from onnxray.training.patch import POLICIES, has_patch


@pytest.mark.parametrize("by_hand", [DENSE, CONV], ids=label)
def test_jacobian(by_hand: ByHand) -> None:
    x = by_hand.x()
    found = onnxray.jacobian(by_hand.proto(), x)
    assert distance(found, np.stack([by_hand.gradient(x, k) for k in range(4)], 1)) <= TOLERANCE


@pytest.mark.parametrize(("memory", "classes"), [("1GB", [4]), (1, [1, 1, 1, 1])])
def test_jacobian_has_as_many_classes_at_a_time_as_memory_allows(
    memory: str | int, classes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither do the inputs of all classes lie in memory at once."""
    counts, run = [], ExplanationRuns.run

    def counted(runs: ExplanationRuns, given: Prepared, target: Any) -> Any:
        counts.append(given.batch.examples)
        return run(runs, given, target)

    monkeypatch.setattr(ExplanationRuns, "run", counted)
    x = CONV.x(3)
    found = onnxray.jacobian(CONV.proto(), x, memory=memory)
    assert counts == [len(x) * some for some in classes]
    assert distance(found, np.stack([CONV.gradient(x, k) for k in range(4)], 1)) <= TOLERANCE


def test_jacobian_of_several_inputs() -> None:
    """y = (a head)(b head), elementwise, b with its examples along axis 1."""
    text = """<ir_version: 8, opset_import: ["" : 18]>
    net (float[N, 4] a, float[4, N] b) => (float[N, 3] y)
    { p = MatMul(a, w) t = Transpose(b) q = MatMul(t, w) y = Mul(p, q) }"""
    proto, w = onnx.parser.parse_model(text), np.random.default_rng(3).normal(size=(4, 3)).astype(np.float32)
    proto.graph.initializer.append(onnx.numpy_helper.from_array(w, "w"))
    a, b = (np.random.default_rng(k).normal(size=(5, 4)).astype(np.float32) for k in (1, 2))
    found = onnxray.jacobian(proto, {"a": a, "b": b.T})
    assert list(found) == ["a", "b"]
    assert distance(found["a"], np.einsum("nc,fc->ncf", b @ w, w)) <= TOLERANCE
    assert distance(found["b"], np.einsum("nc,fc->ncf", a @ w, w)) <= TOLERANCE


def test_jacobian_wants_examples_to_be_counted() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]>
    net (float[N, 4] a, float[4] b) => (float[N, 4] y) { y = Mul(a, b) }"""
    given = {"a": np.ones((2, 4), np.float32), "b": np.ones(4, np.float32)}
    with pytest.raises(onnxray.InputError, match="an axis that counts examples, which 'b' has not"):
        onnxray.jacobian(onnx.parser.parse_model(text), given)


def test_layers_are_read_in_one_session() -> None:
    reader, x = LayerReader(CONV.proto(), "conv"), CONV.x(3)
    session = reader.session
    for rows in (x, x[:1]):
        assert distance(reader(rows)["conv"], CONV.hidden_of(rows)) <= TOLERANCE
    assert reader.session is session


@pytest.mark.parametrize("batch", ["N", 2])
def test_activations(batch: str | int) -> None:
    x, names = CONV.x(5), ["conv", "r", "head"]
    found = onnxray.activations(CONV.proto(batch), x, names)
    assert list(found) == names
    h = CONV.hidden_of(x)
    for name, truth in zip(names, (h, np.maximum(h, 0), CONV.scores(x)), strict=True):
        assert distance(found[name], truth) <= TOLERANCE


def run(graph: onnxray.GradientGraph, **feeds: Array) -> dict[str, Array]:
    onnx.checker.check_model(graph.model, full_check=True)
    assert {entry.domain for entry in graph.model.opset_import} == {""}
    session = onnxruntime.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])
    results = session.run(list(graph.gradients.values()), feeds)
    return dict(zip(graph.gradients, (np.asarray(result) for result in results), strict=True))


def test_differentiate_with_respect_to_inputs_and_intermediate_tensors() -> None:
    x, seed = CONV.x(), normal(3, 4, seed=2)
    graph = onnxray.differentiate(CONV.proto(), of=["y"], wrt=["x", "h"])
    found = run(graph, x=x, **{graph.seeds["y"]: seed})
    per_class = [(seed[:, k, None, None, None], k) for k in range(4)]
    assert distance(found["x"], np.sum([w * CONV.gradient(x, k) for w, k in per_class], 0)) <= TOLERANCE
    assert distance(found["h"], np.sum([w * CONV.gradient_of_maps(x, k) for w, k in per_class], 0)) <= TOLERANCE


def test_differentiate_of_an_intermediate_tensor() -> None:
    x, seed = DENSE.x(), normal(3, 9, seed=2)
    graph = onnxray.differentiate(DENSE.proto(), of="r", wrt="x")
    found = run(graph, x=x, **{graph.seeds["r"]: seed})
    assert distance(found["x"], ((DENSE.hidden_of(x) > 0) * seed) @ DENSE.weights["A"].T) <= TOLERANCE


def test_a_tensor_that_is_named_twice_counts_once() -> None:
    graph = onnxray.differentiate(DENSE.proto(), of=["y", "y"], wrt=["x", "x"])
    x, seed = DENSE.x(), np.eye(4, dtype=np.float32)[[2, 2, 2]]
    assert [value.name for value in graph.model.graph.input] == ["x", graph.seeds["y"]]
    assert distance(run(graph, x=x, **{graph.seeds["y"]: seed})["x"], DENSE.gradient(x, 2)) <= TOLERANCE


@pytest.mark.parametrize("relu", ["exact", *POLICIES])
def test_differentiate_lists_the_relus(relu: str) -> None:
    x, seed = DENSE.x(), np.eye(4, dtype=np.float32)[[2, 2, 2]]
    graph = onnxray.differentiate(DENSE.proto(), relu=relu)
    found = run(graph, x=x, **{graph.seeds["y"]: seed})
    assert distance(found["x"], DENSE.gradient(x, 2, relu)) <= TOLERANCE
    (activation,) = graph.activations
    assert (activation.node, activation.op, activation.overridden) == ("relu", "Relu", relu != "exact")


def test_every_overlay_is_documented_and_tested() -> None:
    tests = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parents[1].rglob("test_*.py"))
    page = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
    for name, overlay in OVERLAYS.items():
        assert name == overlay.name
        assert f'"{name}"' in (onnxray.differentiate.__doc__ or "")
        assert overlay in COMPOSITES.values() or f'"{name}"' in tests  # test_relevance.py takes every composite
        assert name in ("exact", *POLICIES) or f"`{name.removeprefix('lrp-')}`" in page


def test_every_score_is_public_and_tested() -> None:
    tests = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parents[1].rglob("test_*.py"))
    kinds = {type(score).__name__ for score in onnxray.scores.SCORES.values()}
    assert kinds | {"SCORES", "Score"} == set(onnxray.scores.__all__)
    page = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert [kind for kind in kinds if f"| `{kind}(" not in page] == []
    for name in onnxray.scores.SCORES:
        assert f'"{name}"' in (onnxray.Explainer.save.__doc__ or "")
        assert name == "class" or f'target="{name}"' in tests


def test_every_relu_policy_is_known_to_the_second_builder() -> None:
    assert [name for name, overlay in OVERLAYS.items() if has_patch(overlay)] == list(POLICIES)


def test_every_relu_policy_is_known_to_depend_on_the_weights_or_not() -> None:
    """A map by guided backprop alone shows little of a model (Adebayo et al., 2018): ``compare`` warns of these."""
    depending: set[str] = set()
    assert set(POLICIES) - depending == HARDLY_OF_WEIGHTS


def test_every_relu_policy_and_gradient_builder_is_documented() -> None:
    text = onnxray.differentiate.__doc__ or ""
    assert [name for name in (*OVERLAYS, *BUILDERS) if f'"{name}"' not in text] == []
    assert [name for name in BUILDERS if f'"{name}"' not in (onnxray.Explainer.__doc__ or "")] == []
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    assert [name for name in BUILDERS if name not in page] == []
