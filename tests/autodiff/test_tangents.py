"""Jacobian-vector and Hessian-vector products: on small nets, for every rule, and on cases of the operator suite."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxray
import pytest
import suite
from cases import CASES, firsts
from differences import run_on_runtime
from gradcheck import Case, evaluate, normal
from tangents import check_hvp, check_jvp, judge_adjoint, products

STEP = 1e-6
PAIR = """<ir_version: 8, opset_import: ["" : 18]>
pair (double[N, 4] a, double[N, 4] b) => (double[N, 3] y, double[N, 4] z)
<double[4, 3] w> { s = Add(a, b) t = Tanh(s) h = MatMul(t, w) y = Softmax(h) z = Mul(a, t) }"""
ENERGY = """<ir_version: 8, opset_import: ["" : 18]>
energy (float[N, 3] x) => (float[N, 1] e)
<float[3, 8] w, float[8, 1] v> { h = MatMul(x, w) s = Sin(h) t = Mul(s, h) e = MatMul(t, v) }"""


def parsed(text: str, **weights: np.ndarray) -> onnx.ModelProto:
    model = onnx.parser.parse_model(text)
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    del model.graph.value_info[:]
    for name, w in weights.items():
        array = w.astype(onnx.helper.tensor_dtype_to_np_dtype(kinds[name]))
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.checker.check_model(model)
    return model


def pair() -> onnx.ModelProto:
    return parsed(PAIR, w=normal(4, 3))


def energy(kind: str = "float") -> onnx.ModelProto:
    return parsed(ENERGY.replace("float[", f"{kind}["), w=normal(3, 8), v=normal(8, 1, seed=1))


# Jacobian-vector products -------------------------------------------------------------------------------------


def test_jvp_is_the_central_difference() -> None:
    model, feeds = pair(), {"a": normal(5, 4), "b": normal(5, 4, seed=1)}
    tangents = {"a": normal(5, 4, seed=2), "b": normal(5, 4, seed=3)}
    graph = onnxray.jvp(model)
    onnx.checker.check_model(graph.model, full_check=True)
    assert graph.tangents == {"a": "tangent_a", "b": "tangent_b"}
    assert graph.products == {"y": "jvp_y", "z": "jvp_z"}
    found = products(graph, feeds, tangents)
    ahead, behind = (evaluate(model, {x: feeds[x] + t * tangents[x] for x in feeds}) for t in (STEP, -STEP))
    for y in ("y", "z"):
        assert np.allclose(found[y], (ahead[y] - behind[y]) / (2 * STEP), rtol=1e-7, atol=1e-8)


def test_jvp_keeps_the_outputs_and_the_open_batch() -> None:
    model = energy()
    graph = onnxray.jvp(model)
    for rows in (1, 4):
        x, u = normal(rows, 3).astype(np.float32), normal(rows, 3, seed=1).astype(np.float32)
        found = run_on_runtime(graph.model, {"x": x, "tangent_x": u})
        assert np.array_equal(found["e"], run_on_runtime(model, {"x": x})["e"])
        back = onnxray.differentiate(model)
        dx = run_on_runtime(back.model, {"x": x, "seed_e": np.ones((rows, 1), np.float32)})["grad_x"]
        assert np.allclose(found["jvp_e"][:, 0], (dx * u).sum(1), rtol=1e-4)


def test_inputs_that_share_a_gradient_have_a_tangent_each() -> None:
    """The gradients of both terms of a sum are one value of the graph."""
    sums = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 18]>
    sums (float[N] a, float[N] b) => (float[N] y) { y = Add(a, b) }""")
    graph = onnxray.jvp(sums)
    feeds = {x: np.zeros(2, np.float32) for x in "ab"}
    tangents = {"tangent_a": np.float32([1, 2]), "tangent_b": np.float32([10, 20])}
    assert run_on_runtime(graph.model, {**feeds, **tangents})["jvp_y"].tolist() == [11, 22]


def test_jvp_with_respect_to_an_inner_tensor_and_a_weight() -> None:
    model, feeds = pair(), {"a": normal(2, 4), "b": normal(2, 4, seed=1)}
    u, v = normal(2, 3, seed=2), normal(4, 3, seed=3)
    y, t = (evaluate(model, feeds)["y"], np.tanh(feeds["a"] + feeds["b"]))
    inner = products(onnxray.jvp(model, "y", "h"), feeds, {"h": u})["y"]
    assert np.allclose(inner, y * (u - (y * u).sum(1, keepdims=True)))
    weight = products(onnxray.jvp(model, "h", "w"), feeds, {"w": v})["h"]
    assert np.allclose(weight, t @ v)


