"""examples/methods_on_photographs.py: the sheet has a tile for each method and photograph."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image


@pytest.mark.slow
def test_the_sheet(example, tmp_path, data, capsys):
    """A picture and two methods on one photograph; a method that does not apply is left out, its reason is printed."""
    script = example("methods_on_photographs", "skimage")
    data("onnx/mobilenetv2like_qdq_244.onnx")
    script.main(tmp_path / "sheet.jpg", ["saliency", "grad-cam", "tree-shap"], ["cat"])
    assert "tree-shap: " in capsys.readouterr().out
    with Image.open(tmp_path / "sheet.jpg") as sheet:
        assert 3 * script.TILE < sheet.width < 4 * script.TILE
        assert np.asarray(sheet)[:, -script.TILE // 2 :].std() > 20


def test_without_the_net_there_is_one_line(example, tmp_path, monkeypatch):
    script = example("methods_on_photographs", "skimage")
    monkeypatch.setattr(script, "MODEL", tmp_path / "net.onnx")
    with pytest.raises(SystemExit, match="is not here"):
        script.main(tmp_path / "sheet.jpg")


def test_names_of_classes(example):
    assert example("methods_on_photographs", "skimage").name_of("n02123045 tabby, tabby cat") == "tabby"
