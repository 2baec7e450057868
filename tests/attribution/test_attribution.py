"""Attribution: reductions by hand, pictures of the right place, files that come back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnxray.attribution.result import Attribution
from onnxray.drawing.bar_chart import bar_chart, rank_features
from onnxray.errors import InputError, OutputError
from PIL import Image


def attribution(values, **changes) -> Attribution:
    count = len(values)
    target, score = np.arange(count, dtype=np.int64), np.linspace(1, 2, count, dtype=np.float32)
    return replace(Attribution(np.asarray(values, np.float32), target, score, "saliency"), **changes)


def signed_pixel() -> np.ndarray:
    """One picture of 3 channels and 2 x 2 pixels, of which one holds 1, -5, 2."""
    values = np.zeros((1, 3, 2, 2), np.float32)
    values[0, :, 0, 1] = 1, -5, 2
    return values


def photographs(count: int, size: tuple[int, int] = (64, 48)) -> tuple[Image.Image, ...]:
    return tuple(Image.new("RGB", size, (90, 90, 10 * k)) for k in range(count))


def table() -> Attribution:
    return attribution(np.array([[1, -2, 3]]))


def two_inputs() -> Attribution:
    values = {"image": np.ones((2, 3, 4, 4), np.float32), "table": np.arange(6, dtype=np.float32).reshape(2, 3)}
    return Attribution(values, np.array([7, 8]), np.array([0.5, 0.25], np.float32), "gradient")


@pytest.mark.parametrize(
    ("reduce", "expected"), [("abs-max", 5), ("abs-sum", 8), ("max", 2), ("sum", -2), ("mean", -2 / 3)]
)
@pytest.mark.parametrize("layout", ["NCHW", "NHWC", None])
def test_reductions_by_hand(reduce, expected, layout):
    values = signed_pixel() if layout != "NHWC" else signed_pixel().transpose(0, 2, 3, 1)
    heat = attribution(values, layout=layout).map(reduce)
    assert heat.dtype == np.float32
    np.testing.assert_allclose(heat, [[[0, expected], [0, 0]]], rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_the_norm_of_numbers_whose_squares_float32_does_not_hold(scale: float) -> None:
    heat = attribution(signed_pixel() * np.float32(scale), layout="NCHW").map("norm")
    np.testing.assert_allclose(heat / np.float32(scale), attribution(signed_pixel()).map("norm"), rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((2, 3, 8, 9), (2, 8, 9)),
        ((2, 8, 9, 3), (2, 8, 9)),
        ((2, 8, 9, 1), (2, 8, 9)),
        ((2, 3, 8, 3), (2, 8, 3)),
        ((2, 4, 8, 8), (2, 8, 8)),
        ((2, 7, 7), (2, 7, 7)),
        ((2, 30), (2, 30)),
    ],
)
def test_the_channel_axis_is_guessed(shape, expected):
    assert attribution(np.zeros(shape)).map().shape == expected


def test_values_without_channels_keep_their_sign_unless_magnitudes_are_asked_for():
    np.testing.assert_array_equal(table().map("sum"), [[1, -2, 3]])
    np.testing.assert_array_equal(table().map(), [[1, 2, 3]])
    cam = attribution(np.array([[[-1, 2]]]))
    np.testing.assert_array_equal(cam.map("mean"), [[[-1, 2]]])


def test_values_that_have_no_map_are_refused():
    with pytest.raises(InputError, match=r"no channel axis of 1, 3 or 4; set layout"):
        attribution(np.zeros((1, 12, 8, 8))).map()
    with pytest.raises(InputError, match=r"have no map"):
        attribution(np.zeros((1, 1, 3, 8, 8, 8))).map()
    with pytest.raises(InputError, match="choose from abs-max, abs-sum, norm, max, sum, mean"):
        table().map("median")
    with pytest.raises(InputError, match="'CHW' is no layout"):
        attribution(np.zeros((1, 3, 8, 8)), layout="CHW")


def test_several_inputs_are_picked_by_name():
    both = two_inputs()
    assert len(both) == 2
    with pytest.raises(InputError, match="image, table; pick one"):
        both.map()
    np.testing.assert_array_equal(both["table"].map(), [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(both[1]["table"].map(), [[3, 4, 5]])
    with pytest.raises(InputError, match="no values of an input 'audio'; the attribution holds image, table"):
        both["audio"]


def test_one_example_keeps_its_own_of_everything():
    whole = attribution(np.arange(6).reshape(3, 1, 1, 2), delta=np.array([0.1, 0.2, 0.3]), pictures=photographs(3))
    last = whole[-1]
    np.testing.assert_array_equal(last.values, [[[[4, 5]]]])
    assert (len(last), last.target.tolist(), last.score.tolist(), last.method) == (1, [2], [2.0], "saliency")
    assert last.delta is not None
    assert last.delta.tolist() == [0.3]
    assert last.pictures == whole.pictures[2:]
    assert [one.target[0] for one in whole] == [0, 1, 2]
    assert whole[1:].target.tolist() == [1, 2]


@pytest.mark.parametrize("index", [3, -4])
def test_an_example_that_is_not_there_is_refused(index):
    with pytest.raises(InputError, match=f"no example {index}; the attribution holds 3"):
        attribution(np.zeros((3, 2)))[index]


def test_pictures_and_examples_go_together():
    with pytest.raises(InputError, match="2 pictures for 1 examples"):
        attribution(signed_pixel(), pictures=photographs(2))


def test_the_image_lights_the_right_place_of_its_picture():
    values = np.zeros((2, 3, 24, 32), np.float32)
    values[1, 2, 5, 30] = -4
    image = attribution(values, pictures=photographs(2, (320, 240))).image(1, fade=0)
    changed = np.abs(np.asarray(image).astype(int) - (90, 90, 10)).max(axis=-1)
    row, column = np.unravel_index(changed.argmax(), changed.shape)
    assert image.size == (320, 240)
    assert 50 <= row < 60
    assert 300 <= column < 310
    assert changed[120:].max() == 0


def test_without_pictures_the_map_stands_alone():
    values = np.zeros((1, 1, 28, 28))
    values[0, 0, 3, 4] = 1
    image = attribution(values).image(palette="gray")
    assert image.size == (224, 224)  # 8 x 8 pixels for one
    np.testing.assert_array_equal(np.asarray(image)[..., 0], np.kron(values[0, 0] * 255, np.ones((8, 8))))


def test_cam_maps_are_smooth_with_and_without_a_small_picture():
    heat = np.zeros((1, 7, 7))
    heat[0, 3, 3] = 1
    for pictures in ((), photographs(1, (28, 28))):
        image = attribution(heat, pictures=pictures).image(palette="gray", style="map")
        assert image.size == (224, 224)
        assert np.abs(np.diff(np.asarray(image).astype(int), axis=0)).max() < 15


def test_the_palette_follows_the_sign_and_the_kind_of_map():
    corner = {"bwr": (255, 255, 255), "jet": (0, 0, 128), "hot": (11, 0, 0)}
    assert attribution(signed_pixel()).image(reduce="sum").getpixel((0, 223)) == corner["bwr"]
    assert attribution(signed_pixel()).image().getpixel((0, 223)) == corner["hot"]
    cam = np.zeros((1, 7, 7))
    cam[0, 0, 6] = 1
    assert attribution(cam).image().getpixel((0, 223)) == corner["jet"]


def test_a_blank_map_and_a_broken_one():
    assert attribution(np.zeros((1, 3, 8, 8)), pictures=photographs(1)).image().size == (192, 144)
    with pytest.raises(InputError, match="NaN"):
        attribution(np.full((1, 3, 8, 8), np.nan)).image()


def test_a_table_is_drawn_as_bars():
    assert table().image() == bar_chart(rank_features(np.array([1, -2, 3])))


def test_values_of_other_ranks_have_no_image():
    with pytest.raises(InputError, match=r"maps of shape \(1, 12, 8, 8\) are no picture"):
        attribution(np.zeros((1, 12, 8, 8))).image()


def test_a_figure_shows_picture_map_and_overlay():
    whole = attribution(np.ones((1, 3, 48, 64)), pictures=photographs(1))
    figure = whole.figure(palette="gray")
    assert figure.width > 3 * 192
    assert figure.height > 144
    assert attribution(np.ones((1, 3, 48, 64))).figure().width < 300
    assert whole.figure(captions=("a", "b", "c")).size == figure.size


@pytest.mark.parametrize("name", ["out.png", "OUT.PNG"])
def test_png_is_the_image(name, tmp_path: Path):
    one = attribution(signed_pixel(), pictures=photographs(1))
    path = one.save(tmp_path / name, palette="gray")
    assert path == tmp_path / name
    with Image.open(path) as saved:
        np.testing.assert_array_equal(saved, one.image(palette="gray"))


def test_png_of_several_examples_is_a_grid_of_them(tmp_path: Path):
    with Image.open(attribution(np.ones((9, 3, 8, 8))).save(tmp_path / "nine.png")) as saved:
        assert saved.size == (8 * 224 + 9 * 8, 2 * 224 + 3 * 8)


@pytest.mark.parametrize("name", ["out.npz", "OUT.NPZ"])
def test_npz_comes_back(name, tmp_path: Path):
    whole = attribution(
        signed_pixel(), delta=np.array([0.5]), layout="NCHW", pictures=photographs(1), provenance={"steps": 32}
    )
    back = Attribution.load(whole.save(tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    for field in ("values", "target", "score", "delta"):
        np.testing.assert_array_equal(getattr(back, field), getattr(whole, field))
        assert getattr(back, field).dtype == getattr(whole, field).dtype
    assert (back.method, back.layout, back.provenance) == ("saliency", "NCHW", {"steps": 32})
    np.testing.assert_array_equal(back.image(), whole.image())


def test_npz_of_several_inputs_and_of_the_least(tmp_path: Path):
    back = Attribution.load(two_inputs().save(tmp_path / "two.npz"))
    assert isinstance(back.values, dict)
    assert list(back.values) == ["image", "table"]
    np.testing.assert_array_equal(back["table"].map(), two_inputs()["table"].map())
    assert (back.delta, back.layout, back.pictures, back.provenance) == (None, None, (), {})


def test_other_files_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match=r"nothing is saved as '\.jpg'"):
        table().save(tmp_path / "out.jpg")
    with pytest.raises(InputError, match="no picture"):
        attribution(np.zeros((1, 12, 8, 8))).save(tmp_path / "out.png")
    assert not list(tmp_path.iterdir())
    with pytest.raises(OutputError, match=r"out\.npz cannot be written: No such file"):
        table().save(tmp_path / "missing" / "out.npz")


def test_files_that_hold_no_attribution_are_refused(tmp_path: Path):
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "text.npz").write_text("text")
    for path in (*tmp_path.iterdir(), tmp_path / "missing.npz"):
        with pytest.raises(InputError, match="cannot be read") as caught:
            Attribution.load(path)
        assert "\n" not in str(caught.value)