def test_jvp_of_a_quantised_net_is_the_adjoint_of_its_gradient() -> None:
    """Rounding counts as passing on, in both directions."""
    text = """<ir_version: 8, opset_import: ["" : 18]>
    q (float[N, 4] x) => (float[N, 4] y) <float s = {0.05}, uint8 z = {128}>
    { t = Tanh(x) q = QuantizeLinear(t, s, z) d = DequantizeLinear(q, s, z) y = Mul(d, d) }"""
    model, x, u, w = onnx.parser.parse_model(text), normal(3, 4), normal(3, 4, seed=1), normal(3, 4, seed=2)
    ahead, back = onnxray.jvp(model), onnxray.differentiate(model)
    dy = run_on_runtime(ahead.model, {"x": x, "tangent_x": u})["jvp_y"]
    dx = run_on_runtime(back.model, {"x": x, "seed_y": w})["grad_x"]
    assert abs((dy * w).sum() - (dx * u).sum()) <= 1e-5
    assert np.abs(dy).max() > 0.1


def test_jvp_names_what_does_not_depend_on_the_inputs() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]>
    two (float[N, 4] x, float[N, 4] u) => (float[N, 4] y, float[N, 4] z) { y = Exp(x) z = Floor(x) v = Exp(u) }"""
    with pytest.raises(
        onnxray.NoGradientPath, match="'z' depends differentiably on none of 'x'; the path ends at Floor"
    ):
        onnxray.jvp(onnx.parser.parse_model(text), wrt="x")
    with pytest.raises(onnxray.NoGradientPath, match="'u' has no influence on 'y': leave it out"):
        onnxray.jvp(onnx.parser.parse_model(text), "y")


@pytest.mark.parametrize(
    "node",
    ["y = ReduceL2 <keepdims = 0> (x, last)", "y = LpNormalization (x)", 'y = ai.onnx.ml.Normalizer <norm = "L2"> (x)'],
)
def test_a_row_of_zeros_has_no_slope_in_either_direction(node: str) -> None:
    """The kink of a norm counts as flat, as that of Relu does; a division by 0 behind a Where would give NaN."""
    out = "float[N]" if "last" in node else "float[N, 3]"
    model = onnx.parser.parse_model(f"""<ir_version: 8, opset_import: ["" : 18, "ai.onnx.ml" : 3]>
    norms (float[N, 3] x) => ({out} y) <int64[1] last = {{-1}}> {{ {node} }}""")
    x, u = np.float32([[3, 0, 4], [0, 0, 0]]), normal(2, 3)
    dy = run_on_runtime(onnxray.jvp(model).model, {"x": x, "tangent_x": u})["jvp_y"]
    w = normal(*dy.shape, seed=1)
    dx = run_on_runtime(onnxray.differentiate(model).model, {"x": x, "seed_y": w})["grad_x"]
    assert not dy[1].any()
    assert not dx[1].any()
    assert abs((dy * w).sum() - (dx * u).sum()) <= 1e-5


# Hessian-vector products --------------------------------------------------------------------------------------


def hessian_times(graph: onnxray.TangentGraph, x: np.ndarray, u: np.ndarray) -> np.ndarray:
    given = {"x": x, "tangent_x": u, "seed_e": np.ones((len(x), 1))}
    return np.asarray(run_on_runtime(graph.model, given)["hvp_x"], np.float64)


def test_hvp_is_the_difference_of_gradients_and_symmetric() -> None:
    x, u, v = (normal(4, 3, seed=k) for k in range(3))
    graph, back = onnxray.hvp(energy("double")), onnxray.differentiate(energy("double"))
    onnx.checker.check_model(graph.model, full_check=True)
    ones = np.ones((4, 1))
    ahead, behind = (evaluate(back.model, {"x": x + t * u, "seed_e": ones})["grad_x"] for t in (STEP, -STEP))
    hu, hv = (products(graph, {"x": x}, {"x": tangent}, {"e": ones})["x"] for tangent in (u, v))
    assert np.allclose(hu, (ahead - behind) / (2 * STEP), rtol=1e-7, atol=1e-7)
    assert abs((v * hu).sum() - (u * hv).sum()) <= 1e-12 * np.linalg.norm(v) * np.linalg.norm(hu)


def test_differentiating_a_gradient_graph_gives_the_same() -> None:
    x, u = (normal(4, 3, seed=k) for k in range(2))
    first = onnxray.differentiate(energy())
    second = onnxray.differentiate(first.model, of=first.gradients["x"], wrt="x")
    given = {"x": x, first.seeds["e"]: np.ones((4, 1)), second.seeds["grad_x"]: u}
    found = run_on_runtime(second.model, given)[second.gradients["x"]]
    assert np.allclose(found, hessian_times(onnxray.hvp(energy()), x, u), rtol=1e-4, atol=1e-4)


def test_hvp_couples_the_inputs() -> None:
    """Of y = a b^2: rows 2 b u_b and 2 b u_a + 2 a u_b; c, which y is linear in and apart, has a row of zeros."""
    text = """<ir_version: 8, opset_import: ["" : 18]>
    p (float[N] a, float[N] b, float[N] c) => (float[N] y) { q = Mul(b, b) r = Mul(a, q) y = Add(r, c) }"""
    graph = onnxray.hvp(onnx.parser.parse_model(text))
    a, b, ua, ub = (np.float32([k, k + 1]) for k in (2, 3, 5, 7))
    given = {"a": a, "b": b, "c": a, "tangent_a": ua, "tangent_b": ub, "tangent_c": ua, "seed_y": np.ones(2)}
    found = run_on_runtime(graph.model, given)
    assert np.array_equal(found["hvp_a"], 2 * b * ub)
    assert np.array_equal(found["hvp_b"], 2 * b * ua + 2 * a * ub)
    assert found["hvp_c"].tolist() == [0, 0]


def test_hvp_refuses_what_is_linear_everywhere() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]>
    kinks (float[N] x) => (float[N] y) { r = Relu(x) a = Abs(r) y = Add(a, x) }"""
    with pytest.raises(onnxray.NoGradientPath, match="by 'x' is constant: the Hessian is zero everywhere"):
        onnxray.hvp(onnx.parser.parse_model(text))


