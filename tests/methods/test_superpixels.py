"""Superpixels: every example has its own, in a call, in a saved file as one more input, and in one clear error."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxray
import onnxruntime
import pytest
from black_box import every_day, feature_ablation, game, shapley_values
from by_hand import CONV, DENSE, TOLERANCE, Array, model, normal
from failing import fails
from measures import distance
from onnxray.methods.superpixels import superpixels


@pytest.fixture(scope="module", autouse=True)
def _scikit_image() -> None:
    pytest.importorskip("skimage", reason="scikit-image is not installed")


def steps() -> Array:
    """Pictures with an edge, each elsewhere."""
    x = CONV.x() / 10
    for k, one in enumerate(x):
        one[..., : k + 1] += 3
    return x


def own(x: Array, count: int) -> Array:
    return np.stack([superpixels(np.moveaxis(one, 0, -1), count) for one in x])


@pytest.mark.parametrize("count", [1, 2, 7, 30])
def test_there_are_exactly_so_many(count: int) -> None:
    for picture in (CONV.x(1)[0].transpose(1, 2, 0), np.zeros((6, 5, 3), np.float32)):
        found = superpixels(picture, count)
        assert (found.shape, found.dtype) == ((6, 5), np.int64)
        assert np.unique(found).tolist() == list(range(count))


@pytest.mark.parametrize("channels", [1, 3])
def test_superpixels_follow_the_picture(channels: int) -> None:
    """Three flat areas of unequal size: no superpixel has a part in two of them."""
    picture = np.zeros((16, 16, 3), np.float32)
    picture[:5], picture[5:, :9], picture[5:, 9:] = 1.0, (0.5, 0, 0), (0, 0.2, 0.9)
    picture = picture[..., :channels]
    found = superpixels(picture, 6)
    for label in range(6):
        assert len(np.unique(picture[found == label], axis=0)) == 1


@pytest.mark.parametrize("method", every_day(["feature-ablation", "kernel-shap", "lime", "shapley-sampling"]))
def test_every_example_has_its_own(method: str, tmp_path: Path) -> None:
    x = steps()
    explainer = onnxray.Explainer(CONV.proto(), method, groups="superpixels", cells=2)
    together, groups = np.asarray(explainer(x, 2).values), own(x, 4)
    assert any((groups[0] != one).any() for one in groups)
    for row in range(3):
        alone = onnxray.explain(CONV.proto(), x[row : row + 1], method, target=2, groups=groups[row]).values
        assert distance(together[row], alone[0]) <= TOLERANCE
    session = onnxruntime.InferenceSession(explainer.save(tmp_path / "e.onnx"), providers=["CPUExecutionProvider"])
    assert [(given.name, given.type) for given in session.get_inputs()][1:] == [
        ("groups/x", "tensor(int64)"), ("target", "tensor(int64)"),
    ]  # fmt: skip
    (found,) = session.run(["attribution"], {"x": x, "groups/x": groups, "target": np.full(3, 2)})
    assert distance(found, together) <= TOLERANCE


def test_the_formulas() -> None:
    x = steps()[:1]
    (groups,) = own(x, 4)
    whole = np.broadcast_to(groups, (2, 6, 5))
    options = {"groups": "superpixels", "cells": 2, "baseline": 0.5, "memory": 1}
    found = onnxray.explain(CONV.proto(), x, "feature-ablation", target=1, **options).values
    assert distance(found, feature_ablation(CONV, x, 1, groups=whole, baseline=0.5)) <= TOLERANCE
    found = onnxray.explain(CONV.proto(), x, "kernel-shap", target=1, **options).values
    assert distance(found[0], shapley_values(game(CONV, x, 1, whole, 0.5), 4)[whole, 0]) <= TOLERANCE


def test_channels_last_and_examples_last() -> None:
    """A picture whose axes are (height, width, channels, examples)."""
    net = model(
        """net (float[N, 3] k, float[6, 5, 3, N] x) => (float[N, 4] y) {
            t = Transpose<perm=[3, 2, 0, 1]>(x)
            m = ReduceMax<keepdims=0>(t, places)
            s = Add(m, k)
            y = MatMul(s, W)
        }""",
        {"places": np.array([2, 3]), "W": normal(3, 4)},
    )
    x, k = normal(6, 5, 3, 2), normal(2, 3)
    settings = {"target": 1, "cells": 2}
    every = {"groups": {"x": "superpixels"}}
    found = onnxray.explain(net, {"x": x, "k": k}, "kernel-shap", **every, **settings).values["x"]
    for row in range(2):
        feeds = {"x": x[..., row : row + 1], "k": k[row : row + 1]}
        groups = {"x": superpixels(x[..., row], 4)}
        alone = onnxray.explain(net, feeds, "kernel-shap", groups=groups, **settings).values["x"]
        assert distance(found[..., row], alone[..., 0]) <= TOLERANCE


def test_what_is_no_picture_has_none() -> None:
    with fails(onnxray.InputError, "superpixels", "'x'", "(6,)", "grid"):
        onnxray.explain(DENSE.proto(), DENSE.x(), "kernel-shap", groups="superpixels")


def test_without_scikit_image_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "skimage"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "skimage", None)  # type: ignore[arg-type]
    with fails(onnxray.RuntimeUnavailable, "skimage", "pip install 'onnxray[superpixels]'"):
        onnxray.explain(CONV.proto(), CONV.x(), "lime", groups="superpixels", cells=2)
