"""Features: a tensor inside a model in the place of its inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import onnxruntime
import pytest
from by_hand import CONV, DENSE, TOLERANCE
from measures import distance
from onnxray.attribution.features import Inner


def test_gradients_at_a_layer() -> None:
    x = CONV.x()
    found = onnxray.explain(CONV.proto(), x, target=2, features="conv")
    assert distance(found.values, CONV.gradient_of_maps(x, 2)) <= TOLERANCE
    assert found.provenance["features"] == ["conv"]


def test_layer_gradient_times_activation() -> None:
    x = CONV.x()
    found = onnxray.explain(CONV.proto(), x, "input-x-gradient", target=2, features=Inner("r"))
    truth = np.maximum(CONV.hidden_of(x), 0) * CONV.gradient_behind_relu(x, 2)
    assert distance(found.values, truth) <= TOLERANCE


@pytest.mark.parametrize("layer", ["conv", "relu"])
def test_integrated_gradients_at_a_layer(layer: str, tmp_path: Path) -> None:
    """The path leads from zeros of the layer's own tensor to what the layer gives."""
    x, points = CONV.x(), np.polynomial.legendre.leggauss(6)
    h = CONV.hidden_of(x) if layer == "conv" else np.maximum(CONV.hidden_of(x), 0)
    behind = CONV.gradient_behind_relu(x, 1)
    slopes = [w / 2 * behind * ((1 + t) / 2 * h > 0) for t, w in zip(*points, strict=True)]
    explainer = onnxray.Explainer(CONV.proto(), "integrated-gradients", steps=6, features=layer)
    found = explainer(x, 1)
    assert distance(found.values, h * np.sum(slopes, 0)) <= TOLERANCE
    session = onnxruntime.InferenceSession(explainer.save(tmp_path / "e.onnx"), providers=["CPUExecutionProvider"])
    (values,) = session.run(["attribution"], {"x": x, "target": np.array([1, 1, 1])})
    assert distance(values, np.asarray(found.values)) <= TOLERANCE


def test_a_neuron_is_occluded() -> None:
    """The loss of the score without a neuron of the hidden layer: its weight times its value."""
    x = DENSE.x()
    found = onnxray.explain(DENSE.proto(), x, "occlusion", target=3, features="relu", window=1)
    truth = np.maximum(DENSE.hidden_of(x), 0) * DENSE.weights["B"][:, 3]
    assert distance(found.values, truth) <= TOLERANCE


def test_several_layers_have_a_map_each() -> None:
    x = CONV.x()
    found = onnxray.explain(CONV.proto(), x, target=0, features=["x", "conv"])
    assert isinstance(found.values, dict)
    assert distance(found.values["x"], CONV.gradient(x, 0)) <= TOLERANCE
    assert distance(found.values["conv"], CONV.gradient_of_maps(x, 0)) <= TOLERANCE


def test_the_row_of_a_batch_is_the_row_alone() -> None:
    x, explainer = CONV.x(), onnxray.Explainer(CONV.proto(), "smoothgrad", samples=3, features="conv")
    whole = np.asarray(explainer(x, 1).values)
    np.testing.assert_allclose(np.concatenate([np.asarray(explainer(x[k : k + 1], 1).values) for k in range(3)]), whole)


@pytest.mark.slow
def test_a_layer_of_an_int8_model(data: Callable[[str], Path]) -> None:
    """Behind the pooled features the net is linear: their gradient is the same for every input, and times the features'
    difference of two inputs it is the difference of their scores, but for the rounding of 8 bits."""
    file = data("onnx/shufflenet-v2-12-int8.onnx")
    imagenet = onnxray.Preprocess.preset("imagenet", size=(224, 224))
    pictures = [data(f"images/{name}") for name in ("elephant.jpg", "parrot.jpg")]
    model = onnxray.load(file)
    pooled = next(node for node in reversed(list(model.graph)) if node.op_type in ("ReduceMean", "GlobalAveragePool"))
    name = str(pooled.outputs[0].name)
    slope, times = (
        onnxray.explain(model, pictures, method, target=386, features=name, preprocess=imagenet)
        for method in ("saliency", "input-x-gradient")
    )
    same = np.equal(*np.asarray(slope.values))
    assert same.mean() > 0.99  # a feature that is out of the range of its 8 bits has none
    sums = np.asarray(times.values).sum(1)
    assert sums[0] - sums[1] == pytest.approx(slope.score[0] - slope.score[1], rel=0.1)


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ("cnv", "did you mean 'conv'"),
        ([], "features: give the names of layers"),
        (3, "features of type int: give names of layers"),
    ],
)
def test_what_is_no_layer_is_refused(features: Any, said: str) -> None:
    with pytest.raises(onnxray.OnnxrayError, match=said):
        onnxray.explain(CONV.proto(), CONV.x(), features=features)


def test_layers_behind_each_other_are_not_moved_at_once() -> None:
    with pytest.raises(onnxray.InputError, match="the second depends on the first"):
        onnxray.explain(CONV.proto(), CONV.x(), "integrated-gradients", features=["x", "conv"])
    with pytest.raises(onnxray.InputError, match="two of them are the same tensor"):
        onnxray.explain(CONV.proto(), CONV.x(), features=["h", "conv"])


def test_a_method_that_maps_a_layer_takes_no_other() -> None:
    with pytest.raises(onnxray.InputError, match="'grad-cam' maps a layer: name it by layer="):
        onnxray.explain(CONV.proto(), CONV.x(), "grad-cam", features="conv")


def test_a_layer_of_maps_is_drawn() -> None:
    found = onnxray.explain(CONV.proto(), CONV.x(), target=2, features="conv")
    truth = np.abs(CONV.gradient_of_maps(CONV.x(), 2)).max(1)
    assert distance(found.map(), truth) <= TOLERANCE
    width, height = found.image().size
    assert width / height == pytest.approx(5 / 6, rel=0.02)


def test_a_layer_beside_the_score_is_refused() -> None:
    with pytest.raises(onnxray.InputError, match="the score 'h' does not depend on 'pool'; name a layer before it"):
        onnxray.explain(CONV.proto(), CONV.x(), score="h", target=(0, 0, 0), features="pool")
