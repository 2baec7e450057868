"""examples/int8_evidence.py: one class, two verdicts."""

from __future__ import annotations

import pytest
from kernels import products_saturate
from PIL import Image


@pytest.mark.slow
def test_the_class_stays_and_the_verdicts_differ(example, tmp_path, data, capsys, monkeypatch):
    """By Grad-CAM alone, which is quick; the picture has a tile for the photograph and for each form."""
    script = example("int8_evidence", "skimage")
    data("onnx/mobilenetv2like_qdq_244.onnx")
    monkeypatch.setattr(script, "METHODS", ("grad-cam",))
    script.main(tmp_path / "evidence.jpg")
    float_form, int8, wrong, *_ = capsys.readouterr().out.splitlines()
    assert float_form == "float: Egyptian cat; the reference"
    assert wrong.startswith("int8, one scale wrong: Egyptian cat; the gate: FAILS")
    if not products_saturate():  # the int8 form is another one where they do
        assert int8.startswith("int8: Egyptian cat; the gate: PASSES")
    with Image.open(tmp_path / "evidence.jpg") as sheet:
        assert sheet.width > 4 * script.TILE


def test_without_the_net_there_is_one_line(example, tmp_path, monkeypatch):
    script = example("int8_evidence", "skimage")
    monkeypatch.setattr(script, "MODEL", tmp_path / "net.onnx")
    with pytest.raises(SystemExit, match="is not here"):
        script.main(tmp_path / "evidence.jpg")
