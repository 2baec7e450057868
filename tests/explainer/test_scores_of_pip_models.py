"""Scores of real files: letters of text recognisers, and a place of a text detector under a mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxray
import onnxruntime
import pytest
from measures import distance
from onnxray.scores import Letter, Mask
from PIL import Image, ImageDraw, ImageFont
from pip_models import FILES, PipModel

pytestmark = pytest.mark.slow
TOLERANCE = 1e-5


def content(name: str) -> bytes:
    model: PipModel = next(one for one in FILES if one.member.endswith(name))
    try:
        return model.read()
    except OSError as error:
        pytest.skip(f"no registry: {error}")


def drawn(size: tuple[int, int], height: int, **texts: tuple[int, int]) -> np.ndarray:
    """Texts at their places, black on white, (1, 3, height, width) from 0 to 255."""
    picture = Image.new("RGB", size, "white")
    for text, place in texts.items():
        ImageDraw.Draw(picture).text(place, text, fill="black", font=ImageFont.load_default(height))
    return np.asarray(picture, np.float32)[None].transpose(0, 3, 1, 2)


def test_each_letter_of_a_recogniser_is_read_where_it_is_drawn() -> None:
    """PP-OCRv4, a transformer over columns of 8 pixels: covering the columns of a letter lowers its score the most."""
    x = drawn((168, 48), 36, HELLO47=(8, 4)) / 127.5 - 1
    explainer = onnxray.Explainer(
        content("ch_PP-OCRv4_rec_infer.onnx"), "occlusion", window=(3, 48, 16), stride=(3, 48, 8), baseline=1.0
    )
    found = explainer(np.repeat(x, 7, 0), Letter(list(range(7))))
    names = list("HELLO47")
    classes = found.target[:, 1]
    assert [names.index(name) for name in names] == [
        classes.tolist().index(k) for k in classes
    ]  # both Ls are one class
    middles = 4 * (found.target[:, 2] + found.target[:, 3] + 1)
    evidence = found.values.sum(1)[:, 24].argmax(1)
    near = np.abs(evidence - middles) <= 24
    print(list(zip(names, middles.tolist(), evidence.tolist(), strict=True)))
    assert near.sum() >= 5
    with pytest.raises(onnxray.InputError, match="letter 7 is not there: the letters read in example 0 are"):
        explainer(x, Letter(7))


def test_letters_of_a_recogniser_whose_steps_come_first(tmp_path: Path) -> None:
    """A residual net and an LSTM, (20, N, 37), whose blank is the last class, which must be said."""
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    x = np.concatenate([drawn((160, 60), 40, **{text: (20, 8)}) for text in ("K7P3", "WX9A")])[:, ::-1]
    explainer = onnxray.Explainer(content("captcha_crnn.onnx"), "integrated-gradients", steps=3)
    with pytest.raises(onnxray.InputError, match=r"class 36, the last, is the best at .* say which is the blank"):
        explainer(x, Letter(0))
    read = [explainer(x, Letter([k, k], blank=-1)) for k in range(4)]
    assert ["".join(digits[one.target[k, 1]] for one in read) for k in (0, 1)] == ["K7P3", "WX9A"]
    file = explainer.save(tmp_path / "e.onnx", target="letter")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    feed = np.full((2, 22), -1)
    feed[:, :2] = [[1, 36], [2, 36]]
    score, values = session.run(["score", "attribution"], {"image": x, "target": feed})
    assert distance(score, [read[1].score[0], read[2].score[1]]) <= TOLERANCE
    assert distance(values, np.stack([read[1].values[0], read[2].values[1]])) <= TOLERANCE


def test_a_text_detector_is_asked_by_a_mask() -> None:
    """PP-OCRv4's detector, (N, 1, height, width): the evidence for one of two words lies at that word."""
    x = drawn((320, 96), 32, HELLO=(16, 24), WORLD=(192, 24)) / 127.5 - 1
    explainer = onnxray.Explainer(content("ch_PP-OCRv4_det_infer.onnx"), "input-x-gradient")
    for left in (True, False):
        mask = np.zeros((96, 320), bool)
        mask[24:64, slice(0, 160) if left else slice(160, 320)] = True
        found = explainer(x, Mask(mask))
        columns = np.abs(found.values[0]).sum((0, 1))
        inside = columns[:160].sum() if left else columns[160:].sum()
        print(f"{inside / columns.sum():.3f} of the evidence at the word")
        assert inside / columns.sum() > 0.7
    with pytest.raises(onnxray.InputError, match=r"the mask has size \(95, 320\), .* have shape \(1, 96, 320\)"):
        explainer(x, Mask(mask[1:]))
