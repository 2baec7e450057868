"""The folder of a run in the place of its data: the same samples, or an error that says why not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxray
import pytest
from onnxray.errors import InputError
from onnxray.graph.model import Model
from onnxray.models import path
from onnxray.samples.sample_set import open_samples
from PIL import Image

DIGITS, X = path("digits.onnx"), np.random.default_rng(0).random((6, 1, 28, 28), np.float32)


@pytest.fixture
def model() -> Model:
    return onnxray.load(DIGITS)


@pytest.fixture
def maps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run over a labelled folder and an array, both by paths from here."""
    monkeypatch.chdir(tmp_path)
    for k in range(3):
        (tmp_path / "photos" / str(k)).mkdir(parents=True)
        Image.fromarray(np.uint8(255 * X[k, 0])).save(tmp_path / "photos" / str(k) / f"{k}.png")
    np.save("x.npy", X)
    assert onnxray.run(DIGITS, ["photos", "x.npy"], "maps", workers=0).done == 9
    return tmp_path / "maps"


def test_the_samples_are_those_of_the_run(maps: Path, model: Model) -> None:
    found, expected = open_samples(maps, model), open_samples([maps.parent / "photos", maps.parent / "x.npy"], model)
    assert [(one.name, one.label, one.mark) for one in found] == [(one.name, one.label, one.mark) for one in expected]
    assert len(open_samples([maps, maps.parent / "x.npy"], model)) == 15
    assert onnxray.run(DIGITS, maps, maps.parent / "again", "grad-cam", workers=0).done == 9


def test_a_comparison_is_that_of_the_data(maps: Path) -> None:
    found = [
        onnxray.compare(DIGITS, DIGITS, data, methods=["saliency"], samples=4, seed=1)
        for data in (maps, [maps.parent / "photos", maps.parent / "x.npy"])
    ]
    assert found[0].passed
    assert len({one.name for one in found[0].rows}) == 4
    assert [(one.name, one.outputs) for one in found[0].rows] == [(one.name, one.outputs) for one in found[1].rows]


def test_data_that_are_no_longer_those_of_the_run(maps: Path, model: Model) -> None:
    np.save(maps.parent / "x.npy", X[:5])
    with pytest.raises(InputError, match=r"the data of the run in .*maps changed since: .*photos, .*x.npy; name the"):
        open_samples(maps, model)
    held = json.loads((maps / "run.json").read_text())
    (maps / "run.json").write_text(json.dumps({key: held[key] for key in held if key not in ("data", "stamps")}))
    with pytest.raises(InputError, match="an older onnxray, which kept no paths of its data"):
        open_samples(maps, model)
    assert len(onnxray.read_run(maps)) == 9
    (maps / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run.json: no manifest of a run; it is no JSON"):
        open_samples(maps, model)
