"""Scores beyond classes on the command line: the words of --target, their errors, and their names in results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import model, normal
from cli_tools import DIGIT, DIGITS, one_line, records
from onnxray.attribution.score_axes import ScoreAxes
from onnxray.attribution.scores.mask_places import mask_of
from onnxray.attribution.target_words import WORDS, target_of
from onnxray.cli.app import run
from onnxray.scores import Box, Class, ClassBoxes, Contrast, Letter, Mask, Norm, Not, Token
from PIL import Image

pytestmark = pytest.mark.usefixtures("elsewhere")
CLASSES, STEPS, MAPS = ScoreAxes("y", (4,)), ScoreAxes("y", (5, 3)), ScoreAxes("y", (2, 2, 3))
BOX = ("score", 0.25, 0.45, None)  # the other fields of a box
LABELS = {0: "cat", 1: "dog", 2: "x-ray", 3: "ray"}


@pytest.fixture
def sequence() -> str:
    """A net whose scores are its input, 6 steps of 3 classes, of which 0 is the blank, and a file of an input."""
    net = model("net (float[N, 6, 3] x) => (float[N, 6, 3] y) { y = Identity(x) }")
    onnx.helper.set_model_props(net, {"onnxray.labels": '["blank", "a", "b"]'})
    onnx.save(net, "sequence.onnx")
    np.save("x.npy", np.eye(3, dtype=np.float32)[[[0, 2, 2, 0, 1, 0]]])
    return "sequence.onnx"


@pytest.mark.parametrize(
    ("text", "kind", "fields"),
    [
        ("0-1", Contrast, (0, 1)), ("cat-dog", Contrast, (0, 1)), ("top1-2", Contrast, ("top1", 2)),
        ("x-ray-dog", Contrast, (2, 1)), ("0,1-1,2", Contrast, ((0, 1), (1, 2))), ("ray - CAT", Contrast, (3, 0)),
        ("token:5", Token, (5, "top1")), ("token:-1:2", Token, (-1, 2)), ("token:0:dog", Token, (0, 1)),
        ("letter:2", Letter, (2, None)), ("letter:2:-1", Letter, (2, -1)),
        ("not:1", Not, (1,)), ("not:dog", Not, (1,)), ("not:top1", Not, ("top1",)), ("not:0,1", Not, ((0, 1),)),
        ("norm", Norm, ()), ("box:2", Box, (2, None, None, *BOX)), ("box:dog", Box, (0, 1, None, *BOX)),
        ("box:1:dog", Box, (1, 1, None, *BOX)), ("box:1,2,3,4.5", Box, (0, None, [1, 2, 3, 4.5], *BOX)),
        ("boxes:dog", ClassBoxes, (1, *BOX[1:])),
    ],
)  # fmt: skip
def test_a_text_means_a_score(text: str, kind: type, fields: tuple) -> None:
    for scores in (CLASSES, STEPS):
        found = target_of(text, LABELS, scores)
        assert type(found) is kind
        assert tuple(vars(found).values()) == fields


def test_a_label_comes_before_a_word_and_a_difference() -> None:
    assert target_of("x-ray", LABELS, CLASSES) == 2
    assert target_of("norm", {0: "norm"}, CLASSES) == 0
    assert target_of("token:5", {0: "token:5"}, CLASSES) == 0


def test_a_difference_that_may_be_two_is_refused() -> None:
    labels = {0: "a", 1: "a-b", 2: "b-c", 3: "c"}
    with pytest.raises(onnxray.InputError, match="may be 'a' against 'b-c' or 'a-b' against 'c'; give the indices"):
        target_of("a-b-c", labels, CLASSES)
    with pytest.raises(onnxray.InputError, match=r"'a' is the name of several classes, \[0, 1\]"):
        target_of("a-b", {0: "a", 1: "a", 2: "b"}, CLASSES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tok:5", "is no index, tuple of indices or label; the labels are cat, dog"), ("norm:2", "is no index"),
        ("cat-bird", "is no index"), ("token", "is no index"),
        ("token:a", "as in token:5 or token:5:17: 'a' is no number"), ("letter:1:b", "'b' is no number"),
        ("token:1:bird", "target 'bird' is no index"), ("token:1:0,1", "'0,1' is no index or label"),
        ("not:bird", "target 'bird' is no index"), ("mask:none.png", "none.png cannot be read as a picture"),
    ],
)  # fmt: skip
def test_what_means_no_score_is_refused_in_a_line(text: str, said: str) -> None:
    with pytest.raises(onnxray.InputError, match=said) as found:
        target_of(text, LABELS, CLASSES)
    assert "\n" not in str(found.value)


def test_an_unknown_word_is_told_all_of_them() -> None:
    for scores in (CLASSES, MAPS):
        with pytest.raises(onnxray.InputError, match="tok:5") as found:
            target_of("tok:5", {}, scores)
        assert [form for word in WORDS.values() for form in word.forms if form not in str(found.value)] == []


def test_every_word_is_in_the_help_and_in_a_test(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "--help"]) == 0
    told = capsys.readouterr().out
    text = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parents[1].rglob("test_*.py"))
    assert [name for name in WORDS if f"{name}:" not in told and name not in told] == []
    assert [name for name in WORDS if f'"{name}:' not in text and f'"{name}"' not in text] == []


@pytest.mark.parametrize("name", ["mask.png", "a:mask.png"])
def test_a_mask_is_read_from_a_file_whose_name_may_hold_colons(name: str) -> None:
    drawn = np.array([[0, 255, 0], [0, 0, 255]], np.uint8)
    Image.fromarray(drawn).save(name)
    for text, channel in {f"mask:{name}": None, f"mask:{name}:1": 1, f"mask:{name}:top1": "top1"}.items():
        found = target_of(text, {}, MAPS)
        assert isinstance(found, Mask)
        np.testing.assert_array_equal(mask_of(found.mask), drawn > 0)
        assert found.channel == channel


@pytest.mark.parametrize(
    ("text", "target", "name"),
    [("6-8", [6, 8], "6 against 8"), ("norm", [], "norm")],
)
def test_results_name_what_is_explained(
    text: str, target: object, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", DIGITS, DIGIT, "--target", text, "--json"]) == 0
    (record,) = records(capsys.readouterr().out)
    assert (record["target"], record["explained"]) == (target, name)


@pytest.mark.parametrize(
    ("text", "target", "name"),
    [
        ("letter:0", [0, 2, 1, 2], "letter 0, class b (2) at steps 1 to 2"),
        ("token:-1:b", [5, 2], "token 5, word b (2)"),
    ],
)
def test_a_sequence_is_asked_by_step_and_by_letter(
    text: str, target: list[int], name: str, sequence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["explain", sequence, "x.npy", "--target", text, "--json"]) == 0
    (record,) = records(capsys.readouterr().out)
    assert (record["target"], record["label"], record["explained"]) == (target, None, name)


def test_a_letter_that_is_not_there_is_an_error(sequence: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = one_line(["explain", sequence, "x.npy", "--target", "letter:2"], capsys)
    assert "letter 2 is not there: the letters read in example 0 are of the classes 2, 1 (blank 0)" in said


def test_a_segmenter_is_asked_by_a_mask(capsys: pytest.CaptureFixture[str]) -> None:
    net = model(
        "net (float[N, 3, 4, 4] x) => (float[N, 2, 4, 4] y) { y = Conv<kernel_shape = [1, 1]>(x, W) }",
        {"W": normal(2, 3, 1, 1)},
    )
    onnx.helper.set_model_props(net, {"onnxray.labels": '["road", "car"]'})
    onnx.save(net, "net.onnx")
    np.save("x.npy", normal(1, 3, 4, 4))
    Image.fromarray(np.eye(4, dtype=np.uint8)).save("mask.png")
    assert run(["explain", "net.onnx", "x.npy", "--target", "mask:mask.png:car", "--json"]) == 0
    (record,) = records(capsys.readouterr().out)
    assert (record["target"], record["label"]) == (1, "car")
    assert record["explained"] == "channel car (1) under the mask"
    assert "a mask on 2 channels: name one" in one_line(
        ["explain", "net.onnx", "x.npy", "--target", "mask:mask.png"], capsys
    )
    Image.fromarray(np.eye(5, dtype=np.uint8)).save("mask.png")
    said = one_line(["explain", "net.onnx", "x.npy", "--target", "mask:mask.png:car"], capsys)
    assert "the mask has size (5, 5), the scores 'y' of one example have shape (2, 4, 4)" in said


def test_scores_of_an_unknown_shape_are_not_taken_for_one() -> None:
    unknown = ScoreAxes("y", (), known=False)
    assert Class(3).words(np.array(3), {}, unknown) == "class 3"
    assert Mask(np.eye(2), 1).words(np.array(1), {}, unknown) == "channel 1 under the mask"
    assert Mask(np.eye(2)).words(np.array(0), {}, unknown) == "the scores under the mask"


def test_the_only_score_of_a_regression_is_no_class(capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(model("net (float[N, 4] x) => (float[N, 1] y) { y = MatMul(x, W) }", {"W": normal(4, 1)}), "net.onnx")
    np.save("x.npy", normal(1, 4))
    assert run(["explain", "net.onnx", "x.npy"]) == 0
    assert "x.npy: the only score, score " in capsys.readouterr().out
    said = one_line(["explain", "net.onnx", "x.npy", "--target", "1"], capsys)
    assert "target 1 is out of range: the model has one score, 0" in said
    assert run(["inspect", "net.onnx"]) == 0
    told = capsys.readouterr().out
    assert "give 0, there is one score" in told
    assert "class" not in told.split("give 0")[0].rsplit("\n", 1)[-1]
