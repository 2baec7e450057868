"""Settings of Preprocess: guessed from a shape, kept in a model's metadata, refused where they cannot be."""

from __future__ import annotations

import warnings

import pytest
from onnxray.data.preprocess import METADATA_KEY, PRESETS, Preprocess
from onnxray.errors import InputError, ModelError


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (("batch", 3, 224, 200), Preprocess((224, 200))),
        ((1, 32, 33, 3), Preprocess((32, 33), "NHWC")),
        ((None, 1, 28, 28), Preprocess((28, 28), channels="L")),
        ((1, "c", 32, 3), Preprocess(None, "NHWC")),
    ],
)
def test_a_clear_shape_is_guessed(shape, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error" if expected.size else "ignore")
        assert Preprocess.guess(shape, "unit") == expected


@pytest.mark.parametrize(
    ("shape", "expected", "doubt"),
    [
        ((1, 3, 224, 3), Preprocess((224, 3)), "NCHW or NHWC"),
        (("n", "c", 8, 9), Preprocess((8, 9)), "NCHW or NHWC"),
        (("n", 8, 9, "c"), Preprocess((8, 9), "NHWC"), "NCHW or NHWC"),
        ((1, 3, "height", None), Preprocess(), "height x None is open"),
    ],
)
def test_an_unclear_shape_warns(shape, expected, doubt):
    with pytest.warns(UserWarning, match=doubt):
        assert Preprocess.guess(shape, "unit") == expected


def test_a_guess_without_preset_warns_of_the_range():
    with pytest.warns(UserWarning, match="range of the pixels is unknown"):
        assert Preprocess.guess((1, 3, 8, 8)) == Preprocess((8, 8))


def test_what_is_said_is_not_guessed():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = Preprocess.guess((1, None, None, None), "unit", layout="NHWC", size=(8, 9))
    assert said == Preprocess((8, 9), "NHWC")


def test_a_guess_takes_presets_and_changes():
    assert Preprocess.guess((1, 8, 9, 3), "caffe", fit="crop") == Preprocess.preset(
        "caffe", size=(8, 9), layout="NHWC", fit="crop"
    )


@pytest.mark.parametrize("shape", [(1, 30), (1, 12, 64, 64), (), (1, 3, 8, 8, 8)])
def test_a_shape_that_holds_no_pictures_is_refused(shape):
    with pytest.raises(InputError, match="give it an array"):
        Preprocess.guess(shape, "unit")


@pytest.mark.parametrize("name", PRESETS)
def test_metadata_comes_back(name):
    settings = Preprocess.preset(name, size=(224, 200), layout="NHWC", fit="crop")
    entry = settings.to_metadata()
    assert list(entry) == [METADATA_KEY] == ["onnxray.preprocess"]
    assert Preprocess.from_metadata({"author": "me", **entry}) == settings


ULTRALYTICS = {"task": "detect", "stride": "32", "imgsz": "[320, 640]", "channels": "3", "names": "{0: 'face'}"}


def test_exports_of_ultralytics_say_how_they_take_pictures():
    assert Preprocess.from_metadata(ULTRALYTICS) == Preprocess(size=(320, 640), fit="letterbox")
    other = Preprocess.preset("tf")
    assert Preprocess.from_metadata(ULTRALYTICS | other.to_metadata()) == other


@pytest.mark.parametrize("entry", [{"task": "classify"}, {"channels": "1"}, {"imgsz": "320"}, {"imgsz": "[0, 0]"}])
def test_what_ultralytics_does_not_say_is_not_guessed(entry):
    assert Preprocess.from_metadata(ULTRALYTICS | entry) is None


def test_a_model_without_metadata_has_no_preprocess():
    assert Preprocess.from_metadata({"author": "me"}) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting"),
        ("[1]", "object"),
        ('{"gamma": 2}', "'gamma' is no setting"),
        ('{"size": [224]}', r"\$.size"),
        ('{"channels": ["RGB"]}', r"\$.channels"),
        ('{"std": ["a", 1, 1]}', r"\$.std"),
    ],
)
def test_metadata_that_cannot_be_read_is_a_model_error(text, reason):
    with pytest.raises(ModelError, match=reason):
        Preprocess.from_metadata({METADATA_KEY: text})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": "CHW"}, "'CHW' is no layout; did you mean 'NCHW'[?] choose from NCHW, NHWC"),
        ({"fit": "pad"}, "choose from resize, crop"),
        ({"channels": "L", "mean": (1, 2, 3)}, "give 1 finite numbers"),
        ({"mean": (1, 2)}, "give 1 or 3 finite numbers"),
        ({"std": 0}, "no 0"),
        ({"range": (1, 1)}, "two ends"),
        ({"range": (0, float("inf"))}, "range is"),
        ({"size": (0, 4)}, "size is"),
        ({"size": 224}, "size is"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        Preprocess(**changes)


def test_unknown_names_are_refused():
    with pytest.raises(InputError, match="choose from imagenet, caffe, tf, unit, none"):
        Preprocess.preset("torch")
    with pytest.raises(InputError, match="'sise' is no setting"):
        Preprocess.preset("unit", sise=(1, 1))