# Several in one run -------------------------------------------------------------------------------------------


def test_several_seeds_in_one_run() -> None:
    x, seeds = normal(4, 3), normal(5, 4, 1, seed=1)
    graph = onnxray.differentiate(energy())
    several = graph.with_seed_axis()
    onnx.checker.check_model(several.model, full_check=True)
    assert (several.seeds, several.gradients) == (graph.seeds, graph.gradients)
    found = run_on_runtime(several.model, {"x": x, "seed_e": seeds})
    single = [run_on_runtime(graph.model, {"x": x, "seed_e": seed}) for seed in seeds]
    assert np.allclose(found["grad_x"], [one["grad_x"] for one in single], rtol=1e-5, atol=1e-6)
    assert np.array_equal(found["e"], single[0]["e"])
    assert [node.op_type for node in several.model.graph.node].count("Sin") == 1  # the forward pass is not in the Scan


def test_a_graph_of_several_tangents_is_saved(tmp_path: Path) -> None:
    several = onnxray.jvp(energy()).with_tangent_axis()
    given = {"x": normal(4, 3), "tangent_x": normal(5, 4, 3, seed=1)}
    saved = onnx.load(several.save(tmp_path / "jvp.onnx"))
    assert np.array_equal(*(run_on_runtime(model, given)["jvp_e"] for model in (several.model, saved)))


@pytest.mark.parametrize(("make", "name"), [(onnxray.jvp, "jvp_e"), (onnxray.hvp, "hvp_x")])
def test_several_tangents_in_one_run(make: Callable[..., onnxray.TangentGraph], name: str) -> None:
    x, tangents = normal(4, 3), normal(5, 4, 3, seed=1)
    given = {"x": x, "seed_e": np.ones((4, 1))}
    graph = make(energy())
    several = graph.with_tangent_axis()
    found = run_on_runtime(several.model, {**given, "tangent_x": tangents})[name]
    single = [run_on_runtime(graph.model, {**given, "tangent_x": u})[name] for u in tangents]
    assert np.allclose(found, single, rtol=1e-5, atol=1e-5)


def test_a_seed_axis_around_a_loop_and_two_outputs() -> None:
    """The backward pass of a Scan is a Scan itself, inside that over the seeds."""
    text = """<ir_version: 8, opset_import: ["" : 18]>
    sums (float[T, 2] x) => (float[2] last, float[T, 2] all) <float[2] zero = {0, 0}> {
        last, all = Scan <num_scan_inputs = 1, body = step (float[2] s, float[2] a) => (float[2] t, float[2] o)
            { p = Mul(s, a) q = Add(p, a) t = Tanh(q) o = Mul(t, a) }> (zero, x) }"""
    model, x = onnx.parser.parse_model(text), normal(6, 2)
    graph = onnxray.differentiate(model)
    seeds = {"seed_last": normal(3, 2, seed=1), "seed_all": normal(3, 6, 2, seed=2)}
    found = run_on_runtime(graph.with_seed_axis().model, {"x": x, **seeds})["grad_x"]
    for k in range(3):
        one = run_on_runtime(graph.model, {"x": x, **{name: seed[k] for name, seed in seeds.items()}})["grad_x"]
        assert np.allclose(found[k], one, rtol=1e-5, atol=1e-6)


# Every rule, and the suite ------------------------------------------------------------------------------------

FIRST = firsts(CASES)


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if str(c) in FIRST or "zero" in str(c)], ids=str)
def test_every_rule_twice(case: Case) -> None:
    """benchmarks/adjoint.py takes every case, and the whole suite."""
    check_jvp(case)
    check_hvp(case)


@pytest.mark.slow
def test_the_suite(measured: Callable[[str], None]) -> None:
    """Every 25th case; benchmarks/adjoint.py takes all."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        verdicts = [judge_adjoint(case) for case in suite.cases()[::25]]
    print(suite.table(verdicts))
    measured(f"{suite.share(verdicts):.1%} of {len(verdicts)} cases, those that do not count left out")
    assert [v for v in verdicts if v.kind in ("wrong", "fails")] == []
    assert suite.share(verdicts) >= 0.99
