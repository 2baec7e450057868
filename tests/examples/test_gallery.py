"""examples/gallery.py: a row whose model is not there is left out; words and columns are drawn."""

from __future__ import annotations

import numpy as np
import pytest


def test_what_is_not_there_is_left_out(example, tmp_path, capsys, monkeypatch):
    script = example("gallery", "skimage")
    monkeypatch.setattr(script, "SHARED", tmp_path / "none")
    monkeypatch.setattr(script, "ROWS", {"classifier.jpg": script.classifier, "letters.jpg": script.letters})
    script.main(tmp_path / "out", tmp_path)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("classifier.jpg is left out: ")
    assert second.startswith("letters.jpg is left out: no wheel of rapidocr_onnxruntime in ")
    assert not list((tmp_path / "out").iterdir())


def test_words_have_the_colours_of_their_sums(example):
    """Two words of one line: the first speaks for the score, the second against it."""
    page = np.asarray(example("gallery", "skimage").coloured("ab cd", np.array([1, 1, 0, -1, -1])), np.int64)
    red, blue = (page[..., 0] - page[..., 2] > 100), (page[..., 2] - page[..., 0] > 100)
    assert red.any()
    assert blue.any()
    assert np.flatnonzero(red.any(0)).max() < np.flatnonzero(blue.any(0)).min()


@pytest.mark.slow
def test_the_classifiers_row(example, tmp_path, data, monkeypatch):
    script = example("gallery", "skimage")
    data("onnx/mobilenetv2like_qdq_244.onnx")
    picture = script.classifier(tmp_path)
    assert 3 * script.TILE < picture.width <= 800
