"""Each method says what its formula in plain numpy says, on nets whose gradient is known in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxray
import pytest
from attention_nets import ROLLOUTS
from black_box import ANYWHERE, QUICK
from by_hand import CONV, DENSE, LETTERS, TOLERANCE, ByHand, Letters, label, model, normal
from cam_formulas import FORMULAS
from measures import distance
from replicas import REPLICAS, integrated_gradients

SETTINGS: list[tuple[ByHand, str, dict[str, Any]]] = [
    *((CONV, name, QUICK.get(name, {})) for name in ANYWHERE),
    *((DENSE, name, QUICK.get(name, {})) for name in ANYWHERE if not onnxray.METHODS[name].has_layer),
    (DENSE, "integrated-gradients", {"steps": 7, "baseline": normal(6, seed=9)}),
    (DENSE, "integrated-gradients", {"steps": 6, "rule": "inclusive", "baseline": -0.5}),
    (CONV, "integrated-gradients", {"steps": 1}),
    (CONV, "integrated-gradients", {"steps": 5, "baseline": 0.75}),
    (CONV, "integrated-gradients", {"steps": 5, "baseline": [0.5, -1.0]}),
    (CONV, "integrated-gradients", {"steps": 5, "baseline": normal(2, 6, 5, seed=9)}),
    (CONV, "integrated-gradients", {"steps": 2, "rule": "inclusive"}),
    (CONV, "integrated-gradients", {"steps": 9, "rule": "inclusive", "baseline": [0.5, -1.0]}),
    (CONV, "integrated-gradients", {"steps": 9, "rule": "inclusive", "baseline": normal(2, 6, 5, seed=9)}),
    (DENSE, "expected-gradients", {"samples": 7, "baseline": normal(4, 6, seed=9), "seed": 3}),
    (CONV, "expected-gradients", {"samples": 9, "baseline": normal(3, 2, 6, 5, seed=9)}),
    (CONV, "expected-gradients", {"samples": 3, "baseline": [0.5, -1.0]}),
    (DENSE, "smoothgrad", {"samples": 3, "of": "expected-gradients", "baseline": normal(4, 6, seed=9)}),
    (DENSE, "smoothgrad", {"samples": 1, "noise": 0.5, "seed": 3}),
    (CONV, "smoothgrad", {"samples": 4, "noise": 0.3, "seed": 3}),
    (CONV, "smoothgrad", {"samples": 2, "noise": 0.0}),
    (DENSE, "deep-lift", {"baseline": normal(6, seed=9)}),
    (CONV, "deep-lift", {"baseline": [0.5, -1.0]}),
    *(
        (by_hand, "lrp", {"composite": name})
        for by_hand in (DENSE, CONV)
        for name in ("epsilon", "epsilon-plus-flat", "epsilon-alpha2-beta1", "epsilon-gamma-box", "attnlrp")
    ),
    (DENSE, "smoothgrad", {"samples": 5, "noise": 0.4, "statistic": "squared"}),
    (CONV, "smoothgrad", {"samples": 5, "noise": 0.4, "statistic": "variance"}),
    (CONV, "smoothgrad", {"samples": 3, "of": "input-x-gradient", "statistic": "squared"}),
    (CONV, "smoothgrad", {"samples": 3, "of": "guided-backprop"}),
    (CONV, "smoothgrad", {"samples": 3, "of": "integrated-gradients", "steps": 4, "baseline": [0.5, -1.0]}),
    *(
        (CONV, name, options)
        for name in (*FORMULAS, "guided-grad-cam", "ablation-cam", "score-cam")
        for options in ({"relu": False}, {"layer": "conv"})
    ),
    (DENSE, "occlusion", {"window": 1, "stride": 1, "baseline": 0.5}),
    (DENSE, "occlusion", {"window": 4, "stride": 3, "overlap": "sum"}),
    (CONV, "occlusion", {"window": 2}),
    (CONV, "occlusion", {"window": 3, "stride": 2}),
    (CONV, "occlusion", {"window": 3, "stride": 2, "overlap": "sum", "baseline": [0.5, -1.0]}),
    (CONV, "occlusion", {"window": (1, 4, 2), "stride": (1, 3, 1)}),
    (CONV, "occlusion", {"window": (2, 1, 5), "stride": (1, 1, 1), "overlap": "sum"}),
    (CONV, "occlusion", {"window": (2, 4, 3), "stride": (2, 5, 4), "baseline": normal(2, 6, 5, seed=9)}),
    (CONV, "occlusion", {"window": 1, "stride": 2}),
    (DENSE, "feature-ablation", {"groups": np.array([4, 4, 9, 2, 2, 9]), "baseline": normal(6, seed=9)}),
    (CONV, "feature-ablation", {"groups": "pixels", "baseline": [0.5, -1.0]}),
    (CONV, "feature-ablation", {"groups": np.arange(60).reshape(2, 6, 5) // 7, "baseline": 0.5}),
    (DENSE, "feature-permutation", {}),
    (CONV, "feature-permutation", {"cells": (2, 2, 3), "samples": 3, "seed": 4}),
    (CONV, "feature-permutation", {"groups": np.arange(60).reshape(2, 6, 5) // 7, "samples": 1}),
    (LETTERS, "mutagenesis", {}),
    (Letters(20, axis=1), "mutagenesis", {"show": "centred"}),
    (Letters(16, positions=4, axis=1), "mutagenesis", {"letters": 1, "show": "present"}),
    (CONV, "rise", {"samples": 30, "cells": 2, "keep": 0.3, "baseline": [0.5, -1.0], "seed": 3}),
    (CONV, "rise", {"samples": 30, "cells": 4}),
    (CONV, "kernel-shap", {"samples": 300}),
    (CONV, "kernel-shap", {"cells": (2, 2, 2), "baseline": normal(2, 6, 5, seed=9)}),
    (CONV, "kernel-shap", {"cells": (1, 3, 3), "samples": 77, "seed": 4, "baseline": [0.5, -1.0]}),
    (CONV, "lime", {"cells": 3, "samples": 60, "kernel_width": 0.5, "ridge": 0.1, "seed": 2}),
    (CONV, "shapley-sampling", {"cells": (2, 1, 5), "samples": 4, "baseline": 0.75, "seed": 5}),
]


@pytest.mark.parametrize(("by_hand", "method", "options"), SETTINGS, ids=label)
def test_replica(by_hand: ByHand, method: str, options: dict[str, Any]) -> None:
    x = by_hand.x()
    a = onnxray.explain(by_hand.proto(), x, method, target=2, **options)
    assert np.asarray(a.values).dtype == np.float32
    assert distance(a.values, REPLICAS[method](by_hand, x, 2, **options)) <= TOLERANCE
    assert distance(a.score, by_hand.scores(x)[:, 2]) <= TOLERANCE
    assert a.target.tolist() == [2, 2, 2]
    assert a.method == method


def test_every_method_has_a_replica() -> None:
    assert {*REPLICAS, *ROLLOUTS, "tree-shap"} == set(onnxray.METHODS)  # test_tree_shap.py has its definition


@pytest.mark.parametrize("rule", ["gauss-legendre", "inclusive"])
def test_delta_is_the_gap_of_completeness(rule: str) -> None:
    x, options = CONV.x(), {"steps": 6, "baseline": 0.5, "rule": rule}
    a = onnxray.explain(CONV.proto(), x, "integrated-gradients", target=1, **options)
    total = integrated_gradients(CONV, x, 1, **options).sum((1, 2, 3))
    way = (CONV.scores(x) - CONV.scores(np.full_like(x, 0.5)))[:, 1]
    np.testing.assert_allclose(a.delta, total - way, atol=1e-4 * np.abs(way).min())


def test_methods_that_share_the_score_out_have_a_delta() -> None:
    found = {m: onnxray.explain(CONV.proto(), CONV.x(), m, **QUICK.get(m, {})) for m in ANYWHERE}
    assert [m for m, a in found.items() if a.delta is not None] == ["integrated-gradients", "deep-lift", "lrp"]


def test_saliency_of_a_linear_model_is_its_weights() -> None:
    weights = normal(5, 3)
    linear = model("net (float[N, 5] x) => (float[N, 3] y) { y = MatMul(x, W) }", {"W": weights})
    a = onnxray.explain(linear, normal(3, 5), target=[0, 1, 2])
    np.testing.assert_array_equal(a.values, weights.T)
