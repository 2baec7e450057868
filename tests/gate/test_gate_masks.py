"""Masks and boxes: how much evidence lies inside, on both sides."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from cli_tools import DIGIT, DIGITS
from gate_tools import FAST, Asked, means
from onnxray.cli.app import run
from onnxray.gate.metrics.inside_mask import MASKED, mask_agreement
from PIL import Image

pytestmark = pytest.mark.usefixtures("elsewhere")


def test_masks_and_boxes(folder: str, asked: Asked) -> None:
    mask = np.zeros((28, 28), np.uint8)
    mask[:14] = 255
    (Path("masks")).mkdir()
    for file in Path(folder).rglob("*.png"):
        Image.fromarray(mask).save(Path("masks") / f"{file.stem}_mask.png")
    Path("boxes.json").write_text(json.dumps({str(k): [0, 0, 27, 13] for k in range(12)}))
    call = ["compare", DIGITS, DIGITS, folder, *FAST, "-m", "saliency", "--labels", "names.txt", "--masks"]
    drawn, boxed = (asked(*call, source) for source in ("masks", "boxes.json"))
    assert means(drawn)["saliency", "mass-inside"] == means(drawn)["saliency", "pointing"] == 1
    assert [one["maps"] for one in drawn["samples"]] == [one["maps"] for one in boxed["samples"]]
    call = ["evaluate", DIGITS, folder, "--threads", "1", "-m", "saliency", "--labels", "names.txt", "--masks"]
    top, bottom = (asked(*call, source, "--metric", "pointing-game") for source in ("masks", "boxes.json"))
    assert means(top) == means(bottom)
    assert 0 < means(top)["saliency", "pointing-game"] < 1


def test_masks_of_no_sample_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    Path("boxes.json").write_text('{"elephant": [0, 0, 9, 9]}')
    assert run(["compare", DIGITS, DIGITS, DIGIT, *FAST, "-m", "saliency", "--masks", "boxes.json"]) == 0
    err = capsys.readouterr().err
    assert "elephant" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("text", ["5", "[1, 2]", "{"])
def test_what_holds_no_boxes_is_one_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("boxes.json").write_text(text)
    assert run(["compare", DIGITS, DIGITS, DIGIT, *FAST, "-m", "saliency", "--masks", "boxes.json"]) == 2
    err = capsys.readouterr().err
    assert "JSON of boxes" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("box", ["3", "[0, 0, 9]", "[9, 9, 0, 0]", '["a", 0, 9, 9]'])
def test_a_bad_box_is_one_line(box: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("boxes.json").write_text(f'{{"digit": {box}}}')
    assert run(["compare", DIGITS, DIGITS, DIGIT, *FAST, "-m", "saliency", "--masks", "boxes.json"]) == 2
    err = capsys.readouterr().err
    assert "the box of 'digit'" in err
    assert err.count("\n") == 1


def test_bad_mask_files_skip_their_samples(capsys: pytest.CaptureFixture[str]) -> None:
    Path("masks").mkdir()
    for name, content in (("digit.npy", b"hello"), ("digit.png", b"hello")):
        (Path("masks") / name).write_bytes(content)
        assert run(["compare", DIGITS, DIGITS, DIGIT, *FAST, "-m", "saliency", "--masks", "masks"]) == 2
        assert name in capsys.readouterr().err
        (Path("masks") / name).unlink()
    np.save("masks/digit.npy", np.eye(28))
    assert run(["compare", DIGITS, DIGITS, DIGIT, *FAST, "-m", "saliency", "--masks", "masks"]) == 0


AGREEMENTS: dict[str, float] = {  # of the two maps below: 6 of 9 and 3 of 7 inside; the first points inside
    "mass-inside": 1 - (6 / 9 - 3 / 7),
    "pointing": 0.0,
}


def test_every_agreement_about_a_mask_is_its_formula() -> None:
    mask = np.array([[True, True], [False, False]])
    reference, candidate = np.array([[5.0, -1.0], [3.0, 0.0]]), np.array([[1.0, 2.0], [-4.0, 0.0]])
    assert mask_agreement(reference, candidate, mask) == pytest.approx(AGREEMENTS)
    assert set(AGREEMENTS) == set(MASKED)
