"""Metrics of agreement against scipy, scikit-image and the formulas by hand, on the same arrays."""

from __future__ import annotations

import gc
import re
import weakref
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import scipy.ndimage
import scipy.spatial.distance
import scipy.stats
from onnxray import InputError
from onnxray.gate.metrics.agreement import METRICS, agreement, chosen_metrics, strength
from onnxray.gate.metrics.attribution_map import AttributionMap
from onnxray.gate.metrics.inside_mask import mass_inside, points_inside
from onnxray.gate.metrics.outputs import output_agreement
from skimage.metrics import structural_similarity

RNG = np.random.default_rng(0)
SHAPES = [(3, 16, 20), (16, 20, 3), (14, 14), (30,), (1, 9, 9)]


def pair(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    a = rng.normal(size=shape).astype(np.float32)
    return a, (a + 0.7 * rng.normal(size=shape)).astype(np.float32)


CORRELATED = {
    "random": lambda shape: RNG.normal(size=shape),
    "ties": lambda shape: RNG.integers(-3, 4, shape),
    "zeros": lambda shape: RNG.normal(size=shape) * (RNG.random(shape) < 0.2),
    "tiny": lambda shape: 1e-30 * RNG.normal(size=shape),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", CORRELATED)
@pytest.mark.parametrize("shape", SHAPES)
def test_spearman_and_cosine_are_scipys(shape: tuple[int, ...], kind: str, dtype: type[np.floating]) -> None:
    a, change = (CORRELATED[kind](shape).astype(dtype) for _ in "ab")
    b = (a + change).astype(dtype)
    expected = scipy.stats.spearmanr(a.ravel(), b.ravel()).statistic
    assert METRICS["spearman"](a, b) == pytest.approx(expected, abs=1e-9)
    cosine = 1 - scipy.spatial.distance.cosine(*(one.ravel().astype(np.float64) for one in (a, b)))
    assert METRICS["cosine"](a, b) == pytest.approx(cosine, abs=1e-9)


def test_both_zeros_are_one_rank() -> None:
    a, b = np.array([0.0, -0.0, 1, -1], np.float32), np.array([1.0, 2, 4, 3], np.float32)
    assert METRICS["spearman"](a, b) == pytest.approx(scipy.stats.spearmanr(a, b).statistic)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("order", ["C", "F"])
def test_ranks_let_go_of_the_map(order: Literal["C", "F"], dtype: type[np.floating]) -> None:
    """bottleneck 1.6 holds arrays of several axes for ever."""
    a = np.array(RNG.normal(size=(3, 16, 20)), dtype, order=order)
    held = weakref.ref(a)
    np.testing.assert_array_equal(AttributionMap(a).ranks, scipy.stats.rankdata(a))
    del a
    gc.collect()
    assert held() is None


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("shape", [(1,), (1, 1), (8,), (3, 4, 5)])
@pytest.mark.parametrize("metric", ["spearman", "cosine"])
def test_maps_without_an_order_or_a_direction(metric: str, shape: tuple[int, ...]) -> None:
    zeros, other = np.zeros(shape, np.float32), RNG.normal(size=shape).astype(np.float32)
    assert METRICS[metric](zeros, other) == METRICS[metric](other, zeros) == METRICS[metric].unrelated
    assert METRICS["spearman"](zeros + 2, other) == METRICS["spearman"].unrelated


def test_ssim_is_scikit_images() -> None:
    a, b = pair((3, 16, 20))
    x, y = (np.abs(one).max(0).astype(np.float64) for one in (a, b))
    assert METRICS["ssim"](a, b) == pytest.approx(
        structural_similarity(x / x.max(), y / y.max(), data_range=1.0), abs=1e-6
    )


def test_ssim_of_small_maps() -> None:
    a, b = (np.abs(one) for one in pair((4, 6)))
    expected = structural_similarity(a / a.max(), b / b.max(), data_range=1.0, win_size=3)
    assert METRICS["ssim"](a, b) == pytest.approx(expected, abs=1e-6)


def test_top_iou_counts_the_strongest_tenth() -> None:
    a, b = np.zeros((10, 10)), np.zeros((10, 10))
    a[0, :], b[0, 5:], b[1, :5] = -2, 3, 1
    assert METRICS["top-iou"](a, b) == pytest.approx(5 / 15)


def test_top_iou_is_scipys_jaccard() -> None:
    a, b = pair((3, 16, 20))
    tops = [plane >= np.sort(plane)[-32] for plane in (strength(one).ravel() for one in (a, b))]
    assert [int(top.sum()) for top in tops] == [32, 32]  # a tenth of 320
    assert METRICS["top-iou"](a, b) == pytest.approx(1 - scipy.spatial.distance.jaccard(*tops), abs=1e-9)


def test_distances() -> None:
    a, b = pair((3, 16, 20))
    distance = scipy.spatial.distance.euclidean(a.ravel(), b.ravel())
    assert METRICS["relative-l2"](a, b) == pytest.approx(distance / np.linalg.norm(a), rel=1e-6)
    centres = [np.array(scipy.ndimage.center_of_mass(strength(one))) for one in (a, b)]
    assert METRICS["centre-distance"](a, b) == pytest.approx(np.linalg.norm(centres[0] - centres[1]) / np.hypot(15, 19))
    assert METRICS["relative-l2"](a, 2 * a) == pytest.approx(1)


def test_signs_count_by_their_weight() -> None:
    assert METRICS["sign-agreement"](np.array([3.0, -1.0, 0.0]), np.array([1.0, 2.0, 0.0])) == pytest.approx(0.75)
    a, b = pair((3, 16, 20))
    b[0] = 0  # what has no sign keeps none
    kept = sum(abs(float(x)) for x, y in zip(a.ravel(), b.ravel(), strict=True) if x * y > 0)
    assert METRICS["sign-agreement"](a, b) == pytest.approx(kept / np.abs(a).sum(dtype=float), abs=1e-9)
    assert 0.4 < kept / np.abs(a).sum() < 0.6


def test_answers() -> None:
    a = np.array([9.0, 8, 7, 6, 5, 4, 3], np.float32)
    b = np.array([8.0, 9, 7, 1, 2, 4, 3], np.float32)
    found = output_agreement(a, b)
    assert (found["top1"], found["top5"]) == (0, 3 / 5)
    assert found["score-drift"] == pytest.approx(scipy.spatial.distance.euclidean(a, b) / np.linalg.norm(a), abs=1e-6)
    assert output_agreement(a, a) == {"top1": 1, "top5": 1, "score-drift": 0}
    assert output_agreement(a[:2], b[:2])["top5"] == 1


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_map_agrees_with_itself(metric: str, shape: tuple[int, ...]) -> None:
    a, _ = pair(shape)
    found = agreement(a, a.copy(), METRICS)
    assert metric not in found or found[metric] == METRICS[metric].perfect


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("metric", METRICS)
def test_empty_maps_share_nothing_and_warn_of_nothing(metric: str) -> None:
    a, b = np.zeros((8, 8)), RNG.normal(size=(8, 8))
    assert np.isfinite(METRICS[metric](a, b))
    assert METRICS[metric](a, a) == METRICS[metric].perfect
    assert np.isfinite(METRICS[metric](b, a))


def test_masks() -> None:
    plane, mask = np.zeros((4, 4)), np.zeros((4, 4), bool)
    plane[1, 1], plane[3, 3], mask[:2, :2] = -3, 1, True
    assert mass_inside(plane, mask) == pytest.approx(0.75)
    assert points_inside(plane, mask)
    assert not points_inside(plane, ~mask)


def test_vectors_have_no_picture_metrics() -> None:
    assert set(agreement(*pair((30,)), METRICS)) == set(METRICS) - {"ssim", "centre-distance"}


def test_every_metric_is_held_against_its_formula() -> None:
    """By a test above that names it; ``test_answers`` lists those of answers."""
    text = Path(__file__).read_text(encoding="utf-8")
    assert [name for name in METRICS if not re.search(rf'assert METRICS\["{name}"\]', text)] == []


def test_unknown_metrics_are_named() -> None:
    with pytest.raises(InputError, match="choose from spearman"):
        chosen_metrics(["magic"])
