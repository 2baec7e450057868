"""One number for each token: the same in Python, on the command line and in the gate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxray
import pytest
from black_box import ANYWHERE
from by_hand import Array, model, normal
from onnxray.cli.app import run
from onnxray.gate.model_under_test import map_of, open_model_under_test
from PIL import Image

IDS = np.array([[3, 1, 8, 0, 5]])
WORDS, HEAD, PLACES = normal(9, 4), normal(4, 3), np.array([1.0, 2.0, 30.0, 4.0, 5.0], np.float32)[:, None]
MADE = {name: onnxray.METHODS[name]() for name in ANYWHERE if not onnxray.METHODS[name].has_layer}
GRADIENTS = [name for name, method in MADE.items() if method.reduction == "norm"]
PRODUCTS = [name for name, method in MADE.items() if method.reduction == "sum"]
OPTIONS = {"lrp": {"composite": "attnlrp"}}  # the composite that has rules for a LayerNormalization


def normalised() -> onnx.ModelProto:
    """A LayerNormalization behind the embedding: the gradient's signed sum over it is zero but for rounding."""
    return model(
        """net (int64[N, 5] ids) => (float[N, 3] y) {
            [words] e = Gather(words, ids)
            n = LayerNormalization(e, scale)
            t = Mul(n, places)
            s = ReduceSum<keepdims=0>(t, one)
            y = MatMul(s, head)
        }""",
        {"words": WORDS, "head": HEAD, "places": PLACES, "scale": np.ones(4, np.float32), "one": np.array([1])},
    )


def told(method: str, folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> Array:
    """The numbers that the command line prints for each token, by its index."""
    onnx.save(normalised(), folder / "net.onnx")
    np.save(folder / "ids.npy", IDS)
    files = [str(folder / name) for name in ("net.onnx", "ids.npy")]
    assert run(["explain", *files, "-m", method, "--target", "1", "--json", "--out", str(folder), *options]) == 0
    tokens = json.loads(capsys.readouterr().out)["features"]
    return np.array([one["attribution"] for one in sorted(tokens, key=lambda one: one["place"])])


def test_methods_say_how_tokens_are_reduced() -> None:
    assert GRADIENTS == ["saliency", "guided-backprop", "deconvnet", "smoothgrad"]
    assert PRODUCTS == ["input-x-gradient", "integrated-gradients", "expected-gradients", "deep-lift", "lrp"]
    assert onnxray.METHODS["occlusion"].reduction == "mean"


@pytest.mark.filterwarnings("ignore:the model takes integers")
@pytest.mark.parametrize("method", [*GRADIENTS, *PRODUCTS, "occlusion"])
def test_one_reduction_everywhere(method: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = OPTIONS.get(method, {})
    found = onnxray.explain(normalised(), IDS, method, target=1, **options)
    reduce = {"norm": np.linalg.norm, "sum": np.sum, "mean": np.mean}[MADE[method].reduction]
    numbers = reduce(found.values, axis=2)
    np.testing.assert_allclose(found.map(), numbers, rtol=1e-5, atol=1e-6)
    typed = [text for name, value in options.items() for text in (f"--{name}", value)]
    np.testing.assert_allclose(told(method, tmp_path, capsys, *typed), numbers[0], rtol=1e-5, atol=1e-6)
    side = open_model_under_test(normalised(), [method], threads=1, options=options)
    np.testing.assert_allclose(side.evidence(side.prepared(IDS), 1).maps[method], numbers[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(map_of(found), found.map()[0])


@pytest.mark.filterwarnings("ignore:the model takes integers")
def test_gradients_are_told_where_their_sum_is_rounding_noise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = onnxray.explain(normalised(), IDS, target=1)
    assert np.abs(found.map("sum")).max() < 1e-4 * found.map().max()
    assert found.map()[0].argmax() == told("saliency", tmp_path, capsys).argmax() == 2
    signed = told("saliency", tmp_path, capsys, "--reduce", "max")
    np.testing.assert_allclose(signed, found.values[0].max(1), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:the model takes integers")
def test_metrics_that_perturb_refuse_token_ids() -> None:
    for metric in ("deletion", "infidelity", "max-sensitivity", "completeness"):
        with pytest.raises(onnxray.InputError, match="perturbs the input, which are integers"):
            onnxray.evaluate(normalised(), IDS, methods="input-x-gradient", metrics=[metric], threads=1)
    found = onnxray.evaluate(normalised(), IDS, methods="saliency", metrics=["sparseness"], threads=1)
    numbers = np.sort(onnxray.explain(normalised(), IDS).map()[0].astype(np.float64))
    gini = (2 * np.arange(1, 6) - 6) @ numbers / (5 * numbers.sum())
    assert found.value("saliency", "sparseness") == pytest.approx(gini, abs=1e-6)


def test_pictures_are_reduced_as_ever() -> None:
    values = normal(2, 3, 4, 5)
    found = onnxray.Attribution(values, np.zeros(2), np.zeros(2), "integrated-gradients")
    np.testing.assert_array_equal(found.map(), np.abs(values).max(1))
    np.testing.assert_allclose(found.map("norm"), np.linalg.norm(values, axis=1), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:the model takes integers")
def test_maps_of_a_layer_are_not_those_of_embeddings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Grad-CAM at a Conv1d over tokens has one number for each place, which is drawn as such."""
    proto = model(
        """net (int64[N, 5] ids) => (float[N, 3] y) {
            e = Gather(words, ids)
            t = Transpose<perm=[0, 2, 1]>(e)
            [conv] c = Conv<pads=[1, 1]>(t, W)
            p = GlobalAveragePool(c)
            f = Flatten(p)
            y = MatMul(f, head)
        }""",
        {"words": WORDS, "W": normal(4, 4, 3), "head": HEAD},
    )
    found = onnxray.explain(proto, IDS, "grad-cam", target=1, relu=False)
    maps = onnxray.activations(proto, IDS, "conv")["conv"]
    expected = np.einsum("nct,c->nt", maps, HEAD[:, 1]) / 5
    np.testing.assert_allclose(found.map("sum"), expected, rtol=1e-4, atol=1e-6)
    onnx.save(proto, tmp_path / "net.onnx")
    np.save(tmp_path / "ids.npy", IDS)
    files = [str(tmp_path / name) for name in ("net.onnx", "ids.npy")]
    assert (
        run(["explain", *files, "-m", "grad-cam", "--no-relu", "--target", "1", "--json", "--out", str(tmp_path)]) == 0
    )
    record = json.loads(capsys.readouterr().out)
    places = sorted(record["features"], key=lambda one: one["place"])
    np.testing.assert_allclose([one["attribution"] for one in places], expected[0], rtol=1e-4, atol=1e-6)
    assert [(one["name"], one["value"]) for one in places] == [(f"place {k}", None) for k in range(5)]
    with Image.open(record["files"][0]) as picture:
        assert picture.height > 5 * 20


def test_maps_of_a_volume_are_not_taken_for_a_picture() -> None:
    """(N, 3, h, w) of a Conv3d: three slices, not three colours."""
    proto = model(
        """net (float[N, 1, 3, 4, 4] x) => (float[N, 2] y) {
            [conv] c = Conv<pads=[1, 1, 1, 1, 1, 1]>(x, W) p = GlobalAveragePool(c) y = Flatten(p) }""",
        {"W": normal(2, 1, 3, 3, 3)},
    )
    found = onnxray.explain(proto, normal(1, 1, 3, 4, 4), "grad-cam")
    assert found.values.shape == (1, 3, 4, 4)
    assert [view.kind for view in found.views().values()] == ["volume"]
    assert found.image().height > 160  # two rows of slices
