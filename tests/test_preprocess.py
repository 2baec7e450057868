"""Preprocess against arithmetic done by hand, and every kind of picture that people have."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from onnxray.errors import InputError, ModelError
from onnxray.preprocess import METADATA_KEY, PRESETS, Preprocess
from PIL import Image

ORIENTATION = 0x0112
UNIT = Preprocess()
BROKEN = ("cut.png", "cut.jpg", "text.jpg", "empty.png", "missing.png", "folder")


def constant(*rgb: int, size: tuple[int, int] = (5, 4)) -> Image.Image:
    return Image.new("RGB", size, rgb)


def gradient() -> Image.Image:
    """40 wide, 20 high: red tells the column, green the row."""
    row, column = np.mgrid[:20, :40]
    return Image.fromarray(np.stack([column, row, 0 * row], axis=-1).astype(np.uint8))


@pytest.mark.parametrize(
    ("preset", "expected"),
    [
        ("imagenet", [(51 / 255 - 0.485) / 0.229, (102 / 255 - 0.456) / 0.224, (153 / 255 - 0.406) / 0.225]),
        ("caffe", [153 - 103.939, 102 - 116.779, 51 - 123.68]),
        ("tf", [-0.6, -0.2, 0.2]),
        ("unit", [0.2, 0.4, 0.6]),
        ("none", [51, 102, 153]),
    ],
)
def test_presets_on_a_constant_colour(preset, expected):
    batch = Preprocess.preset(preset)([constant(51, 102, 153)])
    assert batch.shape == (1, 3, 4, 5)
    assert batch.dtype == np.float32
    np.testing.assert_allclose(batch[0].reshape(3, -1), np.repeat([expected], 20, 0).T, rtol=1e-6)


def test_layouts_hold_the_same_numbers():
    first = UNIT(gradient())
    last = Preprocess(layout="NHWC")(gradient())
    assert (first.shape, last.shape) == ((1, 3, 20, 40), (1, 20, 40, 3))
    np.testing.assert_array_equal(first, last.transpose(0, 3, 1, 2))


def test_bgr_puts_blue_first_and_its_mean_is_the_first_one():
    bgr = Preprocess(channels="BGR", mean=(0.5, 0, 0))(constant(0, 0, 255))
    np.testing.assert_allclose(bgr[0, :, 0, 0], [0.5, 0, 0])


def test_changing_the_order_of_a_preset_keeps_the_mean_of_each_colour():
    rgb = Preprocess.preset("imagenet")(constant(10, 20, 30))
    bgr = Preprocess.preset("imagenet", channels="BGR")(constant(10, 20, 30))
    np.testing.assert_array_equal(rgb, bgr[:, ::-1])
    assert Preprocess.preset("caffe", channels="RGB").mean == (123.68, 116.779, 103.939)
    assert Preprocess.preset("caffe", channels="BGR") == Preprocess.preset("caffe")


def test_grey_uses_the_luma_of_rec_601():
    batch = Preprocess(channels="L", range=(0, 255))(constant(200, 100, 50))
    assert batch.shape == (1, 1, 4, 5)
    assert batch[0, 0, 0, 0] == round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)


def test_a_reversed_range_inverts():
    assert Preprocess(range=(1, 0))(constant(0, 255, 51))[0, :, 0, 0].tolist() == pytest.approx([1, 0, 0.8])


def test_resize_goes_straight_to_height_and_width():
    assert Preprocess(size=(7, 9))(gradient()).shape == (1, 3, 7, 9)
    assert Preprocess(size=(7, 9)).picture(gradient()).size == (9, 7)


def test_crop_is_the_centre_of_the_covering_resize():
    """7 x 7 of 40 x 20: resized to 16 x 8, columns 4 (4.5 rounded to even) to 11, rows 0 (0.5) to 7, so x2.5."""
    picture = np.asarray(Preprocess(size=(7, 7), fit="crop").picture(gradient())).astype(float)
    assert picture.shape == (7, 7, 3)
    np.testing.assert_allclose(picture[:, :, 0], [[2.5 * (4 + k + 0.5) - 0.5 for k in range(7)]] * 7, atol=0.51)
    inner_rows = [2.5 * (k + 0.5) - 0.5 for k in range(1, 7)]
    np.testing.assert_allclose(picture[1:, 0, 1], inner_rows, atol=0.51)


@pytest.mark.parametrize("size", [(300, 500), (500, 300), (224, 224), (257, 255)])
def test_crop_equals_resize_256_then_centre_crop_224(size):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), np.uint8)
    image = Image.fromarray(noise)
    width, height = size
    full = (256 * width // height, 256) if width >= height else (256, 256 * height // width)
    left, top = round((full[0] - 224) / 2), round((full[1] - 224) / 2)
    whole = image.resize(full, Image.Resampling.BILINEAR).crop((left, top, left + 224, top + 224))
    ours = Preprocess(size=(224, 224), fit="crop").picture(image)
    difference = np.abs(np.asarray(ours).astype(int) - np.asarray(whole))
    assert difference.max() <= 1  # the crop alone is resampled, in other roundings


def test_crop_of_a_strip_costs_no_more_than_the_crop():
    assert Preprocess(size=(224, 224), fit="crop").picture(Image.new("RGB", (30_000, 2))).size == (224, 224)


def test_exif_orientation_turns_the_picture(tmp_path: Path):
    image = constant(0, 0, 0, size=(3, 2))
    image.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be shown turned by 90 degrees clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    batch = UNIT(tmp_path / "turned.png")
    assert batch.shape == (1, 3, 3, 2)
    assert np.argwhere(batch[0, 0]).tolist() == [[0, 1]]  # the left upper corner went to the right upper one


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa"])
def test_transparent_parts_are_white(mode):
    assert np.asarray(UNIT.picture(Image.new(mode, (2, 2)))).min() == 255


def test_alpha_is_mixed_with_white():
    half = Image.new("RGBA", (1, 1), (255, 0, 0, 51))
    assert UNIT.picture(half).getpixel((0, 0)) == (255, 204, 204)


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_colour_is_white(mode, tmp_path: Path):
    key = (0, 0, 0) if mode == "RGB" else 0
    Image.new(mode, (2, 2)).save(tmp_path / "key.png", transparency=key)
    assert np.asarray(UNIT.picture(tmp_path / "key.png")).min() == 255


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "RGB", "HSV"])
def test_modes_become_rgb(mode):
    red = constant(255, 0, 0).convert(mode)
    picture = UNIT.picture(red)
    assert picture.mode == "RGB"
    np.testing.assert_array_equal(picture, red.convert("RGB"))
    if mode not in ("1", "L"):
        np.testing.assert_allclose(np.asarray(picture)[2, 2], (255, 0, 0), atol=2)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path):
    ramp = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    with Image.open(tmp_path / "deep.png") as deep:
        assert deep.mode == "I;16"
    picture = np.asarray(UNIT.picture(tmp_path / "deep.png"))
    np.testing.assert_array_equal(picture[:, :, 0], np.arange(256).reshape(16, 16))
    wide = np.asarray(UNIT.picture(Image.fromarray(ramp.astype(np.int32))))
    np.testing.assert_array_equal(wide, picture)


@pytest.mark.parametrize("value", [-1, 65536])
def test_more_than_sixteen_bits_are_refused(value):
    with pytest.raises(InputError, match="16 bits"):
        UNIT(Image.fromarray(np.full((2, 2), value, np.int32)))


def test_floating_point_pixels_are_refused():
    with pytest.raises(InputError, match="floating-point"):
        UNIT(Image.new("F", (2, 2)))


def test_the_picture_given_is_not_changed():
    image = Image.new("RGBA", (4, 2), (9, 9, 9, 9))
    Preprocess(size=(3, 3), fit="crop")(image)
    assert (image.mode, image.size, image.getpixel((0, 0))) == ("RGBA", (4, 2), (9, 9, 9, 9))


def broken(folder: Path) -> dict[str, Path]:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
    for name in ("cut.png", "cut.jpg"):
        noise.save(folder / name)
        (folder / name).write_bytes((folder / name).read_bytes()[:500])
    (folder / "text.jpg").write_text("no picture\nat all")
    (folder / "empty.png").write_bytes(b"")
    (folder / "folder").mkdir()
    return {name: folder / name for name in BROKEN}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_picture_is_one_line_that_names_it(kind, tmp_path: Path):
    path = broken(tmp_path)[kind]
    with pytest.raises(InputError) as caught:
        UNIT([path])
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("limit", [700, 300])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(limit, tmp_path: Path, monkeypatch):
    """Pillow only warns up to twice its limit: 800 pixels against 700 warn, against 300 they raise."""
    gradient().save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(InputError, match=r"bomb\.png.*limit"):
        UNIT(str(tmp_path / "bomb.png"))


def test_an_array_is_no_picture():
    with pytest.raises(InputError, match="path or a PIL image, not ndarray"):
        UNIT([np.zeros((4, 4, 3), np.uint8)])  # pyright: ignore[reportArgumentType]


def test_no_pictures_and_different_sizes():
    with pytest.raises(InputError, match="no pictures"):
        UNIT([])
    with pytest.raises(InputError, match="differ in size"):
        UNIT([constant(1, 2, 3), gradient()])
    assert Preprocess(size=(4, 4))([constant(1, 2, 3), gradient()]).shape == (2, 3, 4, 4)


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


def test_a_model_without_metadata_has_no_preprocess():
    assert Preprocess.from_metadata({"author": "me"}) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Expecting"),
        ("[1]", "mapping"),
        ('{"gamma": 2}', "'gamma' is no setting"),
        ('{"size": [224]}', "size is"),
        ('{"channels": ["RGB"]}', "no channels"),
        ('{"std": ["a", 1, 1]}', "std is"),
    ],
)
def test_metadata_that_cannot_be_read_is_a_model_error(text, reason):
    with pytest.raises(ModelError, match=reason):
        Preprocess.from_metadata({METADATA_KEY: text})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layout": "CHW"}, "'CHW' is no layout; choose from NCHW, NHWC"),
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
