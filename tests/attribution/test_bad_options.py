"""Targets, methods, options, layers and scores that are not there."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxray
import pytest
from black_box import ANYWHERE, QUICK
from by_hand import CONV, DENSE, normal
from failing import fails
from onnxray import InputError, ModelError


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (4, ["4", "0 to 3"]),
        (-1, ["-1", "0 to 3"]),
        ([0, 1, 99], ["99", "0 to 3"]),
        ([0, 1], ["3"]),
        ([[0, 1], [1, 1], [2, 1]], ["(0, 1)", "(4,)"]),
        (np.zeros((3, 1, 1), int), ["(3, 1, 1)"]),
        ("cat", ["cat", "top1"]),
        ((1, 2), ["(1, 2)", "(4,)"]),
        ((4,), ["(4,)"]),
        (normal(3, 5), ["(3, 5)", "(3, 4)"]),
        (normal(2, 4), ["(2, 4)", "(3, 4)"]),
        (1.5, []),
        (True, ["bool"]),
        (None, []),
        (np.full((3, 4), np.nan, np.float32), ["NaN"]),
    ],
    ids=str,
)
def test_target(target: Any, words: list[str]) -> None:
    with fails(InputError, "target", *words):
        onnxray.explain(DENSE.proto(), DENSE.x(), target=target)


@pytest.mark.parametrize("method", [name for name in ANYWHERE if not onnxray.METHODS[name].has_layer])
def test_class_out_of_range_with_every_method(method: str) -> None:
    with fails(InputError, "target", "10", "0 to 3"):
        onnxray.explain(DENSE.proto(), DENSE.x(), method, target=10, **QUICK.get(method, {}))


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("saliencey", {}, ["saliencey", "saliency", "grad-cam"]),
        ("saliency", {"steps": 3}, ["saliency", "steps", "none"]),
        ("integrated-gradients", {"step": 3}, ["step", "steps", "baseline", "rule"]),
        ("integrated-gradients", {"steps": 0}, ["steps", "0"]),
        ("integrated-gradients", {"steps": 1, "rule": "inclusive"}, ["steps", "2"]),
        ("integrated-gradients", {"steps": "many"}, ["steps", "many"]),
        ("integrated-gradients", {"steps": 2.5}, ["steps", "2.5"]),
        ("integrated-gradients", {"rule": "simpson"}, ["simpson", "gauss-legendre", "inclusive"]),
        ("integrated-gradients", {"baseline": np.nan}, ["baseline", "finite"]),
        ("integrated-gradients", {"baseline": [0.0, 0.0, 0.0]}, ["baseline", "(3,)", "(2, 6, 5)"]),
        ("integrated-gradients", {"baseline": normal(6, 5)}, ["baseline", "(6, 5)"]),
        ("integrated-gradients", {"baseline": "black"}, ["baseline", "black"]),
        ("integrated-gradients", {"baseline": {"image": 0.0}}, ["baseline", "image", "x"]),
        ("smoothgrad", {"samples": 0}, ["samples", "0"]),
        ("smoothgrad", {"noise": -1.0}, ["noise", "-1"]),
        ("smoothgrad", {"noise": np.nan}, ["noise", "nan"]),
        ("smoothgrad", {"seed": -1}, ["seed", "-1"]),
        ("occlusion", {"window": 0}, ["window", "0"]),
        ("occlusion", {"window": (2, 3, 4, 5)}, ["window", "2 of them without the channels or 3 with these"]),
        ("occlusion", {"stride": 0}, ["stride", "0"]),
        ("occlusion", {"window": 2.5}, ["window", "2.5"]),
        ("occlusion", {"window": "wide"}, ["window", "wide"]),
        ("occlusion", {"overlap": "max"}, ["overlap", "max", "mean", "sum"]),
        ("feature-ablation", {"groups": "superpixel"}, ["groups", "superpixel", "grid", "pixels"]),
        ("feature-ablation", {"groups": np.zeros((5, 6), int)}, ["groups", "(5, 6)", "'x'", "(6, 5)", "(2, 6, 5)"]),
        ("feature-ablation", {"groups": normal(6, 5)}, ["groups", "float32", "integers"]),
        ("feature-ablation", {"groups": {"image": "grid"}}, ["groups", "image", "x"]),
        ("feature-ablation", {"cells": 0}, ["cells", "0"]),
        ("feature-ablation", {"cells": (2, 2, 2, 2)}, ["cells", "2 of them without the channels", "(2, 6, 5)"]),
        ("feature-ablation", {"baseline": normal(6, 5)}, ["baseline", "(6, 5)"]),
        ("kernel-shap", {"samples": 0}, ["samples", "0"]),
        ("kernel-shap", {"samples": 50}, ["samples", "50", "30 groups", "cells"]),
        ("kernel-shap", {"seed": -1}, ["seed", "-1"]),
        ("kernel-shap", {"baseline": normal(2, 5, 6)}, ["baseline", "(2, 5, 6)"]),
        ("lime", {"samples": 0}, ["samples", "0"]),
        ("lime", {"ridge": 0.0}, ["ridge", "0"]),
        ("lime", {"kernel_width": -1.0}, ["kernel_width", "-1"]),
        ("shapley-sampling", {"samples": 0}, ["samples", "0"]),
        ("shapley-sampling", {"samples": 10**7}, ["shapley-sampling", "30 groups", "cells"]),
        ("rise", {"samples": 0}, ["samples", "0"]),
        ("feature-ablation", {"groups": [[0, 1], [2]]}, ["groups", "'x'", "length"]),
        ("rise", {"samples": 10**9}, ["rise", "30 cells", "samples"]),
        ("kernel-shap", {"samples": 10**9}, ["kernel-shap", "30 groups"]),
        ("rise", {"keep": 1.0}, ["keep", "1.0"]),
        ("rise", {"cells": (2, 2, 2)}, ["cells", "(2, 2, 2)", "a mask of rise is of all channels"]),
        ("rise", {"cells": (2, 0)}, ["cells", "0"]),
        ("rise", {"baseline": normal(6, 5)}, ["baseline", "(6, 5)"]),
        ("saliency", {"layer": "conv"}, ["saliency", "layer", "grad-cam"]),
        ("saliency", {"memory": "lots"}, ["memory", "lots", "512MB"]),
        ("saliency", {"memory": "-1GB"}, ["memory", "-1GB"]),
        ("saliency", {"builder": "fast"}, ["builder", "fast", "portable"]),
    ],
    ids=str,
)
def test_method_and_options(method: str, options: dict[str, Any], words: list[str]) -> None:
    with fails(InputError, *words):
        onnxray.Explainer(CONV.proto(), method, **options)(CONV.x(), 0)


def test_threads() -> None:
    with fails(InputError, "threads", "-3"):
        onnxray.Explainer(CONV.proto(), threads=-3)(CONV.x(), 0)


def test_unknown_layer() -> None:
    with fails(ModelError, "'convv'", "did you mean", "'conv'"):
        onnxray.explain(CONV.proto(), CONV.x(), "grad-cam", layer="convv")
    with fails(ModelError, "'blk'", "inspect"):
        onnxray.activations(CONV.proto(), CONV.x(), ["blk"])
    with fails(ModelError, "'nothing'"):
        onnxray.differentiate(CONV.proto(), of=["nothing"])
    with fails(ModelError, "'hh'"):
        onnxray.differentiate(CONV.proto(), wrt=["hh"])
    with fails(ModelError, "'logits'"):
        onnxray.explain(CONV.proto(), CONV.x(), score="logits")


def test_layer_without_maps() -> None:
    with fails(ModelError, "grad-cam", "head", "feature maps"):
        onnxray.explain(CONV.proto(), CONV.x(), "grad-cam", layer="head")
    with fails(ModelError, "grad-cam", "no convolution", "layer"):
        onnxray.explain(DENSE.proto(), DENSE.x(), "grad-cam")


def test_relu_policy() -> None:
    with fails(InputError, "'lrp'", "exact", "guided", "deconvnet"):
        onnxray.differentiate(CONV.proto(), relu="lrp")
