"""evaluate(): each metric where its value is known, on the digits and on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxray
import pytest
from black_box import ANYWHERE
from held_out import digits
from onnxray import METHODS, Evaluation, InputError, evaluate, models
from onnxray.cli.app import run
from onnxray.gate.metrics.quality import QUALITIES, gini

DIGITS, DIGIT = models.path("digits.onnx"), models.path("digit.png")
HELD = digits()
X = HELD.unseen[:3, None].astype(np.float32) / 255
WEIGHTS = np.array([[3.0, -2.0, 0.5, 0.0], [0.0, 1.0, 0.0, 2.0]], np.float32).T


@pytest.fixture(scope="module")
def linear() -> onnxray.Model:
    """y = x W, of which all is known."""
    x, w = ir.val("x", ir.DataType.FLOAT, ["batch", 4]), ir.val("w", const_value=ir.tensor(WEIGHTS, name="w"))
    y = ir.val("y", ir.DataType.FLOAT, ["batch", 2])
    node = ir.node("MatMul", [x, w], outputs=[y], name="product")
    graph = ir.Graph([x], [y], nodes=[node], initializers=[w], opset_imports={"": 18}, name="linear")
    return onnxray.load(ir.to_proto(ir.Model(graph, ir_version=10)))


@pytest.fixture(scope="module")
def found() -> Evaluation:
    return evaluate(DIGITS, (X, HELD.unseen_labels[:3]), target="label", threads=1, steps=20)


@pytest.mark.slow
def test_a_linear_model_is_explained_without_error(linear: onnxray.Model) -> None:
    """By gradients and by contributions; a map taken for the other kind would foretell other changes of the score."""
    x = np.array([[1.0, 2.0, -1.0, 0.5], [2.0, 1.0, 1.0, 1.0]], np.float32)
    of_the_input = [name for name in ANYWHERE if not METHODS[name].has_layer]
    found = evaluate(linear, x, methods=of_the_input, options={"window": 1, "stride": 1, "ridge": 1e-9})
    for method in set(of_the_input) - {"rise"}:  # whose map is a mean of scores, not a part of one
        assert found.value(method, "infidelity") == pytest.approx(0, abs=1e-6)
    for method in ("input-x-gradient", "integrated-gradients"):
        assert found.value(method, "completeness") == pytest.approx(0, abs=1e-5)
    assert found.value("saliency", "max-sensitivity") == 0
    assert 0 < found.value("input-x-gradient", "max-sensitivity") < 0.05


def test_gini() -> None:
    assert gini(np.ones(50)) == pytest.approx(0)
    assert gini(np.eye(1, 100)) == pytest.approx(0.99)
    values = np.abs(np.random.default_rng(0).normal(size=40))
    pairs = np.abs(values[:, None] - values).sum() / (2 * 40**2 * values.mean())
    assert gini(values) == pytest.approx(pairs)


def test_integrated_gradients_of_digits(found: Evaluation) -> None:
    assert found.value("integrated-gradients", "completeness") < 0.05
    assert found.value("integrated-gradients", "infidelity") < 0.3
    assert found.value("integrated-gradients", "parameter-randomisation") < 0.2
    assert found.value("integrated-gradients", "deletion") < found.value("integrated-gradients", "insertion")
    assert {one.metric for one in found.summary} == set(QUALITIES) - {"pointing-game"}


def test_order_matters(found: Evaluation) -> None:
    """Taking away what the map points at hurts more than a random order would."""
    falls = found.curves["deletion"]["integrated-gradients"]
    assert falls[0] > 0.9
    assert falls[4] < 0.6
    assert len(falls) == 21


def test_pointing_game() -> None:
    boxes = {"digit": [0, 0, 27, 27]}, {"digit": [0, 0, 1, 1]}
    hits = [evaluate(DIGITS, [DIGIT], methods="saliency", metrics="pointing-game", masks=m) for m in boxes]
    assert [one.value("saliency", "pointing-game") for one in hits] == [1, 0]


def test_the_page(found: Evaluation, tmp_path: Path) -> None:
    text = found.report(tmp_path / "new").read_text()
    assert all(
        name in text for name in ("arXiv:1806.07421", "integrated-", "data:image/svg+xml", "label-randomisation")
    )
    assert "<script" not in text


def test_bad_samples_and_arguments() -> None:
    bad = X.copy()
    bad[1] = np.nan
    assert [one.name for one in evaluate(DIGITS, bad, methods="saliency", metrics="sparseness").failed] == ["sample:1"]
    with pytest.raises(InputError, match="none of 3"):
        evaluate(DIGITS, bad * np.nan, methods="saliency")
    with pytest.raises(InputError, match="choose from deletion"):
        evaluate(DIGITS, X, metrics=["magic"])
    with pytest.raises(InputError, match="needs labels"):
        evaluate(DIGITS, X, target="label")


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["-m", "saliency", "-m", "grad-cam", "--metric", "sparseness", "--metric", "deletion"]
    assert run(["evaluate", str(DIGITS), str(DIGIT), *arguments, "--report", str(tmp_path), "--json", "-"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert {one["method"] for one in record["summary"]} == {"saliency", "grad-cam"}
    assert run(["evaluate", str(DIGITS), str(DIGIT), *arguments]) == 0
    assert "sparseness +" in capsys.readouterr().out
    assert run(["evaluate", str(DIGITS), "nowhere"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
