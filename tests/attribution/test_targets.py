"""Targets: the top class, a class for each example, a tuple, a seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxray
import pytest
from black_box import ANYWHERE
from by_hand import CONV, DENSE, TOLERANCE, normal
from measures import distance
from onnx import numpy_helper
from onnxray.scores import Contrast, Not


def test_targets() -> None:
    x, ex = DENSE.x(4), onnxray.Explainer(DENSE.proto())
    gradients, scores = DENSE.all_gradients(x), DENSE.scores(x)
    top = scores.argmax(1)
    assert len(set(top)) > 1, "the example should have several top classes"
    for target, wanted in ((3, [3] * 4), ([3, 0, 1, 1], [3, 0, 1, 1]), ("top1", top), (np.int64(2), [2] * 4)):
        a = ex(x, target)
        assert distance(a.values, gradients[range(4), wanted]) <= TOLERANCE
        assert distance(a.score, scores[range(4), wanted]) <= TOLERANCE
        np.testing.assert_array_equal(a.target, wanted)


def test_seed_target() -> None:
    x, seed = DENSE.x(), normal(3, 4, seed=5)
    a = onnxray.explain(DENSE.proto(), x, target=seed)
    assert distance(a.values, np.einsum("nk,nki->ni", seed, DENSE.all_gradients(x))) <= TOLERANCE
    assert distance(a.score, (seed * DENSE.scores(x)).sum(1)) <= TOLERANCE
    np.testing.assert_array_equal(a.target, seed)


@pytest.mark.parametrize("method", [name for name in ANYWHERE if name != "grad-cam"])
def test_seed_target_of_every_method(method: str) -> None:
    """Every method is linear in the score but for the Relu policies; a one-hot seed is a class."""
    x, seed = CONV.x(), np.eye(4, dtype=np.float32)[[1, 3, 0]]
    ex = onnxray.Explainer(CONV.proto(), method)
    assert distance(ex(x, seed).values, np.asarray(ex(x, [1, 3, 0]).values)) <= 1e-6


@pytest.mark.parametrize("target", [(1, 0), (-1, -2), (0, 1)], ids=str)
def test_tuple_target_of_a_score_of_rank_3(target: tuple[int, int]) -> None:
    proto = DENSE.proto("y = Reshape(z, shape)", shape="2, 2")
    proto.graph.initializer.append(numpy_helper.from_array(np.array([0, 2, 2]), "shape"))
    x, flat = DENSE.x(), (target[0] % 2) * 2 + target[1] % 2
    a = onnxray.explain(proto, x, target=target)
    assert distance(a.values, DENSE.gradient(x, flat)) <= TOLERANCE
    seed = np.zeros((3, 2, 2), np.float32)
    seed[:, target[0], target[1]] = 1
    assert distance(onnxray.explain(proto, x, target=seed).values, DENSE.gradient(x, flat)) <= TOLERANCE


def test_an_attribution_says_in_words_what_is_no_class(tmp_path: Path) -> None:
    ex, x = onnxray.Explainer(DENSE.proto()), DENSE.x(2)
    contrast, not_three = ex(x, Contrast(1, 2)), ex(x, Not(3))
    assert (contrast.explained, not_three.explained) == (("1 against 2",) * 2, ("not 3",) * 2)
    assert ", 1 against 2, scores " in repr(contrast)
    assert onnxray.Attribution.load(contrast.save(tmp_path / "a.npz")).explained == contrast.explained
    assert (contrast[0].explained, ex(x, 1).explained) == (("1 against 2",), ())
