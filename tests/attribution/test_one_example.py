"""Inputs that are one example together: the nodes of graphs, a vector, all that has one score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest
from by_hand import TOLERANCE, model, normal
from measures import distance

W = normal(4, 3)
METHODS = ["saliency", "input-x-gradient", "integrated-gradients", "smoothgrad", "occlusion"]


# Inputs that are one example together ---------------------------------------------------------------------------

NODES = normal(7, 4)
GRAPHS = np.array([0, 0, 0, 1, 1, 1, 1])


def pooled(nodes: object = "n") -> onnx.ModelProto:
    """y[g] is the sum of x W over the nodes of graph g."""
    return model(
        f"""net (float[{nodes}, 4] x, int64[{nodes}] batch) => (float[2, 3] y) {{
            z = MatMul(x, W)
            one = Unsqueeze(batch, last)
            s = Shape(z)
            index = Expand(one, s)
            y = ScatterElements<axis=0, reduction="add">(zeros, index, z)
        }}""",
        {"W": W, "last": np.array([1]), "zeros": np.zeros((2, 3), np.float32)},
    )


@pytest.mark.parametrize("nodes", ["n", 7])
@pytest.mark.parametrize("method", METHODS)
def test_pooled_graphs(nodes: object, method: str) -> None:
    """Seven nodes in, two graphs out: a score is y[g, c], whatever counts the nodes."""
    given = {"x": NODES, "batch": GRAPHS}
    a = onnxray.explain(pooled(nodes), given, method, target=(1, 2))
    assert np.shape(a.values) == (1, 7, 4)
    np.testing.assert_allclose(a.score, (NODES[3:] @ W)[:, 2].sum(), rtol=1e-5)
    assert a.target.tolist() == [[1, 2]]
    wanted = np.where(GRAPHS[:, None] == 1, W[:, 2], 0)
    if method == "saliency":
        assert distance(a.values[0], wanted) <= TOLERANCE
    if method in ("input-x-gradient", "integrated-gradients"):
        assert distance(a.values[0], wanted * NODES) <= TOLERANCE
    assert not np.asarray(a.values)[0, :3].any()


def test_a_seed_of_pooled_graphs_has_their_shape() -> None:
    given, seed = {"x": NODES, "batch": GRAPHS}, np.array([[0, 1, 0], [0, 0, 0]], np.float32)
    ex = onnxray.Explainer(pooled())
    np.testing.assert_allclose(ex(given, seed).values, ex(given, (0, 1)).values)
    with pytest.raises(onnxray.InputError, match=r"shape \(2, 3\), not \(7, 3\)"):
        ex(given, np.zeros((7, 3), np.float32))
    with pytest.raises(onnxray.InputError, match="no axis of them counts examples, so that all inputs are one: give 2"):
        ex(given, 1)
    assert onnxray.jacobian(pooled(), given).shape == (1, 6, 7, 4)


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients"])
def test_a_file_of_pooled_graphs(method: str, tmp_path: Path) -> None:
    given, ex = {"x": NODES, "batch": GRAPHS}, onnxray.Explainer(pooled(), method)
    wanted = ex(given, (1, 2))
    session = ort.InferenceSession(ex.save(tmp_path / "saved.onnx"))
    found, score = session.run(["attribution", "score"], {**given, "target": np.array([5])})
    assert distance(found, wanted.values[0]) <= TOLERANCE
    np.testing.assert_allclose(score, wanted.score, rtol=1e-5)


def neighbours(nodes: object = "n", edges: object = "e") -> onnx.ModelProto:
    """y[i] is the sum of x W over the nodes with an edge to i, and i itself."""
    return model(
        f"""net (float[{nodes}, 4] x, int64[2, {edges}] edges) => (float[{nodes}, 3] y) {{
            z = MatMul(x, W)
            source, sink = Split<axis=0, num_outputs=2>(edges)
            flat = Squeeze(source, first)
            message = Gather(z, flat)
            column = Transpose<perm=[1, 0]>(sink)
            index = Expand(column, three)
            y = ScatterElements<axis=0, reduction="add">(z, index, message)
        }}""",
        {"W": W, "first": np.array([0]), "three": np.array([1, 3])},
    )


@pytest.mark.parametrize(("nodes", "edges"), [("n", "e"), (7, 5)])
def test_scores_of_nodes_are_not_summed(nodes: object, edges: object) -> None:
    """Nodes look like examples; that one changes another's score tells that they are none."""
    links = np.array([[0, 1, 2, 6, 5], [1, 2, 0, 3, 3]])
    a = onnxray.explain(neighbours(nodes, edges), {"x": NODES, "edges": links}, target=(3, 1))
    wanted = np.zeros((1, 7, 4), np.float32)
    wanted[0, [3, 5, 6]] = W[:, 1]
    assert distance(a.values, wanted) <= TOLERANCE
    with pytest.raises(onnxray.InputError, match=r"\(7, 3\) as no axis of them counts examples"):
        onnxray.explain(neighbours(nodes, edges), {"x": NODES, "edges": links}, target=1)


