"""Every method saved on every kind of model: onnxruntime, without onnxray, gives the same map, or one line refuses.

Left out are LIME and Shapley sampling, which have the nodes of KernelSHAP with other constants (test_saved.py), and the
methods of one-hot sequences, of trees and of several examples (test_mutagenesis.py, test_tree_shap.py,
test_feature_permutation.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from attention_nets import Attentive, vision_transformer
from black_box import ALIKE, ORDINARY
from by_hand import model, normal
from late import late
from measures import distance
from onnxray.scores import Box
from plain_runs import run_plainly
from real_files import feeds, path
from shared_folder import made_once
from sweep_models import ANY_BOX, detector, quantised

nets: Any = late("nets", "torch")
words: Any = late("bert_net", "torch", "transformers")

TOLERANCE = 1e-5
METHODS = [name for name in ORDINARY if name not in ALIKE]
OPTIONS: dict[str, dict[str, Any]] = {  # few points
    "integrated-gradients": {"steps": 3},
    "expected-gradients": {"samples": 3},
    "smoothgrad": {"samples": 2},
    "feature-ablation": {"cells": 2},
    "rise": {"samples": 6, "cells": 2},
    "kernel-shap": {"cells": 2, "samples": 40},
}
NO_ATTENTION = dict.fromkeys(["attention-rollout", "gradient-rollout"], "found no attention")
NO_MAPS = {name: "found no convolution" for name in METHODS if onnxray.METHODS[name].has_layer} | {
    "guided-grad-cam": "found no convolution|explains one input with batch and channels"
}
WIDE = {"occlusion": {"window": 28, "stride": 28}}


@dataclass(frozen=True)
class Kind:
    """A kind of model: how it is made, which methods are refused, by words of the line, and the target of each row.

    ``place`` is that of the target in a saved file, ``saved`` how the file is told to take one.
    """

    made: Callable[[], onnx.ModelProto]
    refused: dict[str, str]
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    target: Any = "top1"
    place: Any = -1
    saved: dict[str, Any] = field(default_factory=dict)


def lstm() -> onnx.ModelProto:
    text = """t = Transpose<perm=[1, 0, 2]>(x) a, h, c = LSTM<hidden_size=4>(t, W, R, B) s = Squeeze(h, first)
        y = MatMul(s, O)"""
    given = {"W": normal(1, 16, 6), "R": normal(1, 16, 4), "B": normal(1, 32), "O": normal(4, 3)}
    return model(f"net (float[N, 7, 6] x) => (float[N, 3] y) {{ {text} }}", given | {"first": np.array([0])})


def mobilenet() -> onnx.ModelProto:
    import torch

    return made_once("mobilenet-64", lambda: nets.export(nets.net("mobilenet").module, torch.zeros(1, 3, 64, 64)))


def int8() -> onnx.ModelProto:
    one = nets.net("cnn")
    wide = {"x": 2 * one.pictures(4, seed=1)}  # so that no score is clipped
    return made_once("cnn-int8", lambda: quantised(one.proto, wide))


def shared(name: str) -> Callable[[], onnx.ModelProto]:
    def read() -> onnx.ModelProto:
        if not path(name).exists():
            pytest.skip(f"{name} of the shared folder is absent")
        return onnx.load(path(name))

    return read


TRANSFORMER = {"lrp": {"composite": "attnlrp"}}
KINDS = {
    "classifier": Kind(lambda: nets.net("cnn").proto, NO_ATTENTION),
    "MobileNet": Kind(mobilenet, NO_ATTENTION, WIDE),
    "ViT": Kind(vision_transformer, {}, TRANSFORMER),
    "detector": Kind(shared("yolox_nano_224"), NO_ATTENTION, WIDE, (100, 5), 100 * 85 + 5),
    "BERT": Kind(Attentive("words", "token", 6).proto, NO_MAPS, TRANSFORMER),
    "LSTM": Kind(lstm, NO_ATTENTION | NO_MAPS | {"deep-lift": "which LSTM, GRU and RNN become, has no rule"}),
    "int8": Kind(shared("mobilenetv2like_qdq_244"), NO_ATTENTION, WIDE),
    "small int8": Kind(int8, NO_ATTENTION),
    "BERT of transformers": Kind(lambda: words.proto(), NO_MAPS, TRANSFORMER),
    "box": Kind(detector, NO_ATTENTION, {}, Box(0), ANY_BOX, {"target": "box"}),
}


@cache
def opened(kind: str) -> tuple[onnxray.Model, dict[str, np.ndarray]]:
    """A model of a kind, and two examples for it, or as many as it takes."""
    made = KINDS[kind].made()
    return onnxray.load(made), feeds(made, 1.0)


# Runs of these take seconds: of one the methods that differentiate, of the other two.
BLACK_BOXES = {name for name in METHODS if not onnxray.METHODS[name].differentiates} - {"occlusion"}
LEFT_OUT = {"detector": BLACK_BOXES | {"layer-cam", "guided-grad-cam"}, "int8": {*METHODS} - {"saliency", "lrp"}}
PAIRS = [(kind, method) for kind in KINDS for method in METHODS if method not in LEFT_OUT.get(kind, ())]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "method"), PAIRS)
def test_a_method_on_a_kind_of_model(kind: str, method: str, tmp_path: Path) -> None:
    (source, given), about = opened(kind), KINDS[kind]
    options = {**OPTIONS.get(method, {}), **about.options.get(method, {})}
    if method in about.refused:
        with pytest.raises(onnxray.OnnxrayError, match=about.refused[method]) as caught:
            onnxray.Explainer(source, method, **options).save(tmp_path / "explainer.onnx", **about.saved)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "explainer.onnx").exists()
        return
    explainer = onnxray.Explainer(source, method, **options)
    file, rows = explainer.save(tmp_path / "explainer.onnx", **about.saved), len(next(iter(given.values())))
    stored = np.int64 if isinstance(about.place, int) else np.float32
    found = run_plainly(file, **given, target=np.array([about.place] * rows, stored))
    values = explainer(given, about.target).values
    every = values if isinstance(values, dict) else {"": values}
    for name, value in every.items():
        assert distance(found[f"attribution_{name}" if name else "attribution"], np.asarray(value)) <= TOLERANCE
