"""An attribution as the last line of a cell: its line, its picture, its array, axes of matplotlib."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import numpy as np
import onnxray
import pytest
from onnxray import Attribution, InputError, models
from PIL import Image

VALUES = np.random.default_rng(0).standard_normal((16, 3, 8, 9)).astype(np.float32)


def attribution(values: Any = VALUES, **changes: Any) -> Attribution:
    count = 2 if isinstance(values, dict) else len(values)
    given = {"target": np.full(count, 999), "score": np.full(count, 0.095, np.float32)} | changes
    return Attribution(values, method="saliency", **given)


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (attribution(VALUES[:1]), "Attribution(saliency, 1 x (3, 8, 9), target 999, score 0.095)"),
        (attribution(), "Attribution(saliency, 16 x (3, 8, 9), target 999, scores 0.095 to 0.095)"),
        (
            attribution(VALUES[:5], target=np.array([3, 1, 3, 4, 5]), score=np.arange(5.0)),
            "Attribution(saliency, 5 x (3, 8, 9), targets 3, 1, 4, ..., scores 0 to 4)",
        ),
        (
            attribution(VALUES[:1], target=np.array([[844, 21]])),
            "Attribution(saliency, 1 x (3, 8, 9), target 844,21, score 0.095)",
        ),
        (
            attribution({"a": VALUES[:2], "b": VALUES[:2, 0, 0]}),
            "Attribution(saliency, 2 x a (3, 8, 9), b (9,), target 999, scores 0.095 to 0.095)",
        ),
    ],
)
def test_the_line(given: Attribution, line: str) -> None:
    assert repr(given) == line


def test_an_array_is_made_of_the_values() -> None:
    one = attribution()
    assert np.asarray(one) is one.values
    assert np.array(one) is not one.values
    np.testing.assert_array_equal(np.asarray(one, np.float64), VALUES.astype(np.float64))
    np.testing.assert_array_equal(np.abs(one), np.abs(VALUES))
    with pytest.raises(ValueError, match="copy"):
        np.array(one, np.float64, copy=False)


def test_an_array_of_several_inputs_is_an_error() -> None:
    with pytest.raises(InputError, match="several inputs"):
        np.asarray(attribution({"a": VALUES[:2], "b": VALUES[:2]}))


def test_the_picture_of_a_cell() -> None:
    one = attribution(VALUES[:1])
    shown = one._repr_html_()
    found = re.fullmatch(r'<img alt="(.*)" src="data:image/png;base64,(.*)"><br><code>(.*)</code>', shown)
    assert found is not None
    assert found[1] == found[3] == repr(one)
    picture = Image.open(io.BytesIO(base64.b64decode(found[2])))
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), np.asarray(one.figure().convert("RGB")))


def test_a_cell_has_the_first_examples_and_no_picture_of_what_has_none() -> None:
    few, many = (Image.open(io.BytesIO(attribution(VALUES[:n])._repr_png_() or b"")) for n in (8, 16))
    assert few.size == many.size
    lines = attribution(np.zeros((1, 2, 2, 2, 2, 2), np.float32))
    assert (lines._repr_png_(), lines._repr_html_()) == (None, f"<code>{lines!r}</code>")


def test_a_model_has_a_line() -> None:
    digits = models.path("digits.onnx")
    assert repr(onnxray.load(digits)) == "Model(digits.onnx: image (batch, 1, 28, 28) -> logits (batch, 10))"


@pytest.mark.slow
def test_axes_of_matplotlib() -> None:
    pyplot = pytest.importorskip("matplotlib.pyplot", reason="matplotlib is of the extra charts")
    one, (figure, axes) = attribution(VALUES[:2]), pyplot.subplots()
    assert one.plot(axes, 1, style="map") is axes
    np.testing.assert_array_equal(axes.images[0].get_array(), np.asarray(one.image(1, style="map")))
    assert axes.get_title() == "saliency, target 999, score 0.095"
    own = one.plot()
    assert own.figure is not figure
    pyplot.close("all")


@pytest.mark.slow
def test_comparisons_and_evaluations_have_a_line() -> None:
    digits, x = models.path("digits.onnx"), np.random.default_rng(0).random((3, 1, 28, 28), np.float32)
    compared = onnxray.compare(digits, digits, x, methods=["saliency"], layers=False)
    assert repr(compared).startswith(
        "Comparison(digits.onnx with digits.onnx: PASS, 3 samples, saliency spearman passes: 1 is "
    )
    found = onnxray.evaluate(digits, x, methods=["saliency", "grad-cam"], metrics=["sparseness"])
    assert re.fullmatch(r"Evaluation\(digits.onnx: 3 samples, \S+ > \S+ by sparseness\)", repr(found))
