"""Which axis of the scores counts examples: recognisers give (T, N, C), graph nets pool rows, some models take one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
import pytest
from by_hand import CONV, TOLERANCE, model, normal
from measures import distance
from onnxray.attribution import score_finder
from onnxray.attribution.axes import declared_axes

W = normal(4, 3)
METHODS = ["saliency", "input-x-gradient", "integrated-gradients", "smoothgrad", "occlusion"]


def recogniser(batch: object = "N", declared: str = "T, N, C") -> onnx.ModelProto:
    """y[t, n] = x[n, t] W, as CTC wants it."""
    return model(
        f"""net (float[{batch}, 6, 4] x) => (float[{declared}] y) {{
            z = MatMul(x, W)
            y = Transpose<perm=[1, 0, 2]>(z)
        }}""",
        {"W": W},
    )


def step(x: np.ndarray, t: int, c: int) -> np.ndarray:
    """The gradient of y[t, :, c]."""
    wanted = np.zeros_like(x)
    wanted[:, t] = W[:, c]
    return wanted


# An axis that is not the first ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("batch", "count"), [("N", 1), ("N", 3), ("N", 6), (1, 1), (1, 3), (3, 3), (6, 6), (3, 5)], ids=str
)
@pytest.mark.parametrize("declared", ["T, N, C", "N, T, C"])
def test_steps_come_first(batch: object, count: int, declared: str) -> None:
    """For any names of the axes and any number of examples, as many as steps included."""
    x = normal(count, 6, 4)
    ex = onnxray.Explainer(recogniser(batch, declared))
    a = ex(x, target=(4, 2))
    assert distance(a.values, step(x, 4, 2)) <= TOLERANCE
    np.testing.assert_allclose(a.score, (x @ W)[:, 4, 2], rtol=1e-5)
    seed = np.zeros((6, count, 3), np.float32)
    seed[4, :, 2] = 1
    b = ex(x, target=seed)
    assert distance(b.values, step(x, 4, 2)) <= TOLERANCE
    with pytest.raises(
        onnxray.InputError, match=r"shape for one example is \(6, 3\) as axis 1 of them counts examples"
    ):
        ex(x, target=2)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_takes_steps(method: str) -> None:
    x = normal(2, 6, 4)
    a = onnxray.explain(recogniser(), x, method, target=[(4, 2), (0, 1)])
    outside = np.asarray(a.values).copy()
    outside[0, 4], outside[1, 0] = 0, 0
    assert not outside.any()
    assert np.abs(a.values[0, 4]).max() > 0


def test_a_file_of_steps(tmp_path: Path) -> None:
    x = normal(2, 6, 4)
    for method in ("saliency", "integrated-gradients"):
        ex = onnxray.Explainer(recogniser(), method)
        session = ort.InferenceSession(ex.save(tmp_path / "saved.onnx"))
        found, score = session.run(["attribution", "score"], {"x": x, "target": np.array([4 * 3 + 2, 1])})
        wanted = ex(x, target=[(4, 2), (0, 1)])
        assert distance(found, wanted.values) <= TOLERANCE
        np.testing.assert_allclose(score, wanted.score, rtol=1e-5)


def test_a_seed_says_how_it_is_laid_out() -> None:
    with pytest.raises(onnxray.InputError, match=r"a seed of the scores' shape \(6, 2, 3\), not \(2, 6, 3\)"):
        onnxray.explain(recogniser(), normal(2, 6, 4), target=normal(2, 6, 3))


def test_the_jacobian_of_steps() -> None:
    x = normal(2, 6, 4)
    found = onnxray.jacobian(recogniser(), x)
    assert found.shape == (2, 18, 6, 4)
    for k in range(18):
        assert distance(found[:, k], step(x, *divmod(k, 3))) <= TOLERANCE


def test_an_axis_that_only_a_run_tells() -> None:
    """The Reshape reads its sizes from a product, which no inference follows."""
    hidden = model(
        """net (float[N, 6, 4] x) => (float y) {
            z = MatMul(x, W)
            p = Transpose<perm=[1, 0, 2]>(z)
            s = Shape(p)
            f = Cast<to=1>(s)
            q = Mul(f, one)
            i = Cast<to=7>(q)
            y = Reshape(p, i)
        }""",
        {"W": W, "one": np.array(1, np.float32)},
    )
    for count in (1, 3):
        x = normal(count, 6, 4)
        assert distance(onnxray.explain(hidden, x, target=(4, 2)).values, step(x, 4, 2)) <= TOLERANCE


# Sizes that are open --------------------------------------------------------------------------------------------


def test_open_sizes_are_those_of_the_run() -> None:
    """A speech filter gives (batch, time, 128), of which its file says that it is one number."""
    net = model("net (float[batch, time, 4] x) => (float y) { y = MatMul(x, W) }", {"W": W})
    for time in (5, 8):
        x = normal(2, time, 4)
        a = onnxray.explain(net, x, target=(4, 2))
        assert distance(a.values, step(x, 4, 2)) <= TOLERANCE
        with pytest.raises(onnxray.InputError, match=rf"\({time}, 3\): give 2 indices"):
            onnxray.explain(net, x, target=1)


def test_boxes_whose_number_the_input_decides() -> None:
    """NonZero: as many rows as there are positive numbers; a target is checked against those of this input."""
    net = model(
        """net (float[1, 6] x) => (float[boxes, 2] y) {
            p = Greater(x, zero)
            i = NonZero(p)
            t = Transpose<perm=[1, 0]>(i)
            v = GatherND(x, t)
            c = Unsqueeze(v, last)
            y = MatMul(c, W)
        }""",
        {"zero": np.array(0, np.float32), "last": np.array([1]), "W": normal(1, 2)},
    )
    x = np.array([[1, -1, 2, 3, -2, 4]], np.float32)
    ex = onnxray.Explainer(net)
    a = ex(x, target=(2, 1))
    wanted = np.zeros((1, 6), np.float32)
    wanted[0, 3] = normal(1, 2)[0, 1]
    assert distance(a.values, wanted) <= TOLERANCE
    with pytest.raises(onnxray.InputError, match="outside"):
        ex(-x, target=(2, 1))


def test_labels_fit_no_open_scores_before_the_run() -> None:
    """The names of the scores' axes in a file never decide alone."""
    with pytest.raises(onnxray.InputError, match="as axis 1 of them counts examples"):
        onnxray.explain(recogniser("N", "N, C, D"), normal(2, 6, 4))


