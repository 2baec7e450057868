"""How inputs are seen and drawn: kinds by shape, series over time, slices of volumes, styles, scales."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnxray.attribution.result import Attribution
from onnxray.drawing.colour_scale import colour_scale
from onnxray.drawing.kinds import kind_of
from onnxray.drawing.series import LEFT, WIDTH, TimeAxis
from onnxray.errors import InputError, RuntimeUnavailable
from PIL import Image

Array = np.ndarray


def attribution(values: Array, **changes: Any) -> Attribution:
    count = len(values)
    return Attribution(values.astype(np.float32), np.arange(count), np.ones(count, np.float32), "saliency", **changes)


def series(channels: int = 2, samples: int = 50, **changes: Any) -> Attribution:
    """Evidence for the score at the tenth sample of the last channel, half as much against it at the twentieth."""
    values = np.zeros((1, channels, samples))
    values[0, -1, 10], values[0, -1, 20] = 1, -0.5
    return attribution(values, inputs={"x": np.sin(np.arange(channels * samples)).reshape(values.shape)}, **changes)


def reddish(picture: Image.Image) -> Array:
    pixels = np.asarray(picture).astype(int)
    return (pixels[..., 0] > pixels[..., 2] + 30) & (pixels[..., 0] > 200)


@pytest.mark.parametrize(
    ("kind", "shape", "known"),
    [
        ("series", (2, 50), {}),
        ("series", (50, 2), {}),
        ("series", (1, 576), {}),
        ("series", (80, 300), {"layout": "NCT"}),
        ("series", (80, 300), {"timed": True}),
        ("picture", (28, 28), {}),
        ("picture", (8, 8), {}),
        ("picture", (7, 7), {"of": (3, 224, 224)}),
        ("picture", (3, 8, 9), {}),
        ("picture", (8, 9, 3), {}),
        ("picture", (12, 8, 8), {"layout": "NCHW"}),
        ("nothing", (12, 8, 8), {}),
        ("volume", (1, 12, 8, 8), {}),
        ("volume", (3, 4, 4), {"of": (1, 3, 4, 4)}),
        ("nothing", (3, 4, 4), {"of": (3, 8, 8)}),
        ("vector", (30,), {}),
        ("vector", (2000,), {"named": True}),
        ("series", (2000,), {}),
        ("series", (30,), {"timed": True}),
        ("series", (25,), {"of": (2, 50)}),
        ("vector", (25,), {"of": ()}),
        ("tokens", (9, 4), {"layout": "NLC"}),
        ("nothing", (1, 1, 2, 2, 2), {}),
    ],
)
def test_the_shape_tells_how_an_input_is_seen(kind: str, shape: tuple[int, ...], known: dict[str, Any]) -> None:
    assert kind_of(shape, **known) == kind


def test_evidence_of_a_series_is_at_its_time_in_its_channel() -> None:
    rows, columns = np.nonzero(reddish(series().image()))
    width = WIDTH / 50
    assert LEFT + 10 * width - 1 <= columns.min() < columns.max() <= LEFT + 11 * width
    assert rows.min() > 84  # below the first channel


def test_the_axes_of_a_series_are_turned_where_time_comes_first() -> None:
    first = series()
    turned = attribution(np.swapaxes(first.values, 1, 2), inputs={"x": np.swapaxes(first.inputs["x"], 1, 2)})
    np.testing.assert_array_equal(turned.image(), first.image())
    rows_first = np.ascontiguousarray(np.moveaxis(first.values, 2, 0))  # (T, N, C), as recurrent nets have it
    one = Attribution(
        rows_first, np.array([0]), np.ones(1), "saliency", inputs=turned.inputs, provenance={"example_axes": {"x": 1}}
    )
    assert (len(one), one[0].values.shape, one.map().shape) == (1, (50, 1, 2), (1, 50, 2))
    np.testing.assert_array_equal(one.image(), first.image())


def test_no_sample_is_lost_where_many_share_a_column() -> None:
    values = np.zeros((1, 1, 20_000))
    values[0, 0, 12_345] = 1
    _, columns = np.nonzero(reddish(attribution(values).image()))
    assert set(columns) == {LEFT + 12_345 * WIDTH // 20_000}


def test_time_is_in_seconds_where_the_rate_is_known() -> None:
    assert TimeAxis(576, 16000.0).label == "time (seconds)"
    assert TimeAxis(576).label == "time (samples)"
    assert list(TimeAxis(400, 100.0).ticks()) == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]
    assert list(TimeAxis(7).ticks()) == list(range(8))
    assert [TimeAxis(100, 50.0).text(10, 20), TimeAxis(100).text(10, 20), TimeAxis(100).text(3, 4)] == [
        "0.2 to 0.4 s",
        "samples 10 to 19",
        "sample 3",
    ]
    by_samples, by_seconds, told = (
        series().image(),
        series().image(rate=100),
        series(provenance={"rate": 100.0}).image(),
    )
    assert by_samples != by_seconds
    assert by_seconds == told


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match="give samples a second, a number above 0"):
        series().image(rate=rate)


def test_styles_of_a_series() -> None:
    curves, alone, masked = (np.asarray(series().image(style=style)) for style in ("overlay", "map", "masked"))
    assert (curves[:84, LEFT:-30] < 60).all(-1).any()
    assert not (alone[6:84, LEFT:-30] < 60).all(-1).any()
    assert not reddish(Image.fromarray(masked)).any()
    assert series(20, layout="NCT").image().height > 240  # rows of a plane


@pytest.mark.parametrize(("layout", "size"), [(None, (3, 5)), ("NCHW", (3, 5)), ("NHWC", (5, 3))])
def test_the_layout_says_which_axis_of_a_picture_has_its_channels(layout: str | None, size: tuple[int, int]) -> None:
    array = np.arange(45, dtype=float).reshape(1, 3, 5, 3)
    (view,) = attribution(array, inputs={"x": array}, layout=layout).views().values()
    assert view.picture is not None
    assert view.picture.size == view.heat.shape[::-1] == size
    colours = ((0, 81), (87, 168), (174, 255)) if layout != "NHWC" else ((0, 243), (6, 249), (12, 255))  # k * 255 / 44
    assert view.picture.getextrema() == colours


@pytest.mark.parametrize(("axis", "layout"), [(1, None), (1, "NCDHW"), (4, "NDHWC")])
def test_slices_of_a_volume_show_their_own_evidence(axis: int, layout: Any) -> None:
    values = np.zeros((1, 2, 3, 16, 16))
    values[0, 1, 2, 3, 12] = 1  # third slice, above on the right
    data = np.moveaxis(np.zeros((1, 1, 3, 16, 16)), 1, axis)
    one = attribution(np.moveaxis(values[:, 1:], 1, axis), inputs={"x": data}, layout=layout)
    drawn = one.image(style="map", palette="jet")
    pixels = np.asarray(drawn).astype(int)
    rows, columns = np.nonzero((pixels[..., 0] > 100) & (pixels[..., 2] < 50))  # the end of jet
    assert rows.min() > drawn.height / 2  # two tiles above, one below
    assert 0.7 * 160 < columns.min() < columns.max() < 170
    assert one.image(style="figure").width > 3 * 160
    assert one.image().size == one.image(style="masked").size == drawn.size


def test_a_mask_leaves_evidence_and_darkens_the_rest() -> None:
    values = np.zeros((1, 3, 64, 64))
    values[0, :, 40:56, 8:24] = 1
    picture = Image.new("RGB", (256, 256), (200, 180, 160))
    pixels = np.asarray(attribution(values, pictures=(picture,)).image(style="masked"))
    np.testing.assert_allclose(pixels[192, 64], (200, 180, 160), atol=8)
    np.testing.assert_allclose(pixels[40, 200], np.array((200, 180, 160)) / 4, atol=2)


def test_lines_run_around_the_evidence() -> None:
    values = np.zeros((1, 3, 64, 64))
    values[0, :, 40:56, 8:24] = 1
    picture = Image.new("RGB", (256, 256), (200, 180, 160))
    drawn = np.asarray(attribution(values, pictures=(picture,)).image(style="contour"))
    rows, columns = np.nonzero((drawn != (200, 180, 160)).any(-1))
    assert 140 < rows.min() < 176
    assert 208 < rows.max() < 240
    assert columns.min() < 48
    assert 80 < columns.max() < 116
    assert (drawn[184:204, 60:68] == (200, 180, 160)).all()


def test_lines_need_scikit_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name=name)

    monkeypatch.setattr("onnxray.optional.import_module", missing)
    one = attribution(np.ones((1, 3, 8, 8)), pictures=(Image.new("RGB", (8, 8)),))
    with pytest.raises(RuntimeUnavailable, match=r"skimage is not installed; .*'onnxray\[superpixels\]'"):
        one.image(style="contour")


def test_a_shared_scale_makes_maps_comparable() -> None:
    values = np.zeros((2, 1, 4, 4))
    values[0], values[1, 0, 0, 0], values[1, 0, 3, 3] = 4, 1, 1
    both = attribution(values)
    assert both.image(1, palette="gray").getpixel((0, 0)) == (255,) * 3
    assert both.image(1, palette="gray", scale="shared").getpixel((0, 0)) == (64,) * 3
    sheet = both.sheet(palette="gray", percentile=None)
    assert sheet.getpixel((8 + 224 + 8 + 4, 12)) == (64,) * 3  # by default shared on a sheet
    each = both.sheet(palette="gray", percentile=None, scale="each")
    assert each.getpixel((8 + 224 + 8 + 4, 12)) == (255,) * 3


def test_a_scale_says_what_it_clips() -> None:
    heat = np.arange(1, 201, dtype=np.float32).reshape(10, 20)
    scale = colour_scale([heat], percentile=99)
    assert (scale.end, scale.beyond, scale.elements) == (pytest.approx(198.01), 2, 200)
    assert scale.clipping == "colours end at 198, 2 of 200 elements lie beyond"
    assert colour_scale([heat], percentile=None).clipping == ""
    np.testing.assert_allclose(scale(heat)[0, :2], [1 / 198.01, 2 / 198.01])
    assert scale(-heat).max() == 0
    assert colour_scale([-heat]).palette == "bwr"


@pytest.mark.parametrize(
    ("option", "message"),
    [({"style": "contours"}, "style.*did you mean 'contour'"), ({"scale": "all"}, "scale.*choose from each, shared")],
)
def test_unknown_styles_and_scales_are_refused(option: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        series().image(**option)  # type: ignore[arg-type]


def test_several_inputs_are_drawn_one_below_another() -> None:
    curve = series()
    values = {"photo": np.ones((1, 3, 8, 8), np.float32), "sound": curve.values, "row": np.ones((1, 4), np.float32)}
    inputs = {
        "photo": np.random.default_rng(0).random((1, 3, 8, 8)),
        "sound": curve.inputs["x"],
        "row": np.ones((1, 4)),
    }
    whole = Attribution(values, np.array([0]), np.ones(1), "saliency", inputs=inputs)
    page = whole.image()
    parts = [whole[name].image() for name in values]
    assert page.height > sum(one.height for one in parts)
    assert page.width >= max(one.width for one in parts)
    states = {**whole.provenance, "zero_states": ["row"]}
    fewer = Attribution(values, whole.target, whole.score, "saliency", inputs=inputs, provenance=states)
    assert fewer.image().height < page.height
    assert list(whole.views()) == list(values)


def test_a_grid_has_a_row_for_each_example() -> None:
    pictures = tuple(Image.new("RGB", (64, 64), (9 * k, 90, 9)) for k in range(3))
    whole = attribution(np.ones((3, 3, 8, 8)), pictures=pictures)
    sheet = whole.sheet(style="grid")
    assert sheet.height > 3 * 192
    assert 2 * 192 < sheet.width < 3 * 224


def test_inputs_come_back_from_a_file(tmp_path: Any) -> None:
    one = series(provenance={"rate": 100.0})
    back = Attribution.load(one.save(tmp_path / "one.npz"))
    np.testing.assert_array_equal(back.inputs["x"], one.inputs["x"])
    assert back.image() == one.image()


def test_a_rate_turns_no_table_beside_a_series_into_one() -> None:
    curve = series()
    values = {"sound": curve.values, "row": np.ones((1, 4), np.float32)}
    both = Attribution(values, np.array([0]), np.ones(1), "saliency", provenance={"rate": 100.0, "rate_of": "sound"})
    assert [view.kind for view in both.views().values()] == ["series", "vector"]
    assert [view.kind for view in both["row"].views().values()] == ["vector"]
    assert [view.axis and view.axis.rate for view in both["sound"].views().values()] == [100.0]


def test_colours_of_a_map_with_a_constant_part_begin_at_its_least_value() -> None:
    """As RISE's own code draws: what is least has the first colour, whatever its sign."""
    heat = np.linspace(-5.0, -3.0, 201)
    scale = colour_scale([heat], percentile=None, from_least=True)
    assert (scale.palette, scale.start, scale.end) == ("hot", -5.0, -3.0)
    np.testing.assert_allclose(scale(heat), np.linspace(0, 1, 201), atol=1e-6)
    assert scale.clipping == "colours from the map's least value -5 to -3"
    assert colour_scale([heat], percentile=99, from_least=True).clipping.endswith(", 2 of 201 elements lie beyond")


@pytest.mark.parametrize(("method", "first"), [("rise", True), ("attention-rollout", True), ("saliency", False)])
def test_maps_that_have_a_constant_part_are_known_by_their_method(method: str, first: bool) -> None:
    values = np.linspace(3, 4, 64).reshape(1, 8, 8)
    picture = replace(attribution(values), method=method).image(style="map", palette="hot", percentile=None)
    assert (max(picture.getpixel((0, 0))) < 20) is first
