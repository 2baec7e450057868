"""Integers beside floating-point inputs: embeddings and cast pictures are explained, too; of the rest a line tells."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest
from by_hand import TOLERANCE, model, normal
from measures import distance
from onnxray.cli.app import run
from onnxray.diagnostics.inspection import inspect

E, HEAD = normal(7, 3), normal(3, 2)
METHODS = ["saliency", "input-x-gradient", "integrated-gradients", "smoothgrad", "occlusion"]
IDS, X = np.array([5, 1, 5]), normal(3, 3)
PICTURES = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 4)).astype(np.uint8)


def table() -> onnx.ModelProto:
    """y = (e + 2 x) HEAD, e the embedding of a category."""
    return model(
        """net (int64[N] category, float[N, 3] x) => (float[N, 2] y) {
            e = Gather(E, category)
            twice = Add(x, x)
            both = Add(e, twice)
            y = MatMul(both, HEAD)
        }""",
        {"E": E, "HEAD": HEAD},
    )


def pictures() -> onnx.ModelProto:
    """y = (mean over places of a picture of bytes, over 255, plus a vector) HEAD."""
    return model(
        """net (uint8[N, 3, 4, 4] picture, float[N, 3] x, bool[N] on) => (float[N, 2] y) {
            f = Cast<to=1>(picture)
            scaled = Div(f, full)
            pooled = GlobalAveragePool(scaled)
            flat = Flatten(pooled)
            both = Add(flat, x)
            column = Unsqueeze(on, last)
            kept = Where(column, both, zero)
            y = MatMul(kept, HEAD)
        }""",
        {"full": np.array(255, np.float32), "zero": np.array(0, np.float32), "last": np.array([1]), "HEAD": HEAD},
    )


@pytest.mark.filterwarnings("ignore:beside floating-point inputs")
@pytest.mark.parametrize("method", METHODS)
def test_embeddings_beside_floats(method: str, tmp_path: Path) -> None:
    ex = onnxray.Explainer(table(), method)
    a = ex({"category": IDS, "x": X}, target=1)
    gradient = np.tile(HEAD[:, 1], (3, 1))
    assert list(a.values) == ["x", "e"]
    times = method not in ("saliency", "smoothgrad")
    if method == "occlusion":
        assert distance(a.values["e"], np.tile((E[IDS] * gradient).sum(1, keepdims=True), 3)) <= TOLERANCE
        assert distance(a.values["x"], 2 * gradient * X) <= TOLERANCE
    else:
        assert distance(a.values["e"], gradient * (E[IDS] if times else 1)) <= TOLERANCE
        assert distance(a.values["x"], 2 * gradient * (X if times else 1)) <= TOLERANCE
    if method == "integrated-gradients":
        np.testing.assert_allclose(a.delta, 0, atol=1e-5)
    session = ort.InferenceSession(ex.save(tmp_path / "saved.onnx"))
    feeds = {"category": IDS, "x": X, "target": np.ones(3, np.int64)}
    for name, found in zip("xe", session.run(["attribution_x", "attribution_e"], feeds), strict=True):
        assert distance(found, a.values[name]) <= TOLERANCE


@pytest.mark.filterwarnings("ignore:beside floating-point inputs")
@pytest.mark.parametrize("method", METHODS)
def test_pictures_of_bytes_beside_floats(method: str, tmp_path: Path) -> None:
    ex, given = onnxray.Explainer(pictures(), method), {"picture": PICTURES, "x": normal(2, 3), "on": np.ones(2, bool)}
    a = ex(given, target=1)
    assert list(a.values) == ["x", "picture"]
    assert a["picture"].map().shape == (2, 4, 4)
    gradient = np.broadcast_to(HEAD[:, 1, None, None] / (16 * 255), PICTURES.shape)
    if method in ("saliency", "smoothgrad"):
        assert distance(a.values["picture"], gradient) <= TOLERANCE
    elif method != "occlusion":
        assert distance(a.values["picture"], gradient * PICTURES) <= TOLERANCE
    else:
        falls = (gradient * PICTURES).sum(1, keepdims=True)
        assert distance(a.values["picture"], np.tile(falls, (1, 3, 1, 1))) <= 1e-3
    session = ort.InferenceSession(ex.save(tmp_path / "saved.onnx"))
    (found,) = session.run(["attribution_picture"], {**given, "target": np.ones(2, np.int64)})
    assert distance(found, a.values["picture"]) <= 1e-4


def test_a_line_says_what_is_explained_and_what_is_not() -> None:
    with pytest.warns(
        UserWarning, match="'f', 'picture' as floating-point numbers .Cast.; not explained is 'on', as it"
    ):
        ex = onnxray.Explainer(pictures())
    assert ex.note is not None
    assert ex.note == inspect(onnxray.load(pictures())).note
    a = ex({"picture": PICTURES, "x": normal(2, 3), "on": np.ones(2, bool)}, 0)
    assert a.provenance["note"] == ex.note
    with pytest.warns(UserWarning, match="explained is 'e', the embeddings of 'category' .Gather.$"):
        onnxray.Explainer(table())


def test_a_cast_without_a_gradient_is_left_out() -> None:
    net = model(
        """net (float[N, 3] x, int64[N, 3] mask) => (float[N, 3] y) {
            m = Cast<to=1>(mask)
            on = Greater(m, zero)
            y = Where(on, x, zero)
        }""",
        {"zero": np.array(0, np.float32)},
    )
    with pytest.warns(UserWarning, match="not explained is 'mask'"):
        a = onnxray.explain(net, {"x": X, "mask": np.array([[1, 0, 1]] * 3)}, target=2)
    np.testing.assert_array_equal(a.values, np.tile([0, 0, 1], (3, 1)))


def test_rows_that_a_model_computes_are_no_table() -> None:
    """The edges of a graph look up nodes, which are explained themselves."""
    net = model("""net (float[4, 3] x, int64[2] pick) => (float[2, 3] y) { t = Tanh(x)  y = Gather(t, pick) }""")
    with pytest.warns(UserWarning, match="not explained is 'pick'"):
        a = onnxray.explain(net, {"x": normal(4, 3), "pick": np.array([2, 0])}, target=(1, 2))
    assert np.flatnonzero(np.asarray(a.values).sum((0, 2))).tolist() == [0]


def test_floats_alone_say_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        onnxray.explain(model("net (float[N, 3] x) => (float[N, 3] y) { y = Tanh(x) }"), X)


def test_the_command_draws_each_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(pictures(), "net.onnx")
    np.savez("x.npz", picture=PICTURES[:1], x=X[:1], on=np.ones(1, bool))
    assert run(["explain", "net.onnx", "x.npz", "--target", "1"]) == 0
    assert "not explained is 'on'" in capsys.readouterr().err
    assert [file.name for file in Path("out").glob("*.png")] == ["x-saliency.png"]
    found = onnxray.explain("net.onnx", {"picture": PICTURES[:1], "x": X[:1], "on": np.ones(1, bool)}, target=1)
    assert {name: view.kind for name, view in found.views().items()} == {"x": "vector", "picture": "picture"}


def test_tensors_of_pytorch_are_inputs_and_targets() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    ex = onnxray.Explainer(model("net (float[N, 3] x) => (float[N, 2] y) { y = MatMul(x, HEAD) }", {"HEAD": HEAD}))
    x = torch.tensor(X, requires_grad=True)
    wanted = ex(X, [1, 0, 1])
    for target in (torch.tensor([1, 0, 1]), torch.eye(2)[[1, 0, 1]].requires_grad_()):
        a = ex(x, target)
        np.testing.assert_array_equal(a.values, wanted.values)
        assert isinstance(a.target, np.ndarray)
    assert ex(x, torch.tensor(1)).target.tolist() == [1, 1, 1]
    np.testing.assert_array_equal(ex({"x": x}, 1).values, ex(X, 1).values)
