"""DeformConv decomposed gives the same numbers, and has a gradient with respect to everything that it reads."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from differences import run_on_runtime
from gradcheck import normal
from onnxray.autodiff.expand_functions import expand_functions
from onnxray.gradient_graph import differentiate
from onnxray.loading.load import load

# The attributes, then the shapes of x, w and the output's image, the number of offset groups, and whether more is fed.
CASES = {
    "plain": ("", (2, 3, 6, 7), (4, 3, 3, 3), (4, 5), 1, False),
    "strides": (
        "strides = [2, 1], pads = [1, 0, 1, 2], dilations = [1, 2]",
        (1, 2, 6, 7),
        (4, 2, 3, 2),
        (3, 7),
        1,
        True,
    ),
    "groups": ("group = 2, offset_group = 2", (1, 4, 5, 5), (6, 2, 2, 2), (4, 4), 2, True),
}


def net(name: str) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    attributes, x, w, out, parts, more = CASES[name]
    taps = w[2] * w[3] * parts
    feeds = {"x": normal(*x), "w": normal(*w), "o": 0.3 * normal(x[0], 2 * taps, *out) + 0.4}
    feeds |= {"b": normal(w[0]), "m": normal(x[0], taps, *out)} if more else {}
    inputs = ", ".join(f"float[{', '.join(map(str, a.shape))}] {key}" for key, a in feeds.items())
    call = f"y = DeformConv <{attributes}> ({', '.join(feeds)})".replace(" <>", "")
    text = f'<ir_version: 10, opset_import: ["" : 19]> net ({inputs}) => (float[N, M, H, W] y) {{ {call} }}'
    return onnx.parser.parse_model(text), feeds


@pytest.mark.parametrize("name", CASES)
def test_before_and_after(name: str) -> None:
    model, feeds = net(name)
    program = load(model).copy()
    expand_functions(program, ["y"], ["x"])
    assert "DeformConv" not in {node.op_type for node in program.graph}
    before, after = (run_on_runtime(m, feeds)["y"] for m in (model, program.proto()))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", CASES)
def test_it_is_linear_in_image_weights_mask_and_bias(name: str) -> None:
    model, feeds = net(name)
    y = run_on_runtime(model, feeds)["y"]
    dy, free = normal(*y.shape, seed=3), y - (feeds["b"].reshape(1, -1, 1, 1) if "b" in feeds else 0)
    graph = differentiate(model)
    results = run_on_runtime(graph.model, {**feeds, graph.seeds["y"]: dy})
    for key in {"x", "w", "m"} & feeds.keys():
        found = np.sum(results[graph.gradients[key]] * feeds[key])
        assert found == pytest.approx(np.sum(dy * free), rel=1e-3)
    assert np.count_nonzero(results[graph.gradients["o"]])