def test_declared_axes_are_found_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the explainer opens; the inputs of a model without open sizes tell nothing else."""
    calls: list[object] = []
    monkeypatch.setattr(score_finder, "declared_axes", lambda *args: calls.append(args) or declared_axes(*args))
    explainer = onnxray.Explainer(CONV.proto())
    for examples in (1, 3):
        assert explainer(CONV.x(examples), target=1).target.tolist() == [1] * examples
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("way", "scores"),
    [
        ("u = Reshape(t, apart)  y = Reshape(u, rows)", "3, k"),
        ("u = Reshape(t, flat)  d = Mul(u, u)  y = Reshape(d, rows)", "3, k"),
        ("u = Transpose(t)  y = Reshape(u, columns)", "k, 3"),
    ],
    ids=["apart", "flat", "columns"],
)
def test_a_fixed_batch_that_a_reshape_names_and_that_is_the_number_of_scores(way: str, scores: str) -> None:
    sizes = {"apart": [-1, 1, 3], "flat": [-1], "rows": [3, -1], "columns": [-1, 3]}
    given = {name: np.array(size) for name, size in sizes.items() if name in way}
    text = f"net (float[3, 4] x) => (float[{scores}] y) {{ a = MatMul(x, w)  t = Tanh(a)  {way} }}"
    net, x = model(text, given | {"w": W}), normal(3, 4, seed=1)
    found = onnxray.explain(net, x, target=1)
    t = np.tanh(x @ W)[:, 1:2]
    slope = (2 * t if "Mul" in way else 1) * (1 - t**2)
    np.testing.assert_allclose(found.values, slope * W[:, 1], rtol=1e-4, atol=1e-6)
    some = onnxray.activations(net, x[:2], "y")["y"]
    assert some.shape == ((2, 3) if scores == "3, k" else (3, 2))


@pytest.mark.parametrize("length", [5, "L"])
def test_a_file_of_words_whose_mask_is_gathered(length: object, tmp_path: Path) -> None:
    """As torch exports BERT: places are counted, so that no shape tells how many examples a mask has."""
    text = f"""net (int64[N, {length}] ids, int64[N, {length}] mask) => (float[N, 3] y) {{
        n = Shape<end=1>(ids) count = Squeeze(n) all = Range(zero, count, one) places = Unsqueeze(all, last)
        chosen = GatherND(mask, places) open = Cast<to=1>(chosen) wide = Unsqueeze(open, two)
        words = Gather(table, ids) kept = Mul(words, wide) squared = Mul(kept, kept)
        pooled = ReduceSum<keepdims=0>(squared, last) y = MatMul(pooled, W) }}"""
    integers = {"zero": np.array(0), "one": np.array(1), "last": np.array([1]), "two": np.array([2])}
    net = model(text, {"W": W, "table": normal(9, 4)} | integers)
    assert declared_axes(onnxray.load(net), "logit") is None
    given = {"ids": np.array([[3, 1, 8, 0, 2]] * 3), "mask": np.array([[1, 1, 1, 0, 1], [1] * 5, [1, 0, 0, 0, 0]])}
    with pytest.warns(UserWarning, match="the embeddings of 'ids'"):
        explainer = onnxray.Explainer(net, "saliency")
    session = ort.InferenceSession(explainer.save(tmp_path / "e.onnx"), providers=["CPUExecutionProvider"])
    values = session.run(["attribution"], {**given, "target": np.array([2, 0, 1])})[0]
    assert distance(values, explainer(given, target=[2, 0, 1]).values) <= TOLERANCE
    expected = 2 * normal(9, 4)[given["ids"]] * given["mask"][:, :, None] * W[:, [2, 0, 1]].T[:, None]
    assert distance(values, expected) <= TOLERANCE


def test_a_file_that_refuses_drawn_words_asks_for_an_example(tmp_path: Path) -> None:
    text = "net (int64[N, 5] ids) => (float[M, 3] y) { r = Reshape(ids, s)  w = Gather(table, r)  y = MatMul(w, W) }"
    net = model(text, {"W": W, "table": normal(1, 4), "s": np.array([-1])})  # it knows id 0 alone
    with pytest.warns(UserWarning, match="embeddings"):
        explainer = onnxray.Explainer(net, "saliency")
    with pytest.raises(onnxray.ModelError, match="is known when the model has run; explain an input first"):
        explainer.save(tmp_path / "e.onnx")
