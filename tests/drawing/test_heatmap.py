"""Colours, scales and places of heat maps, read off the pixels."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from onnxray.drawing import fonts, heatmap
from onnxray.errors import InputError
from PIL import Image, ImageFont

ENDS = {
    "jet": [(0, 0, 128), (128, 0, 0)],
    "hot": [(11, 0, 0), (255, 255, 255)],
    "gray": [(0, 0, 0), (255, 255, 255)],
    "gray_r": [(255, 255, 255), (0, 0, 0)],
    "magma": [(0, 0, 4), (252, 253, 191)],
    "bwr": [(0, 0, 255), (255, 0, 0)],
    "RdBu_r": [(5, 48, 97), (103, 0, 31)],
}


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def one_hot(row: int, column: int, shape: tuple[int, int] = (7, 7)) -> np.ndarray:
    heat = np.zeros(shape, np.float32)
    heat[row, column] = 1
    return heat


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("palette", heatmap.PALETTES)
def test_palette_ends(palette):
    low = -1 if palette in heatmap.DIVERGING else 0
    colours = pixels(heatmap.colourise(np.array([[low, 1], [low - 5, 9]]), palette))
    np.testing.assert_array_equal(colours[0], ENDS[palette])
    np.testing.assert_array_equal(colours[1], ENDS[palette])  # what is beyond the ends has their colour


@pytest.mark.parametrize("palette", sorted(heatmap.DIVERGING))
def test_zero_is_whitish_in_a_diverging_palette(palette):
    assert pixels(heatmap.colourise(np.zeros((1, 1)), palette)).min() >= 245


def test_an_unknown_palette_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="no palette 'viridis'; choose from jet, hot, gray, gray_r, magma"):
        heatmap.colourise(np.zeros((2, 2)), "viridis")


def test_normalise_keeps_zero_and_divides_by_the_largest():
    heat = np.array([[0, 1], [2, -4]])
    np.testing.assert_array_equal(heatmap.normalise(heat, None), [[0, 0.25], [0.5, 0]])
    np.testing.assert_array_equal(heatmap.normalise(heat, None, signed=True), [[0, 0.25], [0.5, -1]])


def test_normalise_by_a_percentile_clips_the_outliers():
    heat = np.arange(101.0).reshape(1, 101)
    heat[0, 100] = 1e4
    scaled = heatmap.normalise(heat, 99)
    np.testing.assert_allclose(scaled[0, :100], np.arange(100) / 99, rtol=1e-6)
    assert scaled[0, 100] == 1


@pytest.mark.parametrize("noise", [0, 1e-8])
def test_a_lone_pixel_is_not_lost_to_the_percentile_nor_to_rounding_errors(noise):
    lone = one_hot(3, 4, (200, 200))
    np.testing.assert_allclose(heatmap.normalise(lone + noise), lone, atol=1e-7)


@pytest.mark.parametrize(("value", "scaled"), [(0, 0), (3, 1), (-3, -1), (1e-44, 1), (-1e38, -1)])
def test_constant_maps_are_flat(value, scaled):
    flat = heatmap.normalise(np.full((4, 5), value, np.float32), signed=True)
    np.testing.assert_array_equal(flat, np.full((4, 5), scaled))
    assert len(np.unique(pixels(heatmap.colourise(flat, "bwr")).reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_maps_that_are_not_finite_are_refused(value):
    heat = np.array([[0, value]])
    for draw in (heatmap.normalise, heatmap.colourise):
        with pytest.raises(InputError, match="NaN or infinite"):
            draw(heat)
    with pytest.raises(InputError, match="NaN or infinite"):
        heatmap.overlay(Image.new("RGB", (4, 4)), heat)


@pytest.mark.parametrize("shape", [(3,), (1, 2, 3), (0, 4)])
def test_only_maps_of_two_axes_are_drawn(shape):
    with pytest.raises(InputError, match=r"give one of \(height, width\)"):
        heatmap.normalise(np.zeros(shape))


def test_numbers_out_of_bounds_are_refused():
    picture, heat = Image.new("RGB", (4, 4)), np.zeros((4, 4))
    with pytest.raises(InputError, match="percentile is 101"):
        heatmap.normalise(heat, 101)
    with pytest.raises(InputError, match="alpha is -1"):
        heatmap.overlay(picture, heat, alpha=-1)
    with pytest.raises(InputError, match="fade is 2"):
        heatmap.overlay(picture, heat, fade=2)


def test_a_coarse_map_is_smooth_at_the_size_of_the_picture():
    full = heatmap.resize(one_hot(1, 5), (224, 224))
    assert full.shape == (224, 224)
    assert np.abs(np.diff(full, axis=0)).max() < 0.06  # nearest neighbours would jump by 1
    np.testing.assert_allclose(np.unravel_index(full.argmax(), full.shape), [1.5 * 32, 5.5 * 32], atol=1)


def test_an_overlay_lights_the_right_place_of_a_wide_picture():
    plain = Image.new("RGB", (320, 160), (90, 90, 90))
    drawn = pixels(heatmap.overlay(plain, one_hot(1, 6, (4, 8)), "hot", fade=0))
    lit = np.abs(drawn - 90).max(axis=-1)
    assert drawn.shape == (160, 320, 3)
    row, column = np.unravel_index(lit.argmax(), lit.shape)
    assert 40 <= row < 80
    assert 240 <= column < 280
    assert lit[:, :160].max() == 0
    assert lit[120:].max() <= 5  # bicubic rings by half a percent where its two axes overshoot


def test_an_overlay_mixes_by_the_root_of_the_strength():
    """alpha 0.5, strength 1/4: a quarter of red over three quarters of the picture."""
    picture = Image.new("RGB", (1, 1), (100, 60, 20))
    drawn = heatmap.overlay(picture, np.array([[0.25]]), "gray_r", alpha=0.5, fade=0)
    assert drawn.getpixel((0, 0)) == (75 + 48, 45 + 48, 15 + 48)  # gray_r at a quarter is 191
    full = heatmap.overlay(picture, np.array([[-1.0]]), "bwr", alpha=1)
    assert full.getpixel((0, 0)) == (0, 0, 255)


def test_an_empty_map_shows_the_picture_alone():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 8, 3), np.uint8))
    np.testing.assert_array_equal(heatmap.overlay(picture, np.zeros((3, 3)), fade=0), picture)
    grey = heatmap.overlay(Image.new("RGB", (1, 1), (200, 200, 200)), np.zeros((1, 1)), fade=0.4)
    assert grey.getpixel((0, 0)) == (160, 160, 160)


def test_small_pictures_are_enlarged_by_whole_factors():
    checks = Image.fromarray(np.array([[0, 255], [255, 0]], np.uint8))
    np.testing.assert_array_equal(heatmap.enlarge(checks, 5), np.kron([[0, 255], [255, 0]], np.ones((2, 2))))
    large = Image.new("RGB", (200, 10))
    assert heatmap.enlarge(large) is large


def test_a_grid_holds_every_picture_where_it_belongs():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    red, green, blue = (Image.new("RGB", (56, 56), colour) for colour in colours)
    sheet = heatmap.grid([[red, green], [blue]], tile=56)
    assert sheet.size == (2 * 56 + 3 * 2, 2 * 56 + 3 * 2)
    assert [sheet.getpixel(at) for at in ((30, 30), (88, 30), (30, 88))] == colours
    assert sheet.getpixel((88, 88)) == sheet.getpixel((0, 0)) == (255, 255, 255)


def test_captions_and_labels_make_room_for_themselves():
    picture = Image.new("RGB", (56, 56))
    plain = heatmap.grid([[picture, picture]], tile=56)
    named = heatmap.grid([[picture, picture]], ["one", "a caption in many words"], ["row"], tile=56)
    assert named.width > plain.width
    assert named.height > plain.height
    assert (pixels(named)[: named.height - 60, -58:] < 128).any()  # the caption is above the second picture
    assert (pixels(named)[-58:, : named.width - 118] < 128).any()  # the label is left of the row


def test_side_by_side_fits_pictures_of_all_sizes():
    sheet = heatmap.side_by_side([Image.new("L", (500, 100)), Image.new("RGB", (2, 2))], tile=56)
    assert sheet.size == (2 * 56 + 3 * 2, 56 + 2 * 2)


@pytest.mark.parametrize(("columns", "labels"), [(["a"], []), ([], ["a", "b"])])
def test_captions_that_do_not_fit_are_refused(columns, labels):
    pictures = [Image.new("RGB", (2, 2))] * 2
    with pytest.raises(InputError, match="do not fit 1 rows of 2 pictures"):
        heatmap.grid([pictures], columns, labels)


def test_a_grid_of_nothing_is_refused():
    with pytest.raises(InputError, match="do not fit 0 rows"):
        heatmap.grid([])


def test_a_font_has_the_letters_of_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's own font has few but those of ASCII; a machine without others draws what it can."""
    own = fonts.font_of(14, "plain text")
    monkeypatch.setattr(fonts, "SYSTEM", ("no-such-font.ttf",))
    assert fonts.font_of(14, "größer").getname() == own.getname()
    monkeypatch.undo()
    try:
        ImageFont.truetype("DejaVuSans.ttf", 14)
    except OSError:
        pytest.skip("no other font here")
    found = fonts.font_of(14, "größer \u2423 Ж")
    assert found.getname() != own.getname()
    assert bytes(found.getmask("Ж")) != bytes(found.getmask("\uffff"))
