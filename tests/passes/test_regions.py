"""RoiAlign and MaxRoiPool decomposed give onnxruntime's numbers, and the gradient of what they read."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from differences import run_on_runtime
from gradcheck import distinct, normal
from onnxray.autodiff.expand_functions import expand_functions
from onnxray.gradient_graph import differentiate
from onnxray.loading.load import load
from texts import check_text, parsed

# (x1, y1, x2, y2): inside, over the edges, malformed, far outside.
ROIS = np.array([[1.2, 0.7, 5.3, 4.1], [-3.1, 2.2, 4.4, 9.3], [2.9, 3.3, 2.4, 3.6], [20.3, 1.3, 25.7, 2.2]])
BATCH = np.array([0, 1, 1, 0])
FEEDS = {"x": distinct(2, 3, 6, 7), "r": ROIS, "b": BATCH}
SIZE = "output_height = 2, output_width = 3"
ALIGNED = {
    "average": f"{SIZE}, sampling_ratio = 2",
    "average-adaptive": f"{SIZE}, sampling_ratio = 0",
    "average-scaled": f"{SIZE}, sampling_ratio = 3, spatial_scale = 0.5",
    "average-output": f'{SIZE}, sampling_ratio = 2, coordinate_transformation_mode = "output_half_pixel"',
    "max": f'{SIZE}, sampling_ratio = 2, mode = "max"',
    "max-adaptive": f'{SIZE}, mode = "max", coordinate_transformation_mode = "output_half_pixel"',
    "defaults": "",
}
POOLED = {"whole": "pooled_shape = [2, 3]", "scaled": "pooled_shape = [3, 2], spatial_scale = 0.5"}
SHAPES = {"static": "2, 3, 6, 7", "one": "1, 3, 6, 7", "symbolic": "N, C, H, W"}


def aligned(attributes: str, shape: str) -> str:
    call = f"y = RoiAlign <{attributes}> (x, r, b)".replace(" <>", "")
    return f"g (real[{shape}] x, real[R, 4] r, int64[R] b) => (real[R, C, P, Q] y) {{ {call} }}"


def pooled(attributes: str, shape: str) -> str:
    return f"g (real[{shape}] x, real[R, 5] r) => (real[R, C, P, Q] y) {{ y = MaxRoiPool <{attributes}> (x, r) }}"


def fed(shape: str) -> dict[str, np.ndarray]:
    return FEEDS if shape != "one" else {"x": FEEDS["x"][:1], "r": ROIS, "b": np.zeros(4, np.int64)}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ALIGNED)
def test_before_and_after(name: str, shape: str) -> None:
    _same(parsed(aligned(ALIGNED[name], SHAPES[shape])), fed(shape))


@pytest.mark.parametrize("shape", ["static", "symbolic"])
@pytest.mark.parametrize("name", POOLED)
def test_a_pool_before_and_after(name: str, shape: str) -> None:
    rois = np.hstack([BATCH[:, None], ROIS])
    _same(parsed(pooled(POOLED[name], SHAPES[shape])), {"x": FEEDS["x"], "r": rois})


def _same(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> None:
    program = load(model).copy()
    expand_functions(program, ["y"], ["x"])
    assert {"RoiAlign", "MaxRoiPool"} & {node.op_type for node in program.graph} == set()
    before, after = (run_on_runtime(m, feeds)["y"] for m in (model, program.proto()))
    np.testing.assert_allclose(after, before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("name", "shape"), [
    pytest.param(name, shape, marks=() if shape == "symbolic" else pytest.mark.slow)
    for name in ALIGNED for shape in SHAPES
])  # fmt: skip
def test_against_differences(name: str, shape: str) -> None:
    """With respect to the image and to the regions."""
    check_text(aligned(ALIGNED[name], SHAPES[shape]), fed(shape))


@pytest.mark.parametrize("name", POOLED)
def test_a_pool_sends_its_gradient_to_the_largest(name: str) -> None:
    """The reference has no such pool: float32 on onnxruntime, along one direction."""
    feeds = {"x": FEEDS["x"], "r": np.hstack([BATCH[:, None], ROIS])}
    model = parsed(pooled(POOLED[name], SHAPES["symbolic"]))
    y = run_on_runtime(model, feeds)["y"]
    weights, direction = normal(*y.shape, seed=5), normal(*feeds["x"].shape, seed=9)
    graph = differentiate(model, "y", "x")
    found = run_on_runtime(graph.model, {**feeds, graph.seeds["y"]: weights})[graph.gradients["x"]]
    ahead, behind = (run_on_runtime(model, {**feeds, "x": feeds["x"] + s * 1e-2 * direction})["y"] for s in (1, -1))
    assert np.sum(found * direction) == pytest.approx(np.sum(weights * (ahead - behind)) / 2e-2, rel=1e-3)


def test_no_regions_give_no_gradient() -> None:
    graph = differentiate(parsed(aligned(ALIGNED["average-adaptive"], SHAPES["symbolic"])), "y", "x")
    none = {"x": FEEDS["x"], "r": ROIS[:0], "b": BATCH[:0], "seed_y": np.zeros((0, 3, 2, 3))}
    np.testing.assert_array_equal(run_on_runtime(graph.model, none)["grad_x"], np.zeros(FEEDS["x"].shape))
