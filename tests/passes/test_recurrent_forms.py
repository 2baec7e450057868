"""One LSTM as the operator, as a Scan and unrolled, each written for itself: the gradients of all inputs agree."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from differences import run_on_runtime
from gradcheck import normal
from onnxray.gradient_graph import differentiate

TIME, BATCH, WIDTH, HIDDEN = 6, 3, 2, 4
TOLERANCE = 1e-5  # of the largest gradient
FEEDS = {
    "x": normal(TIME, BATCH, WIDTH),
    "w": normal(1, 4 * HIDDEN, WIDTH, seed=1),
    "r": 0.5 * normal(1, 4 * HIDDEN, HIDDEN, seed=2),
    "b": normal(1, 8 * HIDDEN, seed=3),
    "h": normal(1, BATCH, HIDDEN, seed=4),
    "c": normal(1, BATCH, HIDDEN, seed=5),
}
FLAT = """
    w2 = Squeeze (w, zero) r2 = Squeeze (r, zero) b1 = Squeeze (b, zero) h0 = Squeeze (h, zero) c0 = Squeeze (c, zero)
    p, q = Split <num_outputs = 2> (b1)
    bias = Add (p, q)
"""


def step(x: str, h: str, c: str, k: str) -> str:
    """The equations of the standard; gates in the order input, output, forget, cell."""
    return f"""
        xg{k} = Gemm <transB = 1> ({x}, w2, bias) hg{k} = Gemm <transB = 1> ({h}, r2) g{k} = Add (xg{k}, hg{k})
        i{k}, o{k}, f{k}, z{k} = Split <axis = 1, num_outputs = 4> (g{k})
        is{k} = Sigmoid (i{k}) os{k} = Sigmoid (o{k}) fs{k} = Sigmoid (f{k}) zt{k} = Tanh (z{k})
        old{k} = Mul (fs{k}, {c}) new{k} = Mul (is{k}, zt{k}) c{k} = Add (old{k}, new{k})
        ct{k} = Tanh (c{k}) h{k} = Mul (os{k}, ct{k})
    """


def operator(way: str) -> str:
    return f'y, hn, cn = LSTM <hidden_size = {HIDDEN}, direction = "{way}"> (x, w, r, b, , h, c)'


def scan(way: str) -> str:
    turned = int(way == "reverse")
    state = f"float[{BATCH}, {HIDDEN}]"
    return f"""{FLAT}
    hl, cl, ys = Scan <num_scan_inputs = 1, scan_input_directions = [{turned}], scan_output_directions = [{turned}],
        body = each ({state} ha, {state} ca, float[{BATCH}, {WIDTH}] xt) => ({state} hb, {state} cb, {state} yb) {{
            {step("xt", "ha", "ca", "_t")}
            hb = Identity (h_t) cb = Identity (c_t) yb = Identity (h_t)
    }}> (h0, c0, x)
    y = Unsqueeze (ys, one) hn = Unsqueeze (hl, zero) cn = Unsqueeze (cl, zero)"""


def unrolled(way: str) -> str:
    order = list(range(TIME))[:: -1 if way == "reverse" else 1]
    names = ["0", *(f"_{t}" for t in order)]
    takes = {t: f"at{t} = Constant <value = int64 {{{t}}}> () x{t} = Gather (x, at{t})" for t in order}
    steps = "".join(
        takes[t] + step(f"x{t}", f"h{before}", f"c{before}", f"_{t}") for t, before in zip(order, names, strict=False)
    )
    wide = " ".join(f"u{t} = Unsqueeze (h_{t}, both)" for t in range(TIME))
    return f"""{FLAT} {steps} {wide}
    y = Concat <axis = 0> ({", ".join(f"u{t}" for t in range(TIME))})
    hn = Unsqueeze (h{names[-1]}, zero) cn = Unsqueeze (c{names[-1]}, zero)"""


def net(body: str, time: int | str) -> onnx.ModelProto:
    kinds = {name: ", ".join(map(str, x.shape)) for name, x in FEEDS.items()} | {"x": f"{time}, {BATCH}, {WIDTH}"}
    inputs = ", ".join(f"float[{shape}] {name}" for name, shape in kinds.items())
    outputs = f"float[{time}, 1, {BATCH}, {HIDDEN}] y, float[1, {BATCH}, {HIDDEN}] hn, float[1, {BATCH}, {HIDDEN}] cn"
    constants = "<int64[1] zero = {0}, int64[1] one = {1}, int64[2] both = {0, 1}>"
    return onnx.parser.parse_model(
        f'<ir_version: 10, opset_import: ["" : 18]> net ({inputs}) => ({outputs}) {constants} {{ {body} }}'
    )


def gradients(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    """Of everything, with cotangents on the outputs of every step and on both last states; the outputs beside them."""
    graph = differentiate(model)
    shapes = {"y": (TIME, 1, BATCH, HIDDEN), "hn": (1, BATCH, HIDDEN), "cn": (1, BATCH, HIDDEN)}
    seeds = {graph.seeds[y]: normal(*shape, seed=7 + k) for k, (y, shape) in enumerate(shapes.items())}
    results = run_on_runtime(graph.model, {**FEEDS, **seeds})
    return {name: results[graph.gradients.get(name, name)] for name in (*FEEDS, *shapes)}


@pytest.mark.parametrize("time", [TIME, "T"], ids=["static", "symbolic"])
@pytest.mark.parametrize("way", ["forward", "reverse"])
def test_the_three_forms_agree(way: str, time: int | str) -> None:
    exact = gradients(net(unrolled(way), TIME))
    for form in (operator(way), scan(way)):
        found = gradients(net(form, time))
        for name, expected in exact.items():
            assert np.abs(expected).max() > 0
            np.testing.assert_allclose(found[name], expected, rtol=0, atol=TOLERANCE * np.abs(expected).max())
