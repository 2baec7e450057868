"""Every rule in half precision, of which the gradient is taken in float32: valid graphs in both kinds of it, and
float64's numbers.

test_rules.py has float64 and float32. Of bfloat16 onnxruntime's CPU has next to no kernels; but the gradient reads the
float32 shadow of the forward pass, so that it runs there without the forward pass as shipped.
"""

from __future__ import annotations

from dataclasses import replace

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from cases import CASES, daily
from differences import run_on_runtime
from gradcheck import FLOAT32_TOLERANCE, Case
from measures import distance
from onnx_ir.passes.common import RemoveUnusedNodesPass
from onnxray.gradient_graph import GradientGraph

TOLERANCE = 3e-2  # of the whole graph: a float16 has 11 bits, which a rule may use up several times
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
PAIRS = [
    pytest.param(*param.values, kind, id=f"{param.id}-{kind}", marks=param.marks)
    for kind in KINDS
    for param in daily([case for case, taken in TAKEN if taken == kind])
]


@pytest.mark.parametrize(("case", "kind"), PAIRS)
def test_gradients_are_of_float32_and_those_of_float64(case: Case, kind: str) -> None:
    rounded = replace(case, inputs=[in_kind(x, kind) for x in case.inputs])
    graph = rounded.gradient(KINDS[kind])
    onnx.checker.check_model(graph.model, full_check=True)
    kinds = {output.name: output.type.tensor_type.elem_type for output in graph.model.graph.output}
    assert {kinds[name] for name in graph.gradients.values()} == {onnx.TensorProto.FLOAT}
    seeds = {graph.seeds[y]: w for y, w in rounded.cotangents.items()}
    found = run_on_runtime(gradients_alone(graph), {**rounded.feeds(KINDS[kind]), **seeds})
    for x, name in graph.gradients.items():
        expected = rounded.expected[x]
        error = distance(found[name], expected, least=1e-6)
        assert error <= FLOAT32_TOLERANCE, f"{case} {x}: relative error {error}"


def in_kind(x: np.ndarray | None, kind: str) -> np.ndarray | None:
    """Floats, in float64, that the type can stand for."""
    return x if x is None or x.dtype != np.float64 else x.astype(KINDS[kind]).astype(np.float64)


def gradients_alone(graph: GradientGraph) -> onnx.ModelProto:
    """The graph without the outputs of the forward pass."""
    program = ir.from_proto(graph.model)
    program.graph.outputs[:] = [value for value in program.graph.outputs if value.name in graph.gradients.values()]
    RemoveUnusedNodesPass()(program)
    return ir.to_proto(program)


def runs(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> bool:
    try:
        return bool(run_on_runtime(model, feeds))
    except Exception:  # noqa: BLE001  onnxruntime raises a dozen types
        return False


@pytest.mark.parametrize("case", daily([case for case, kind in TAKEN if kind == "float16"]))
def test_float16_on_the_runtime(case: Case) -> None:
    feeds = case.feeds(np.float16)
    if not runs(case.model(np.float16), feeds):
        pytest.skip(f"onnxruntime's CPU has no {case.op} of float16")
    graph = case.gradient(np.float16)
    seeds = {graph.seeds[y]: w for y, w in case.cotangents.items()}
    found = run_on_runtime(graph.model, {**feeds, **seeds})
    for x, name in graph.gradients.items():
        expected = case.expected[x]
        error = distance(found[name], expected, least=1e-6)
        assert error <= TOLERANCE, f"{case} {x}: relative error {error}"
