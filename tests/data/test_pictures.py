"""Every kind of picture that people have, and what is no picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnxray.data.preprocess import Preprocess
from onnxray.errors import InputError
from pictures import UNIT, constant, gradient
from PIL import Image

ORIENTATION = 0x0112
BROKEN = ("cut.png", "cut.jpg", "text.jpg", "empty.png", "missing.png", "folder")


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
