"""A saved explainer is a plain model: stock onnxruntime, without onnxray, says what Explainer says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from black_box import ALIKE, ANYWHERE, ORDINARY, QUICK, every_day
from by_hand import CONV, DENSE, model, normal
from measures import distance
from plain_runs import run_plainly

TOLERANCE = 1e-6
COMPLETE = ("integrated-gradients", "lrp", "deep-lift")  # their files say the gap of completeness
OPTIONS: dict[str, dict[str, Any]] = {
    "integrated-gradients": {"steps": 9, "baseline": 0.25},
    "smoothgrad": {"samples": 5, "noise": 0.2, "seed": 7},
    "occlusion": {"window": 5, "stride": 3, "baseline": 0.5},
    **{name: {"relu": False} for name, method in onnxray.METHODS.items() if method.has_layer},
    **QUICK,
}


def check(ex: onnxray.Explainer, file: Path, x: np.ndarray, targets: list[int], tolerance: float = TOLERANCE) -> None:
    """Explainer and its file on one batch, the scores included; -1 asks for the top class."""
    assert ex.save(file) == file
    found = run_plainly(file, x=x, target=np.array(targets, np.int64))
    assert list(found) == ["y", "score", "attribution", *["delta"] * (ex.method.name in COMPLETE)]
    for row, target in enumerate(targets):
        a = ex(x[row : row + 1], "top1" if target == -1 else target)
        assert distance(found["attribution"][row], np.asarray(a.values)[0]) <= tolerance
        np.testing.assert_allclose(found["score"][row], a.score[0], rtol=1e-6, atol=1e-6)
        chosen = found["y"][row].argmax() if target == -1 else target
        assert a.target[0] == chosen


SMALL = [(name, method) for name in ("cnn", "vgg") for method in ANYWHERE]
SMALL += [("vit", method) for method in ORDINARY]


@pytest.mark.parametrize(("name", "method"), [
    pytest.param(*pair, marks=() if pair[0] == "cnn" and pair[1] not in ALIKE else pytest.mark.slow) for pair in SMALL
])  # fmt: skip
def test_every_method(net: Callable[[str], Any], name: str, method: str, tmp_path: Path) -> None:
    one = net(name)
    ex = onnxray.Explainer(one.proto, method, **{**OPTIONS.get(method, {}), **one.options(method)})
    # in memory a Gelu's scales lie within the products of matrices around it, and its gradients round elsewhere
    tolerance = 5 * TOLERANCE if name == "vit" else TOLERANCE
    check(ex, tmp_path / "explainer.onnx", one.pictures(3), [3, -1, 7], tolerance)


@dataclass(frozen=True)
class Saved:
    """What was given to an explainer, and the file that it saved."""

    method: str
    proto: onnx.ModelProto
    source: onnxray.Model
    file: Path


@pytest.fixture(scope="module", params=ANYWHERE)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """By every method one explainer of a small net, saved once for all that is asked of it."""
    source = onnxray.load(proto := CONV.proto())
    folder = tmp_path_factory.mktemp("saved")
    explainer = onnxray.Explainer(source, request.param, **QUICK.get(request.param, {}))
    return Saved(request.param, proto, source, explainer.save(folder / "explainer.onnx"))


def test_the_contract(saved: Saved) -> None:
    """Inputs: the model's and target, int64 (N,). Outputs: the model's, score (N,), attribution. Standard operators."""
    made, method = onnx.load(saved.file), saved.method
    onnx.checker.check_model(made, full_check=True)
    assert [value.name for value in made.graph.input] == ["x", "target"]
    delta = ["delta"] * (method in COMPLETE)
    assert [value.name for value in made.graph.output] == ["y", "score", "attribution", *delta]
    kinds = {v.name: v.type.tensor_type for v in (*made.graph.input, *made.graph.output)}
    ranks = {name: len(kind.shape.dim) for name, kind in kinds.items()}
    assert kinds["target"].elem_type == onnx.TensorProto.INT64
    maps = 3 if onnxray.METHODS[method].layer_sized else 4
    assert ranks == {"x": 4, "target": 1, "y": 2, "score": 1, "attribution": maps} | dict.fromkeys(delta, 1)
    assert [kinds[name].elem_type for name in ("score", "attribution")] == [onnx.TensorProto.FLOAT] * 2
    assert {entry.domain for entry in made.opset_import} == {""}
    assert {node.domain for node in made.graph.node} == {""}


def test_the_models_own_outputs_stay(saved: Saved) -> None:
    x = CONV.x(4)
    found = run_plainly(saved.file, x=x, target=np.array([0, -1, 2, 3]))
    np.testing.assert_allclose(found["y"], CONV.scores(x), rtol=1e-4, atol=1e-5)
    rows = [0, int(CONV.scores(x)[1].argmax()), 2, 3]
    np.testing.assert_allclose(found["score"], CONV.scores(x)[range(4), rows], rtol=1e-4, atol=1e-5)


def test_saving_leaves_the_given_model_alone(saved: Saved) -> None:
    assert saved.proto.SerializeToString(deterministic=True) == CONV.proto().SerializeToString(deterministic=True)
    values = [onnxray.explain(given, CONV.x()).values for given in (saved.source, CONV.proto())]
    np.testing.assert_array_equal(*values)


@pytest.mark.parametrize("score", ["logit", "output"])
@pytest.mark.parametrize("method", ["saliency", "integrated-gradients"])
def test_score_before_or_behind_a_softmax(method: str, score: str, tmp_path: Path) -> None:
    ex = onnxray.Explainer(DENSE.proto("y = Softmax(z)"), method, score=score)
    check(ex, tmp_path / "explainer.onnx", DENSE.x(), [-1, 0, 2])


@pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.slow), 3])
@pytest.mark.parametrize("method", every_day(ANYWHERE))
def test_fixed_batch(method: str, batch: int, tmp_path: Path) -> None:
    ex = onnxray.Explainer(CONV.proto(batch), method, **QUICK.get(method, {}))
    check(ex, tmp_path / "explainer.onnx", CONV.x(batch), [-1, 0, 2][:batch])


@pytest.mark.parametrize(
    "options",
    [
        {"steps": 6, "rule": "inclusive", "baseline": [0.5, -1.0]},
        {"steps": 1},
        {"steps": 3, "baseline": normal(2, 6, 5, seed=9)},
    ],
    ids=["inclusive", "one step", "array"],
)
def test_integrated_gradients(options: dict[str, Any], tmp_path: Path) -> None:
    ex = onnxray.Explainer(CONV.proto(), "integrated-gradients", **options)
    check(ex, tmp_path / "explainer.onnx", CONV.x(), [-1, 0, 2])


@pytest.mark.parametrize("overlap", ["mean", "sum"])
def test_occlusion(overlap: str, tmp_path: Path) -> None:
    ex = onnxray.Explainer(CONV.proto(), "occlusion", window=(1, 4, 2), stride=(1, 3, 1), overlap=overlap)
    check(ex, tmp_path / "explainer.onnx", CONV.x(), [-1, 0, 2])


@pytest.mark.parametrize("method", ["saliency", "grad-cam", "integrated-gradients"])
def test_open_spatial_dimensions(method: str, tmp_path: Path) -> None:
    ex = onnxray.Explainer(CONV.proto(size=("H", "W")), method)
    for size in ((6, 5), (4, 9)):
        check(ex, tmp_path / "explainer.onnx", CONV.x(size=size), [-1, 0, 2])


@pytest.mark.parametrize("method", ["smoothgrad", "occlusion"])
def test_methods_that_need_the_shape_say_so(method: str, tmp_path: Path) -> None:
    ex = onnxray.Explainer(CONV.proto(size=("H", "W")), method)
    with pytest.raises(onnxray.InputError, match=r"'x'.*open") as caught:
        ex.save(tmp_path / "explainer.onnx")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "explainer.onnx").exists()


@pytest.mark.parametrize("method", ["saliency", "guided-backprop", "integrated-gradients", "smoothgrad"])
def test_several_inputs(method: str, tmp_path: Path) -> None:
    two = model(
        """net (float[N, 5] u, float[N, 2] v, int64[N] i) => (float[N, 3] y, float[N, 2] w) {
            r = Relu(u)
            ra = MatMul(r, A)
            w = Tanh(v)
            e = Gather(E, i)
            m = Mul(w, e)
            mb = MatMul(m, B)
            y = Add(ra, mb)
        }""",
        {"A": normal(5, 3), "B": normal(2, 3), "E": normal(7, 2)},
    )
    feeds = {"u": normal(3, 5), "v": normal(3, 2), "i": np.array([3, 0, 6])}
    ex = onnxray.Explainer(two, method)
    found = run_plainly(ex.save(tmp_path / "explainer.onnx"), **feeds, target=np.array([2, 0, 1]))
    assert list(found)[:6] == ["y", "w", "score", "attribution_u", "attribution_v", "attribution_e"]
    values = ex(feeds, [2, 0, 1]).values
    assert isinstance(values, dict)
    for name, truth in values.items():
        assert distance(found[f"attribution_{name}"], truth) <= TOLERANCE
    np.testing.assert_allclose(found["w"], np.tanh(feeds["v"]), rtol=1e-5)


def test_names_that_the_model_has_taken(tmp_path: Path) -> None:
    """A model whose own tensors are called target and score keeps them; the file says which are the explainer's."""
    taken = model(
        "net (float[N, 5] x) => (float[N, 3] score) { target = Relu(x)  score = MatMul(target, W) }",
        {"W": normal(5, 3)},
    )
    made = onnx.load(onnxray.Explainer(taken).save(tmp_path / "explainer.onnx"))
    inputs, outputs = ([v.name for v in values] for values in (made.graph.input, made.graph.output))
    assert inputs[0] == "x"
    assert inputs[1].startswith("target")
    assert outputs[0] == "score"
    assert outputs[1].startswith("score")
    assert len({*inputs, *outputs}) == 5
    x = normal(2, 5)
    feeds = {"x": x, inputs[1]: np.array([1, 2])}
    found = run_plainly(tmp_path / "explainer.onnx", **feeds)
    assert distance(found["attribution"], (x > 0) * normal(5, 3).T[[1, 2]]) <= TOLERANCE


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients"])
def test_an_output_may_be_an_input(method: str, tmp_path: Path) -> None:
    passing = model("net (float[N, 3] x) => (float[N, 3] x, float[N, 3] y) { y = Sin(x) }")
    ex, x = onnxray.Explainer(passing, method, score="y"), normal(2, 3)
    found = run_plainly(ex.save(tmp_path / "explainer.onnx"), x=x, target=np.array([1, 2]))
    assert list(found)[:4] == ["x", "y", "score", "attribution"]
    np.testing.assert_array_equal(found["x"], x)
    assert distance(found["attribution"], ex(x, [1, 2]).values) <= TOLERANCE


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients"])
def test_a_saved_explainer_is_a_model_again(method: str, tmp_path: Path) -> None:
    file = onnxray.Explainer(CONV.proto(), method).save(tmp_path / "explainer.onnx")
    again = onnxray.load(file)
    assert [value.name for value in again.outputs][:3] == ["y", "score", "attribution"]
    assert again.metadata["onnxray.method"].startswith(onnxray.METHODS[method].__name__)


def test_saving_does_not_change_the_explainer(tmp_path: Path) -> None:
    ex, x = onnxray.Explainer(CONV.proto(), "integrated-gradients", steps=4), CONV.x()
    before = np.asarray(ex(x, 1).values)
    for name in ("a.onnx", "b.onnx"):
        ex.save(str(tmp_path / name))
    np.testing.assert_array_equal(ex(x, 1).values, before)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