def test_a_matrix_of_neighbours_within_the_model() -> None:
    """Of a fixed number of rows it is measured whether they are examples: here they are the nodes of one graph."""
    ring = np.roll(np.eye(5, dtype=np.float32), 1, 0) + np.eye(5, dtype=np.float32)
    net = model("net (float[5, 4] x) => (float[5, 3] y) { z = MatMul(x, W)  y = MatMul(A, z) }", {"W": W, "A": ring})
    a = onnxray.explain(net, normal(5, 4), target=(2, 1))
    wanted = np.where(ring[2][:, None] > 0, W[:, 1], 0)
    assert distance(a.values[0], wanted) <= TOLERANCE


def test_an_input_that_all_share_is_no_sign_of_a_graph() -> None:
    """y = x K: the weights K are an input, and examples stay examples."""
    net = model("net (float[N, 4] x, float[4, 3] K) => (float[N, 3] y) { y = MatMul(x, K) }")
    x = normal(3, 4)
    a = onnxray.explain(net, {"x": x, "K": W}, target=[0, 1, 2])
    assert distance(a.values["x"], W.T) <= TOLERANCE
    assert a.values["K"].shape == (3, 4, 3)


def test_one_graph() -> None:
    net = model(
        "net (float[n, 4] x) => (float[1, 3] y) { z = MatMul(x, W)  y = ReduceSum(z, first) }",
        {"W": W, "first": np.array([0])},
    )
    a = onnxray.explain(net, NODES, target=1)
    assert distance(a.values, np.tile(W[:, 1], (1, 7, 1))) <= TOLERANCE
    np.testing.assert_allclose(onnxray.explain(net, NODES).score, (NODES @ W).sum(0).max(), rtol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_one_number_is_the_score_of_one_example(method: str) -> None:
    net = model("net (float[N, 3] x) => (float y) { q = Mul(x, x)  y = ReduceSum<keepdims = 0>(q) }")
    x = normal(2, 3)
    a = onnxray.explain(net, x, method)
    assert np.shape(a.values) == (1, 2, 3)
    np.testing.assert_allclose(a.score, [(x**2).sum()], rtol=1e-5)
    if method == "saliency":
        assert distance(a.values[0], 2 * x) <= TOLERANCE
    assert a.target.tolist() == [0]


def test_an_input_without_an_axis_of_examples() -> None:
    """A vector in, a vector out."""
    net = model("net (float[4] x) => (float[3] y) { y = MatMul(x, W) }", {"W": W})
    a = onnxray.explain(net, normal(4), target=(1,))
    assert distance(np.asarray(a.values).reshape(4), W[:, 1]) <= TOLERANCE


def test_grad_cam_needs_examples() -> None:
    net = model(
        """net (float[N, 2, 5, 5] x) => (float[3] y) {
            h = Conv(x, K)  r = Relu(h)  y = ReduceSum<keepdims = 0>(r, axes)
        }""",
        {"K": normal(3, 2, 3, 3), "axes": np.array([0, 2, 3])},
    )
    with pytest.raises(onnxray.InputError, match="grad-cam needs scores with an axis that counts examples"):
        onnxray.explain(net, normal(2, 2, 5, 5), "grad-cam", target=1)
