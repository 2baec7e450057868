"""Batch, memory, names in the model and a second call do not change a result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from black_box import ALIKE, ANYWHERE, ORDINARY, QUICK, every_day
from by_hand import CONV, TOLERANCE, model, normal
from measures import distance
from onnx import numpy_helper


@pytest.mark.parametrize(("name", "method"), [
    *(pytest.param("cnn", method, marks=pytest.mark.slow if method in ALIKE else ()) for method in ANYWHERE),
    *(pytest.param("vit", method, marks=pytest.mark.slow) for method in ORDINARY),
])  # fmt: skip
def test_a_row_of_a_batch_is_the_row_alone(net: Callable[[str], Any], name: str, method: str) -> None:
    one = net(name)
    x, ex = one.pictures(3), onnxray.Explainer(one.proto, method, **one.options(method))
    together = ex(x)
    for row in range(3):
        alone = ex(x[row : row + 1])
        assert distance(np.asarray(together.values)[row], np.asarray(alone.values)[0]) <= 1e-5
        np.testing.assert_allclose(together.score[row], alone.score[0], rtol=1e-5)
        assert together.target[row] == alone.target[0]


@pytest.mark.parametrize("method", ["integrated-gradients", "smoothgrad", "occlusion"])
def test_memory_changes_no_number(net: Callable[[str], Any], method: str) -> None:
    one = net("cnn")
    x = one.pictures(3)
    whole = onnxray.Explainer(one.proto, method, memory="4GB")(x, [1, 2, 3])
    for memory in ("1MB", "300KB", 1):
        cut = onnxray.Explainer(one.proto, method, memory=memory)
        assert distance(cut(x, [1, 2, 3]).values, np.asarray(whole.values)) <= 1e-6
        np.testing.assert_allclose(cut(x[1:2], 2).values, np.asarray(whole.values)[1:2], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("memory", ["4GB", 1])
def test_progress_counts_to_the_end(memory: str | int) -> None:
    seen: list[tuple[int, int]] = []
    ex = onnxray.Explainer(CONV.proto(), "integrated-gradients", memory=memory, steps=5)
    ex(CONV.x(), 0, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (3 * 7, 3 * 7)
    assert len({total for _, total in seen}) == 1


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients"])
@pytest.mark.parametrize("place", ["input", "inside", "output"])
@pytest.mark.parametrize("name", ["target", "seed", "reference", "score", "chosen", "attribution", "explain/Mul"])
def test_a_model_may_use_the_names_of_the_engine(name: str, place: str, method: str) -> None:
    """y = max(x, 0) W, with one of its tensors called what the engine calls its own."""
    proto, weights = model("net (float[N, 5] x) => (float[N, 3] y) { r = Relu(x)  y = MatMul(r, W) }"), normal(5, 3)
    proto.graph.initializer.append(numpy_helper.from_array(weights, "W"))
    _rename(proto, {"input": "x", "inside": "r", "output": "y"}[place], name)
    x = normal(2, 5)
    ex = onnxray.Explainer(proto, method)
    truth = (x > 0) * weights.T[[2, 1]] * (x if method == "integrated-gradients" else 1)
    a = ex(x, [2, 1])
    assert distance(a.values, truth) <= TOLERANCE
    assert distance(a.score, (np.maximum(x, 0) @ weights)[[0, 1], [2, 1]]) <= TOLERANCE
    assert distance(ex(x, np.eye(3, dtype=np.float32)[[2, 1]]).values, truth) <= TOLERANCE


def _rename(proto: onnx.ModelProto, old: str, new: str) -> None:
    for value in (*proto.graph.input, *proto.graph.output):
        value.name = new if value.name == old else value.name
    for node in proto.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]


@pytest.mark.parametrize("method", every_day(ANYWHERE))
def test_the_given_model_is_left_alone(method: str) -> None:
    proto = CONV.proto()
    before = proto.SerializeToString(deterministic=True)
    onnxray.Explainer(proto, method, **QUICK.get(method, {}))(CONV.x(), 1)
    onnxray.differentiate(proto, relu="guided")
    assert proto.SerializeToString(deterministic=True) == before


def test_an_explainer_is_built_once_and_answers_alike() -> None:
    ex = onnxray.Explainer(CONV.proto(), "integrated-gradients", steps=5)
    first, second = ex(CONV.x(), 1), ex(CONV.x(), 1)
    np.testing.assert_array_equal(first.values, second.values)
    assert [str(a) for a in ex.activations] == ["Relu relu: left alone"]
