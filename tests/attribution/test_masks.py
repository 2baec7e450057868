"""Masks of scores: files that hold one, and saved explainers that are given one of another size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxray
import onnxruntime
import pytest
from by_hand import TOLERANCE, model, normal
from measures import distance
from onnxray.attribution.scores.mask_places import mask_of


def test_a_mask_is_an_array_of_a_file(tmp_path: Path) -> None:
    mask = np.array([[True, False, False], [False, False, True]])
    np.save(tmp_path / "mask.npy", mask)
    np.testing.assert_array_equal(mask_of(tmp_path / "mask.npy"), mask)
    (tmp_path / "mask.npy").write_bytes(b"none")
    with pytest.raises(onnxray.InputError, match=r"mask\.npy cannot be read \(it is no NumPy file of one array"):
        mask_of(tmp_path / "mask.npy")


def test_a_saved_mask_of_another_number_of_places_fails(tmp_path: Path) -> None:
    """Where the sizes of a model are open; others are the sizes of the input."""
    net = model(
        "net (float[N, 3, H, W] x) => (float[N, 4, H, W] y) { y = Conv<kernel_shape = [1, 1]>(x, K) }",
        {"K": normal(4, 3, 1, 1)},
    )
    file = onnxray.Explainer(net).save(tmp_path / "e.onnx", target="mask")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    feeds = {"x": normal(1, 3, 4, 5), "target": np.zeros((1, 4, 5), np.int64)}
    assert distance(session.run(["score"], feeds)[0], [session.run(["y"], feeds)[0][0, 0].sum()]) <= TOLERANCE
    for size in ((1, 1), (2, 5), (8, 5)):
        with pytest.raises(Exception, match="MatMul"):
            session.run(["score"], feeds | {"target": np.zeros((1, *size), np.int64)})


def test_a_mask_of_all_scores_has_no_channel_to_name() -> None:
    net = model("net (float[N, 3, 2, 2] x) => (float[N, 3, 2, 2] y) { y = Identity(x) }")
    x, mask = normal(1, 3, 2, 2), np.ones((3, 2, 2), bool)
    with pytest.raises(onnxray.InputError, match=r"all scores of an example, \(3, 2, 2\), so that no channel can be"):
        onnxray.explain(net, x, target=onnxray.scores.Mask(mask, 1))
    assert onnxray.explain(net, x, target=onnxray.scores.Mask(mask)).score == pytest.approx(x.sum(), rel=1e-5)
