"""Preprocess against arithmetic done by hand."""

from __future__ import annotations

import numpy as np
import pytest
from onnxray.data.preprocess import Preprocess
from pictures import UNIT, constant, gradient
from PIL import Image


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
