"""Large weights of dense layers: sessions read them where the model holds them, and keep no copy in another order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxray
import pytest
from by_hand import model, normal
from onnxray.attribution import memory
from onnxray.graph import dense_layers

INPUTS, HIDDEN = 2048, 16
LARGE = 4 * INPUTS * HIDDEN  # bytes
WEIGHTS = {"W": normal(INPUTS, HIDDEN) / 45, "V": normal(HIDDEN, 3)}
TAIL = "r = Relu(h) y = MatMul(r, V)"
GEMM = f"net (float[N, {INPUTS}] x) => (float[N, 3] y) {{ h = Gemm(x, W) {TAIL} }}"
MATMUL = f"net (float[N, {INPUTS}] x) => (float[N, 3] y) {{ h = MatMul(x, W) {TAIL} }}"
TURNED = f"net (float[N, {INPUTS}] x) => (float[N, 3] y) {{ h = Gemm<transB = 1>(x, W) {TAIL} }}"
READ = f"""net (float[N, {INPUTS}] x) => (float[N, 3] y) {{
    v = Neg(W) g = MatMul(x, v) k = MatMul(x, W) h = Sub(k, g) {TAIL}
}}"""
PLACES = f"net (float[N, 2, {INPUTS}] x) => (float[N, 2, 3] y) {{ h = MatMul(x, W) {TAIL} }}"


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    """Weights of 128 KB are large, and a row of some kilobytes fills a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense_layers, "_LARGE", LARGE)
        patch.setattr(memory, "CACHE", 1)
        yield


def explainer(text: str, **options: Any) -> onnxray.Explainer:
    given = {name: np.ascontiguousarray(w.T) if text == TURNED and name == "W" else w for name, w in WEIGHTS.items()}
    return onnxray.Explainer(model(text, given), threads=1, **options)


@pytest.mark.parametrize("text", [GEMM, MATMUL, TURNED])
def test_a_dense_layer_there_and_back_reads_the_weights_of_the_model(text: str) -> None:
    one, x = explainer(text), normal(3, INPUTS)
    (opened,) = one._runs.plans
    assert opened.graph.in_place == set(opened.session.fed) == {"W"}
    held = one.model.graph.initializers["W"].const_value
    assert held is not None
    assert np.shares_memory(opened.session.fed["W"], held.numpy())
    assert set(opened.session.input_shapes) == {"x", "target"}
    found = one(x, target=1).values
    np.testing.assert_allclose(
        found, (x @ WEIGHTS["W"] > 0) * WEIGHTS["V"][:, 1] @ WEIGHTS["W"].T, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_array_equal(found, np.concatenate([one(row[None], target=1).values for row in x]))


def test_weights_beside_the_file_are_mapped_and_not_copied(tmp_path: Path) -> None:
    file, x = tmp_path / "model.onnx", normal(2, INPUTS)
    onnx.save(model(GEMM, WEIGHTS), file, save_as_external_data=True, location="weights", size_threshold=0)
    beside = onnxray.Explainer(file, threads=1)
    (opened,) = beside._runs.plans
    held = beside.model.graph.initializers["W"].const_value
    assert isinstance(held, ir.ExternalTensor)
    assert np.shares_memory(opened.session.fed["W"], held.numpy())
    np.testing.assert_array_equal(beside(x, target=1).values, explainer(GEMM)(x, target=1).values)


def test_a_copy_that_is_not_there_counts_neither_for_a_budget_nor_for_the_rows() -> None:
    (lean,) = explainer(GEMM).plans
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense_layers, "_LARGE", LARGE + 1)
        (packed,) = explainer(GEMM).plans
    assert packed.in_place == frozenset()
    assert packed.held_bytes - lean.held_bytes == packed.weight_bytes - lean.weight_bytes == LARGE


@pytest.mark.parametrize(
    ("text", "method", "target"),
    [(READ, "saliency", 1), (PLACES, "saliency", (0, 1)), (GEMM, "integrated-gradients", 1), (GEMM, "occlusion", 1)],
    ids=["computed with", "many rows", "many points", "forward alone"],
)
def test_others_are_given_to_the_runtime_to_pack(text: str, method: str, target: Any) -> None:
    one = explainer(text, method=method)
    one(normal(1, *([2, INPUTS] if text == PLACES else [INPUTS])), target=target)
    assert [plan.in_place for plan in one.plans] == [frozenset()]


def test_a_run_of_several_rows_in_the_cache_packs_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "CACHE", 2**26)
    (plan,) = explainer(GEMM).plans
    assert not plan.in_place


def test_another_provider_gets_constants() -> None:
    one = explainer(GEMM)
    plan = one._runs.open_plan("cuda")
    assert not plan.in_place
    assert not one._runs.open_plan().in_place  # what is saved
