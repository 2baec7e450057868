"""The table of methods: every method of the package gets a row, ranked, or with the reason why it has no rank."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxray
import onnxruntime
import pytest
from cli_tools import DIGITS
from held_out import digits
from onnxray import METHODS, InputError, evaluate
from onnxray.cli.app import run
from onnxray.gate.ranking import FAITHFULNESS, rank_methods, ranked_by, sanity
from onnxray.gate.summary import Summary
from real_files import RECIPES

EIGEN = "fails: blind to the class"
X = digits().unseen[:3, None].astype(np.float32) / 255
QUICK = {"samples": 24, "cells": 4}  # of methods that draw


def model_of(*nodes: ir.Node, x: ir.Value, y: ir.Value, weights: list[ir.Value]) -> onnxray.Model:
    graph = ir.Graph([x], [y], nodes=nodes, initializers=weights, opset_imports={"": 18}, name="net")
    return onnxray.load(ir.to_proto(ir.Model(graph, ir_version=10)))


@pytest.fixture
def product() -> onnxray.Model:
    """y = x W: no layer for a class activation map, no picture."""
    x, y = (ir.val(name, ir.DataType.FLOAT, ["batch", size]) for name, size in (("x", 12), ("y", 2)))
    w = ir.val("w", const_value=ir.tensor(np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32), name="w"))
    return model_of(ir.node("MatMul", [x, w], outputs=[y]), x=x, y=y, weights=[w])


def summary(**values: dict[str, float]) -> list[Summary]:
    return [Summary(m, metric, v, v, v, v, 1) for m, found in values.items() for metric, v in found.items()]


def test_the_best_is_first_and_equals_share_a_rank() -> None:
    found = rank_methods(
        "abcd", FAITHFULNESS, summary(
            a={"insertion": 0.75, "deletion": 0.5}, b={"insertion": 0.9, "deletion": 0.1},
            c={"insertion": 0.5, "deletion": 0.25}, d={"sparseness": 0.5},
        ), {"e": "no layer"},
    )  # fmt: skip
    assert [(one.method, one.rank) for one in found] == [("b", 1), ("a", 2), ("c", 2), ("d", None), ("e", None)]
    assert found[0].score == pytest.approx(0.8)
    assert [one.reason for one in found[2:]] == ["", "insertion - deletion has no value", "no layer"]
    falling = rank_methods("ab", "infidelity", summary(a={"infidelity": 0.5}, b={"infidelity": 0.2}), {})
    assert [one.method for one in falling] == ["b", "a"]
    assert ranked_by(["sparseness", "infidelity"], ["sparseness", "infidelity"]) == "infidelity"
    assert ranked_by(["insertion", "deletion"], []) == FAITHFULNESS
    assert ranked_by(["pointing-game", "sparseness"], ["sparseness"]) == "sparseness"


def test_the_sanity_checks_in_words() -> None:
    passed = {"parameter-randomisation": 0.49, "cascading-randomisation": 0.1, "label-randomisation": 0.89}
    assert sanity(passed) == "passes"
    assert sanity(passed | {"cascading-randomisation": 0.5}) == "fails: blind to the upper layers"
    blind = {"parameter-randomisation": 0.7, "label-randomisation": 1.0}
    assert sanity(blind) == "fails: blind to the weights and the class"
    assert sanity({"deletion": 0.1}) == "not measured"


def test_guided_backprop_fails_and_gradients_pass() -> None:
    """Guided backprop hardly depends on the upper layers (Adebayo et al., 2018); EigenCAM asks for no class."""
    checks = ["parameter-randomisation", "cascading-randomisation", "label-randomisation"]
    methods = ["saliency", "smoothgrad", "guided-backprop", "grad-cam", "eigen-cam"]
    found = evaluate(DIGITS, X, methods=methods, metrics=checks, threads=1)
    said = {one.method: one.sanity for one in found.ranking}
    assert said.pop("guided-backprop").startswith("fails: blind to the upper layers")
    assert said == {"saliency": "passes", "smoothgrad": "passes", "grad-cam": "passes", "eigen-cam": EIGEN}


def test_a_map_of_one_value_passes_no_check(product: onnxray.Model) -> None:
    """Of an input of zeros input times gradient is zero: no place is stronger, and no rank correlation exists."""
    found = evaluate(product, np.zeros((1, 12), np.float32), methods="input-x-gradient", threads=1)
    assert {one.metric for one in found.summary} == {"max-sensitivity", "infidelity", "sparseness"}
    (one,) = found.ranking
    assert (one.rank, one.sanity, one.reason) == (None, "not measured", "insertion - deletion has no value")


def test_all_on_a_model_without_layers(product: onnxray.Model) -> None:
    """Methods that look at a layer get a row with the reason; named alone, such a method is an error as before."""
    x = np.random.default_rng(1).normal(size=(2, 12)).astype(np.float32)
    x[1, 0] = np.nan
    lost: list[object] = []
    found = evaluate(product, x, methods="all", metrics=["deletion", "insertion"], threads=1, options=QUICK,
                     failed=lost.append)  # fmt: skip
    assert {one.method for one in found.ranking} == set(METHODS)
    assert {"grad-cam", "eigen-cam"} <= set(found.unmeasured)
    assert {"saliency", "lime", "occlusion"} <= set(METHODS) - set(found.unmeasured)
    assert "layer" in found.unmeasured["grad-cam"]
    assert [one.name for one in found.failed] == [one.name for one in lost] == ["sample:1"]
    assert set(found.rows[0].maps) == set(METHODS) - set(found.unmeasured)
    record = json.loads(found.json_text())
    assert [one["method"] for one in record["ranking"]] == [one.method for one in found.ranking]
    assert record["ranked_by"] == "insertion - deletion"

    with pytest.raises(onnxray.ModelError, match="layer"):
        evaluate(product, x, methods="grad-cam", threads=1)


@pytest.mark.slow
def test_all_is_each_of_them(product: onnxray.Model) -> None:
    """A method alone gives the numbers that it has among all."""
    x = np.random.default_rng(1).normal(size=(2, 12)).astype(np.float32)
    chosen = {"metrics": ["insertion", "label-randomisation"], "threads": 1}
    every = evaluate(product, x, methods="all", options=QUICK, **chosen)
    for method in ("saliency", "lime", "integrated-gradients"):
        alone = evaluate(product, x, methods=method, options=QUICK if method == "lime" else None, **chosen)
        assert alone.value(method, "insertion") == every.value(method, "insertion")
        assert alone.value(method, "label-randomisation") == every.value(method, "label-randomisation")
        assert alone.curves["insertion"][method] == every.curves["insertion"][method]


def test_what_no_method_can_is_the_first_error(product: onnxray.Model) -> None:
    with pytest.raises(InputError, match="none of 1 samples"):
        evaluate(product, np.full((1, 12), np.nan, np.float32), methods="all", metrics="deletion", threads=1)
    with pytest.raises(InputError, match="has an option 'stepz'"):
        evaluate(product, np.ones((1, 12), np.float32), methods="all", options={"stepz": 3})


@pytest.mark.slow
def test_the_command_prints_a_row_for_each(
    product: onnxray.Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, x, out = tmp_path / "net.onnx", tmp_path / "x.npy", tmp_path / "found.json"
    model.write_bytes(product.proto().SerializeToString())
    np.save(x, np.random.default_rng(1).normal(size=(1, 12)).astype(np.float32))
    call = ["evaluate", str(model), str(x), "-m", "all", "--metric", "sparseness", "--threads", "1", "--json", str(out)]
    assert run([*call, "--option", "samples=24", "--option", "cells=4"]) == 0
    lines, record = capsys.readouterr().out.splitlines(), json.loads(out.read_text())
    named = {one["method"]: (str(one["rank"] or ""), one["reason"] or one["sanity"]) for one in record["ranking"]}
    assert set(named) == set(METHODS)
    for line, (method, (rank, words)) in zip(lines[-len(named) - 1 : -1], named.items(), strict=True):
        assert line.split()[: 2 if rank else 1] == ([rank, method] if rank else [method])
        assert line.endswith(words)


@pytest.mark.slow
def test_the_int8_classifier(data: Callable[[str], Path]) -> None:
    """Insertion minus deletion ranks the methods of a real net, each once."""
    methods = ["saliency", "integrated-gradients", "grad-cam", "guided-backprop", "deconvnet"]
    model = data("onnx/mobilenetv2like_qdq_244.onnx")
    found = evaluate(model, [data("images/owl.jpg")], methods=methods, metrics=["insertion", "deletion"],
                     preprocess=RECIPES[model.stem], options={"steps": 4}, threads=1)  # fmt: skip
    assert found.unmeasured == {}
    assert sorted(one.method for one in found.ranking) == sorted(methods)
    differences = [one.values["insertion"] - one.values["deletion"] for one in found.ranking]
    assert differences == sorted(differences, reverse=True)
    assert len(set(differences)) > 1


def test_methods_share_the_forward_session(product: onnxray.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deletion runs the model as it is, whose only output is y: in one session for all methods."""
    names = ("saliency", "occlusion", "feature-ablation")
    monkeypatch.setattr("onnxray.gate.evaluation.METHODS", dict.fromkeys(names))
    real, opened = onnxruntime.InferenceSession.__init__, []

    def counted(self: onnxruntime.InferenceSession, *given: Any, **named: Any) -> None:
        real(self, *given, **named)
        opened.append([one.name for one in self.get_outputs()])

    monkeypatch.setattr(onnxruntime.InferenceSession, "__init__", counted)
    found = evaluate(product, np.ones((1, 12), np.float32), methods="all", metrics="deletion", threads=1)
    assert set(found.rows[0].maps) == set(names)
    assert opened.count(["y"]) == 1


def test_no_method_is_one_line() -> None:
    with pytest.raises(InputError, match="name one or more"):
        evaluate(DIGITS, X, methods=[])
