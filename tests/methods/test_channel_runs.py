"""Ablation-CAM and Score-CAM where the layer is smaller than the input, rounded or of tokens, and what they refuse.

pytorch-grad-cam 1.5.7, whose packages CI does not install, was compared once by its get_cam_image on the same weights
(its corners aligned no more): relative L2 3e-7 on the CNN of ``nets``, 2e-5 (ablation) and 3e-6 on the ResNet. Where
the score is negative, its Ablation-CAM has the other sign.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxray
import onnxruntime
import pytest
from attention_nets import vision_transformer
from by_hand import CONV, TOLERANCE, Array, model, normal
from measures import distance

METHODS = ("ablation-cam", "score-cam")
HEAD = "p = GlobalAveragePool(r) f = Flatten(p) y = MatMul(f, W)"
WEIGHTS = {"A": normal(4, 3, 3, 3), "W": normal(4, 5)}
NET = model(
    f"""net (float[N, 3, 8, 6] x) => (float[N, 5] y) {{
        c = Conv<strides=[2, 2], pads=[1, 1, 0, 0]>(x, A) r = Relu(c) {HEAD} }}""",
    WEIGHTS,
)
X = normal(2, 3, 8, 6)


def run(x: Array) -> tuple[Array, Array]:
    """Feature maps and scores by plain onnxruntime."""
    maps = onnxray.activations(NET, x.astype(np.float32), "r")["r"]
    return maps, maps.mean((2, 3)) @ WEIGHTS["W"]


def twice_as_large(maps: Array) -> Array:
    """Bilinear, pixels as squares whose centres are compared."""
    for axis in (2, 3):
        before, behind = (
            np.take(maps, np.clip(np.arange(maps.shape[axis]) + k, 0, maps.shape[axis] - 1), axis) for k in (-1, 1)
        )
        pair = np.stack([0.75 * maps + 0.25 * before, 0.75 * maps + 0.25 * behind], axis + 1)
        maps = pair.reshape(*maps.shape[:axis], -1, *maps.shape[axis + 1 :])
    return maps


def test_score_cam_enlarges_the_maps(tmp_path: Path) -> None:
    maps, _ = run(X)
    masks = twice_as_large(maps)
    least, most = masks.min((2, 3), keepdims=True), masks.max((2, 3), keepdims=True)
    masks = (masks - least) / np.maximum(most - least, 1e-30)
    seen = np.exp([run(X * masks[:, c : c + 1])[1][:, 2] for c in range(4)])
    expected = np.einsum("cn,nchw->nhw", seen / seen.sum(0), maps)
    explainer = onnxray.Explainer(NET, "score-cam", memory=1)
    counted: list[tuple[int, int]] = []
    found = explainer(X, 2, progress=lambda done, total: counted.append((done, total)))
    assert distance(found.values, expected) <= TOLERANCE
    assert counted[-1] == (2 * 5, 2 * 5)
    session = onnxruntime.InferenceSession(explainer.save(tmp_path / "cam.onnx"))
    (again,) = session.run(["attribution"], {"x": X, "target": np.array([2, 2])})
    assert distance(again, found.values) <= 1e-6


def test_the_top_class_stays_that_of_the_input() -> None:
    """Without a map another class may be the top one; each weight is of the class that the input has."""
    top = run(X)[1].argmax(1).tolist()
    for method in METHODS:
        by_itself, named = onnxray.explain(NET, X, method), onnxray.explain(NET, X, method, target=top)
        assert by_itself.target.tolist() == top
        np.testing.assert_array_equal(by_itself.values, named.values)


def test_ablation_of_a_score_below_zero_keeps_its_sign() -> None:
    """What raises the score is positive also where the score itself is negative."""
    maps, y = run(X)
    k = int(y[0].argmin())
    assert y[0, k] < 0
    without = [run(X)[0] * (np.arange(4) != c)[:, None, None] for c in range(4)]
    falls = np.array([y[0, k] - (one.mean((2, 3)) @ WEIGHTS["W"])[0, k] for one in without])
    expected = np.einsum("c,chw->hw", falls / abs(y[0, k]), maps[0])
    found = onnxray.explain(NET, X[:1], "ablation-cam", target=k, relu=False)
    assert distance(found.values[0], expected) <= TOLERANCE


def test_a_layer_that_rounds_needs_no_gradient() -> None:
    """No gradient passes Round; both methods explain the score behind it, where the layer is named."""
    rounded = model(
        f"net (float[N, 3, 8, 6] x) => (float[N, 5] y) {{ c = Conv(x, A) q = Round(c) r = Relu(q) {HEAD} }}", WEIGHTS
    )
    for method in METHODS:
        assert np.any(onnxray.explain(rounded, X, method, layer="c", target=1, relu=False).values)


@pytest.mark.slow
def test_tokens_are_folded() -> None:
    found = onnxray.explain(vision_transformer(), normal(1, 3, 12, 12), "ablation-cam", target=2)
    assert found.values.shape == (1, 3, 3)
    assert found.provenance["layer"] == "norm1"


def test_several_layers_are_refused() -> None:
    for method in METHODS:
        with pytest.raises(onnxray.InputError, match=f"{method} explains one layer"):
            onnxray.Explainer(CONV.proto(), method, layer=("conv", "relu"))


NETS = {  # with how many examples the runs of all channels of two examples have
    "behind the layer alone": (f"c = Conv(x, A) r = Relu(c) {HEAD}", (2, 2)),
    "a sum with what is beside the layer": (
        "s = Conv(x, A) c = Relu(s) d = Conv<pads=[1, 1, 1, 1]>(c, B) t = Add(s, d) r = Relu(t) " + HEAD,
        (2, 2),
    ),
    "the number of rows beside the layer": (
        "c = Conv(x, A) r = Relu(c) p = GlobalAveragePool(r) f = Flatten(p) n = Shape<end=1>(x) d = Div(n, n) "
        "e = Cast<to=1>(d) h = Mul(f, e) y = MatMul(h, W)",
        (8, 2),
    ),
    "places of all examples along one axis": (
        "m = Constant<value_ints=[-1, 24]>() n = Constant<value_ints=[-1, 4, 6, 4]>() c = Conv(x, A) "
        "k = Reshape(c, m) q = Transpose<perm=[1, 0]>(k) s = Softmax<axis=0>(q) "
        "u = Transpose<perm=[1, 0]>(s) t = Reshape(u, n) r = Mul(c, t) " + HEAD,
        (3, 3),  # those of the run that finds which axis counts examples
    ),
}


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("method", METHODS)
def test_the_model_runs_once_for_each_example_where_it_can(
    name: str, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the map that one row in each run gives."""
    text, examples = NETS[name]
    given = WEIGHTS | ({"B": normal(4, 4, 3, 3)} if "B)" in text else {})
    net = model(f"net (float[N, 3, 8, 6] x) => (float[N, 5] y) {{ {text} }}", given)
    single = onnxray.Explainer(net, method, layer="c", memory=1)(X, target=[1, 2])
    run, seen = onnxray.runtime.Session.run, list[int]()

    def watched(self: object, feeds: dict[str, Array], outputs: object = None) -> object:
        seen.extend(len(array) for name, array in feeds.items() if name == "x")
        return run(self, feeds, outputs)

    explainer = onnxray.Explainer(net, method, layer="c")
    monkeypatch.setattr(onnxray.runtime.Session, "run", watched)
    found = explainer(X, target=[1, 2])
    assert max(seen) == examples[METHODS.index(method)]
    assert distance(found.values, np.asarray(single.values)) <= TOLERANCE
    assert np.any(found.values)


@pytest.mark.parametrize("method", ["ablation-cam", "score-cam"])
def test_the_default_layer_of_a_model_without_a_gradient(method: str) -> None:
    net = model(
        "net (float[N, 1, 4, 4] x) => (float[N, 2] y) {"
        " r = Floor(x) c = Conv(r, K) a = Relu(c) s = Sign(a) p = ReduceMean<axes=[2, 3], keepdims=0>(s)"
        " y = Gemm(p, W) }",
        {"K": normal(3, 1, 2, 2), "W": normal(3, 2)},
        opset=13,
    )
    x = normal(1, 1, 4, 4, seed=3) * 3
    found = onnxray.explain(net, x, method, target=0, relu=False)
    assert found.values.any()
    named = onnxray.explain(net, x, method, target=0, relu=False, layer=found.provenance["layer"])
    np.testing.assert_array_equal(found.values, named.values)
    with pytest.raises(onnxray.ModelError, match="grad-cam found no convolution"):
        onnxray.explain(net, x, "grad-cam", target=0)
