"""Class activation maps of several layers, merged: the mean of scaled maps in the size of the finest.

pytorch-grad-cam 1.5.7, whose packages CI does not install, was compared once, on two blocks of the ResNet of ``nets``
in the size of the finer one and scaled once more, as its mean is: relative L2 1e-6 (Grad-CAM), 2e-6 (LayerCAM).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxray
import onnxruntime
import pytest
from by_hand import TOLERANCE, Array, model, normal
from cam_formulas import FORMULAS
from measures import distance
from onnxray.cli.app import run

NET = model(
    """net (float[N, 3, 8, 12] x) => (float[N, 4] y) {
        c = Conv<pads=[1, 1, 1, 1]>(x, A) [fine] f = Relu(c)
        d = Conv<strides=[2, 2], pads=[1, 1, 1, 1]>(f, B) [middle] m = Relu(d)
        e = Conv<strides=[2, 2], pads=[1, 1, 1, 1]>(m, C) [coarse] r = Relu(e)
        p = GlobalAveragePool(r) q = Flatten(p) y = MatMul(q, W) }""",
    {"A": normal(4, 3, 3, 3), "B": normal(5, 4, 3, 3), "C": normal(6, 5, 3, 3), "W": normal(6, 4)},
)
X = normal(2, 3, 8, 12)
TENSORS = {"fine": "f", "middle": "m", "coarse": "r"}


def enlarged(cam: Array, height: int, width: int) -> Array:
    """Bilinear, pixels as squares whose centres are compared."""
    for axis, size in ((1, height), (2, width)):
        old = cam.shape[axis]
        at = np.clip((np.arange(size) + 0.5) * old / size - 0.5, 0, old - 1)
        low = np.minimum(at.astype(int), old - 1)
        share = (at - low).reshape([-1 if k == axis else 1 for k in range(3)])
        cam = cam.take(low, axis) * (1 - share) + cam.take(np.minimum(low + 1, old - 1), axis) * share
    return cam


def formula(method: str, layers: tuple[str, ...], relu: bool) -> Array:
    cams = []
    for layer in layers:
        maps = onnxray.activations(NET, X, layer)[layer]
        gradient = onnxray.explain(NET, X, target=1, features=layer).values
        cam = FORMULAS[method](maps.astype(np.float64), gradient.astype(np.float64))
        cam = np.maximum(cam, 0) if relu else cam
        cam = cam - cam.min((1, 2), keepdims=True) if relu else cam
        cams.append(enlarged(cam / np.abs(cam).max((1, 2), keepdims=True), 8, 12))
    return np.mean(cams, 0)


@pytest.mark.parametrize(
    ("method", "layers", "relu"),
    [
        ("layer-cam", ("fine", "coarse"), True),
        ("grad-cam", ("coarse", "fine", "middle"), False),
        pytest.param("eigen-cam", ("fine", "middle"), True, marks=pytest.mark.slow),
    ],
)
def test_the_mean_of_scaled_maps(method: str, layers: tuple[str, ...], relu: bool, tmp_path: Path) -> None:
    explainer = onnxray.Explainer(NET, method, layer=layers, relu=relu)
    found = explainer(X, 1)
    assert distance(found.values, formula(method, layers, relu)) <= TOLERANCE
    assert found.provenance["layer"] == ", ".join(layers)
    session = onnxruntime.InferenceSession(explainer.save(tmp_path / "merged.onnx"))
    (again,) = session.run(["attribution"], {"x": X, "target": np.array([1, 1])})
    assert distance(again, found.values) <= 1e-6


def test_guided_grad_cam_of_several_layers_is_drawn_in_the_size_of_the_input() -> None:
    found = onnxray.explain(NET, X, "guided-grad-cam", target=1, layer=("fine", "coarse"))
    assert found.map().shape == (2, 8, 12)
    assert found.image(style="map").size[0] >= 12


def test_one_layer_in_a_list_is_that_layer() -> None:
    one, alone = (onnxray.explain(NET, X, "layer-cam", target=1, layer=layer) for layer in (["middle"], "middle"))
    np.testing.assert_array_equal(one.values, alone.values)
    assert one.provenance == alone.provenance


def test_the_command_line_repeats_the_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(NET, tmp_path / "net.onnx")
    np.save(tmp_path / "x.npy", X[:1])
    files = [str(tmp_path / name) for name in ("net.onnx", "x.npy")]
    options = ["-m", "layer-cam", "--layer", "fine", "--layer", "coarse", "--target", "1", "--npz", "--json"]
    assert run(["explain", *files, *options, "--out", str(tmp_path)]) == 0
    written = next(file for file in json.loads(capsys.readouterr().out)["files"] if file.endswith(".npz"))
    with np.load(written) as held:
        assert distance(held["values"], formula("layer-cam", ("fine", "coarse"), True)[:1]) <= TOLERANCE


@pytest.mark.parametrize("layer", [(), ("fine", "fine"), ("fine", 3), [""]])
def test_other_lists_are_refused(layer: object) -> None:
    with pytest.raises(onnxray.InputError, match=r"layer=.*: give the name of a layer, or several different names"):
        onnxray.Explainer(NET, "layer-cam", layer=layer)  # type: ignore[arg-type]
