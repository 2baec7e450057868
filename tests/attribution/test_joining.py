"""Outputs and layers of several runs: joined along the axis that counts examples, or whole where they count none."""

from __future__ import annotations

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import TOLERANCE, model, normal
from measures import distance

W = normal(4, 3)


def net(batch: object = "N") -> onnx.ModelProto:
    """Scores, the same with a first axis of their own, weights that are as many as examples, and a number."""
    return model(
        f"""net (float[{batch}, 4] x)
            => (float[{batch}, 3] y, float[2, {batch}, 3] steps, float[4, 3] W2, float constant) {{
            y = MatMul(x, W)
            z = Neg(y)
            axis = Constant<value_ints = [0]>()
            y1 = Unsqueeze(y, axis)
            z1 = Unsqueeze(z, axis)
            steps = Concat<axis = 0>(y1, z1)
            W2 = Identity(W)
            constant = ReduceMean<keepdims = 0>(W)
            mean = ReduceMean<keepdims = 0>(x)
        }}""",
        {"W": W},
    )


def check(found: dict[str, np.ndarray], x: np.ndarray) -> None:
    y = x @ W
    assert distance(found["y"], y) <= TOLERANCE
    assert distance(found["steps"], np.stack([y, -y])) <= TOLERANCE
    np.testing.assert_array_equal(found["W2"], W)
    np.testing.assert_allclose(found["constant"], W.mean(), rtol=1e-5)
    assert found["constant"].shape == ()


@pytest.mark.parametrize(("batch", "count"), [("N", 1), ("N", 3), (1, 3), (4, 3), (4, 6), (2, 5)])
def test_layers_of_any_axes(batch: object, count: int) -> None:
    x = normal(count, 4)
    check(onnxray.activations(net(batch), x, ["y", "steps", "W2", "constant"]), x)


@pytest.mark.parametrize("batch", ["N", 1, 4])
@pytest.mark.parametrize("count", [1, 3, 6])
@pytest.mark.parametrize("memory", ["1GB", 200])
def test_outputs_beside_an_attribution(batch: object, count: int, memory: str | int) -> None:
    x = normal(count, 4)
    found, outputs = onnxray.Explainer(net(batch), memory=memory).with_outputs(x, target=1)
    assert distance(np.asarray(found.values), np.tile(W[:, 1], (count, 1))) <= TOLERANCE
    check(outputs, x)


def test_a_mean_over_the_batch_is_that_of_one_run() -> None:
    x = normal(6, 4)
    assert distance(onnxray.activations(net(), x, "mean")["mean"], x.mean()) <= TOLERANCE
    with pytest.raises(onnxray.InputError, match="'mean' counts no examples, and differs between the runs of 2"):
        onnxray.activations(net(2), x, "mean")


def test_outputs_of_a_net_whose_rows_are_one_example() -> None:
    """A graph net: three nodes, of which every output is one example's."""
    text = """net (float[n, 4] x, float[n, n] near) => (float[3] y, float[n, 3] h)
        { xw = MatMul(x, W) h = MatMul(near, xw) axis = Constant<value_ints = [0]>()
          y = ReduceMean<keepdims = 0>(h, axis) }"""
    x, near = normal(3, 4), np.abs(normal(3, 3))
    found, outputs = onnxray.Explainer(model(text, {"W": W})).with_outputs({"x": x, "near": near}, target=1)
    assert distance(outputs["h"], near @ x @ W) <= TOLERANCE
    assert distance(outputs["y"], (near @ x @ W).mean(0)) <= TOLERANCE
    assert list(found.values) == ["x", "near"]
