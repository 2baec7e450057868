"""Every rule in half precision, of which the gradient is taken in float32: valid graphs in both kinds of it, and
float64's numbers where onnxruntime runs them.

test_rules.py has float64 and float32. In bfloat16 onnxruntime's CPU runs next to nothing: its graphs are checked, and
the numbers of its rules are those of float16.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from cases import CASES
from differences import run_on_runtime
from gradcheck import Case

TOLERANCE = 3e-2  # a float16 has 11 bits, which a rule may use up several times
KINDS = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
INVALID = {"MeanVarianceNormalization": "its body in the standard adds a float32 constant, so that no checker takes it"}


def takes(case: Case, kind: str) -> bool:
    """Whether the standard gives the operator such inputs."""
    if case.domain or case.op in INVALID:
        return False
    inputs = onnx.defs.get_schema(case.op, case.opset, "").inputs
    floats = [k for k, x in enumerate(case.inputs) if x is not None and x.dtype == np.float64]
    return all(f"tensor({kind})" in inputs[min(k, len(inputs) - 1)].types for k in floats)


TAKEN = [(case, kind) for case in CASES for kind in KINDS if takes(case, kind)]


@pytest.mark.parametrize(("case", "kind"), TAKEN, ids=lambda x: str(x))
def test_the_graph_is_valid_and_gradients_are_of_float32(case: Case, kind: str) -> None:
    graph = case.gradient(KINDS[kind])
    onnx.checker.check_model(graph.model, full_check=True)
    kinds = {output.name: output.type.tensor_type.elem_type for output in graph.model.graph.output}
    assert {kinds[name] for name in graph.gradients.values()} == {onnx.TensorProto.FLOAT}


def runs(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> bool:
    try:
        return bool(run_on_runtime(model, feeds))
    except Exception:  # noqa: BLE001  onnxruntime raises a dozen types
        return False


@pytest.mark.parametrize("case", [case for case, kind in TAKEN if kind == "float16"], ids=str)
def test_float16_on_the_runtime(case: Case) -> None:
    feeds = case.feeds(np.float16)
    if not runs(case.model(np.float16), feeds):
        pytest.skip(f"onnxruntime's CPU has no {case.op} of float16")
    graph = case.gradient(np.float16)
    seeds = {graph.seeds[y]: w for y, w in case.cotangents.items()}
    found = run_on_runtime(graph.model, {**feeds, **seeds})
    for x, name in graph.gradients.items():
        expected = case.expected[x]
        error = np.linalg.norm(found[name].astype(np.float64) - expected) / max(np.linalg.norm(expected), 1e-6)
        assert error <= TOLERANCE, f"{case} {x}: relative error {error}"
