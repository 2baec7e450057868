"""Rules over attributes and shapes that Hypothesis draws; a failure prints the smallest case that it found."""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import onnxruntime as ort
import pytest
from drawn_cases import DRAWN
from gradcheck import FLOAT32_TOLERANCE, Case, away, check_against_differences, check_on_runtime, evaluate, normal, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnxray.errors import OnnxrayError
from onnxray.graph.builder import Lowering

FORMS = st.sampled_from(["none", "batch", "all"])
LOWERINGS = st.sampled_from(get_args(Lowering))


def drawn(op: str, examples: int) -> Callable[[], None]:
    """A test of ``op`` on so many cases, the same ones in every run."""

    @settings(derandomize=True, deadline=None, max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(case=DRAWN[op], symbolic=FORMS, lowering=LOWERINGS)
    def check(case: Case, symbolic: str, lowering: str) -> None:
        check_gradient = check_linear_on_runtime if op == "Resize" else check_on_runtime
        if op != "Resize":
            check_reference_on_runtime(case)
            check_against_differences(case)
        check_gradient(case, "none", lowering)
        if symbolic != "none" and not refused(case, symbolic, lowering):
            check_gradient(case, symbolic, lowering)

    return check


def forward(case: Case, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs on onnxruntime, which optimises nothing."""
    model, options = case.model(np.float32), ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found: Any = session.run(None, feeds)
    return dict(zip([output.name for output in model.graph.output], found, strict=True))


def check_reference_on_runtime(case: Case) -> None:
    """Asserts that the reference, of which the differences are taken, computes what onnxruntime does."""
    expected = evaluate(case.model(np.float64), case.feeds(np.float64))
    for name, found in forward(case, case.feeds(np.float32)).items():
        np.testing.assert_allclose(found, expected[name], 1e-4, 1e-5, err_msg=f"{case} {case.attributes}: forward")


def check_linear_on_runtime(case: Case, symbolic: str, lowering: str) -> None:
    """Asserts <J^T w, v> = <w, J v> for a linear operator of one input, all on onnxruntime.

    For Resize: the reference evaluator places elements by scales that lead to no whole size otherwise than onnxruntime.
    """
    feeds = case.feeds(np.float32)
    moved = forward(case, {**feeds, "x0": normal(*feeds["x0"].shape, seed=11).astype(np.float32)})["y0"]
    w = normal(*moved.shape, seed=7)
    found = run(case.gradient(np.float32, symbolic, lowering=lowering), feeds, {"y0": w})["x0"]
    assert found.shape == feeds["x0"].shape
    direction = normal(*found.shape, seed=11)
    scale = np.linalg.norm(found) * np.linalg.norm(direction) + 1e-3
    assert abs(np.sum(found * direction) - np.sum(w * moved)) <= FLOAT32_TOLERANCE * scale, f"{case} {case.attributes}"


def refused(case: Case, symbolic: str, lowering: str) -> bool:
    """Whether the rule says that it needs a size that is open."""
    try:
        case.gradient(np.float32, symbolic, lowering=lowering)
    except OnnxrayError as error:
        if "known" not in str(error):
            raise
        return True
    return False


@pytest.mark.parametrize("op", DRAWN)
def test_drawn_attributes(op: str) -> None:
    drawn(op, 3)()


@pytest.mark.slow
@pytest.mark.parametrize("op", DRAWN)
def test_many_drawn_attributes(op: str) -> None:
    drawn(op, 30)()


def test_a_resize_that_keeps_its_lengths_is_a_copy() -> None:
    """1.4 times 2 elements are 2: onnxruntime copies them, though by the standard's formula they lie elsewhere."""
    scales = np.array([1, 1, 1.4, 1.2], np.float32)
    check_linear_on_runtime(
        Case("Resize", [normal(1, 2, 2, 3), None, scales], {"mode": "linear"}, constants=[2]), "none", "cpu"
    )


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
def test_ceil_mode_adds_no_window_behind_the_image(op: str) -> None:
    """The standard's inference before opset 22 counts 4 windows over these 5 elements, and 3 are computed."""
    how = {"kernel_shape": [2], "strides": [2], "pads": [1, 1], "ceil_mode": 1}
    case = Case(op, [away(1, 2, 5)], how)
    assert evaluate(case.model(np.float32), case.feeds(np.float32))["y0"].shape == (1, 2, 3)
    check_against_differences(case)
    check_on_runtime(case, "none", "cpu")
