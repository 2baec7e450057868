"""A square weight that is read in two orientations becomes two constants, and the results stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxray
import onnxruntime as ort
import pytest
from onnx.parser import parse_model
from onnxray.passes.separate_weights import separate_weights

NET = """<ir_version: 8, opset_import: ["" : 18]>
net (float[N, 5, 8] x, float[N, 5, 8] d) => (float[N, 5, 8] y, float[N, 5, 8] z) { y = BODY }"""
BODIES = {
    "matmul": "MatMul(x, w) t = Transpose<perm=[1, 0]>(w) z = MatMul(d, t)",
    "the other first": "MatMul(x, t) u = Transpose<perm=[1, 0]>(w) t = Identity(u) z = MatMul(d, w)",
    "einsum": 'Einsum<equation="abi,ij->abj">(x, w) z = Einsum<equation="abi, ji -> abj">(d, w)',
    "einsum of a transpose": 'MatMul(x, w) t = Transpose(w) z = Einsum<equation="abi,ij->abj">(d, t)',
    "a transpose that moves nothing": (
        "MatMul(x, w) t = Transpose<perm=[0, 1]>(w) u = Transpose<perm=[1, 0]>(t) z = MatMul(d, u)"
    ),
    "moves nothing, then einsum": 'MatMul(x, w) t = Transpose<perm=[0, 1]>(w) z = Einsum<equation="abi,ji->abj">(d, t)',
    "thrice": "MatMul(x, w) t = Transpose<perm=[1, 0]>(w) u = MatMul(d, t) z = MatMul(u, w)",
}
PLAIN = """<ir_version: 8, opset_import: ["" : 18]>
net (float[N, 8] x, float[N, 8] d) => (float[N, 8] y, float[N, 8] z) { BODY }"""
GEMMS = {
    "gemm": "y = MatMul(x, w) z = Gemm<transB=1>(d, w)",
    "gemm first": "y = Gemm<transB=1>(x, w) z = Gemm(d, w)",
    "not turned": "y = Gemm<transB=1>(x, w) t = Transpose<perm=[1, 0]>(w) z = Gemm(d, t)",
}
CASES = {name: NET.replace("y = BODY", f"y = {body}") for name, body in BODIES.items()}
CASES["the other first"] = NET.replace(
    "y = BODY", "u = Transpose<perm=[1, 0]>(w) t = Identity(u) y = MatMul(x, t) z = MatMul(d, w)"
)
CASES |= {name: PLAIN.replace("BODY", body) for name, body in GEMMS.items()}


def made(text: str, size: tuple[int, int] = (8, 8)) -> onnx.ModelProto:
    model = parse_model(text)
    weights = np.random.default_rng(0).standard_normal(size).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    return model


def separated(model: onnx.ModelProto) -> onnx.ModelProto:
    program = ir.from_proto(model)
    separate_weights(program)
    return ir.to_proto(program)


def feeds(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    drawn, rank = np.random.default_rng(1), len(model.graph.input[0].type.tensor_type.shape.dim)
    return {name: drawn.standard_normal((2, 5, 8)[3 - rank :]).astype(np.float32) for name in ("x", "d")}


def results(model: onnx.ModelProto, given: dict[str, np.ndarray]) -> list[Any]:
    return ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, given)


def lifted(model: onnx.ModelProto) -> int:
    return sum(node.op_type == "Unsqueeze" for node in model.graph.node)


@pytest.mark.parametrize("name", CASES)
def test_results_stay(name: str) -> None:
    model = made(CASES[name])
    changed, given = separated(model), feeds(model)
    onnx.checker.check_model(changed, full_check=True)
    for x, y in zip(results(model, given), results(changed, given), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)
    assert lifted(changed) == (0 if name == "not turned" else 1)


def test_weights_that_are_read_alike_or_are_not_square_stay() -> None:
    alike = made(NET.replace("y = BODY", "y = MatMul(x, w) z = MatMul(d, w)"))
    assert lifted(separated(alike)) == 0
    oblong = """<ir_version: 8, opset_import: ["" : 18]>
    net (float[N, 8] x, float[N, 4] d) => (float[N, 4] y, float[N, 8] z) {
      y = MatMul(x, w) z = Gemm<transB=1>(d, w)
    }"""
    assert lifted(separated(made(oblong, (8, 4)))) == 0


@pytest.mark.parametrize("name", CASES)
def test_openvino_computes_both(name: str) -> None:
    openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed")
    model = made(CASES[name])
    given, changed = feeds(model), separated(model)
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(changed.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    found = compiled([given["x"], given["d"]])
    for k, truth in enumerate(results(model, given)):
        np.testing.assert_allclose(found[k], truth, rtol=1e-4, atol=1e-5)


def test_saved_explainers_and_gradient_graphs_have_two_constants() -> None:
    model = made("""<ir_version: 8, opset_import: ["" : 18]>
    net (float[N, 8] x) => (float[N, 8] y) { a = MatMul(x, w) b = Tanh(a) y = MatMul(b, w) }""")
    assert lifted(onnxray.differentiate(model).model) == 2
    exported = ir.to_proto(onnxray.Explainer(model, "saliency").exported())
    assert sum(node.name.endswith("weight1/lifted") for node in exported.graph.node) == 2
