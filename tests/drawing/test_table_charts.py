"""Charts of tables, by what is drawn where."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import model
from onnxray.cli.app import run
from onnxray.drawing.bar_chart import bar_chart, rank_features
from onnxray.drawing.categories import merge_categories, one_hot_columns
from onnxray.drawing.table_charts import TableChart, rows_title
from PIL import Image

NAMES = ("age", "city_Rome", "city_Oslo", "city_New_York", "city_Bern", "flag")
ROWS = np.array([[3, 1, 0, 0, 0, 1], [1, 0, 1, 0, 0, 0], [2, 0, 0, 1, 0, 1]], np.float32)
WEIGHTS = np.array([[1.0, -2.0, 0.5, 1.5, 9.0, 0.25]], np.float32)


def linear() -> onnxray.Model:
    proto = model("net (float[N, 6] x) => (float[N, 1] y) { y = MatMul(x, W) }", {"W": WEIGHTS.T})
    proto.metadata_props.add(key="onnxray.features", value=json.dumps(NAMES))
    return onnxray.load(proto)


def explained(rows: np.ndarray = ROWS) -> onnxray.Attribution:
    return onnxray.explain(linear(), rows, "input-x-gradient", target=0)


@pytest.mark.parametrize(("names", "rows", "found"), [
    (NAMES, ROWS, {"city": [1, 2, 3, 4]}),  # no row is from Bern
    (NAMES, ROWS[:1], {}),  # one row says nothing
    (NAMES, ROWS * 2, {}),
    (["a=1", "a=2", "b=1", "b=2"], np.array([[1, 0, 0, 1], [0, 1, 0, 1], [1, 0, 1, 0]]), {"a": [0, 1], "b": [2, 3]}),
    (["is_a", "is_b"], np.array([[1, 1], [0, 1]]), {}),  # flags of their own
    (["is_a", "is_b"], np.array([[1, 0], [1, 0]]), {}),  # always the same one
    (["ab", "ac"], np.array([[1, 0], [0, 1]]), {}),  # no mark between column and category
])  # fmt: skip
def test_one_hot_columns(names: list[str], rows: np.ndarray, found: dict[str, list[int]]) -> None:
    assert one_hot_columns(names, rows) == found


def test_a_rows_columns_of_categories_are_one() -> None:
    features = rank_features(WEIGHTS[0] * ROWS[2], ROWS[2], NAMES)
    merged = merge_categories(features, one_hot_columns(NAMES, ROWS))
    told = [(one.name, one.value, one.attribution) for one in merged]
    assert told == [("age", 2, 2.0), ("city = New_York", None, 1.5), ("flag", 1, 0.25)]


def test_a_result_knows_its_rows_and_columns(tmp_path: Path) -> None:
    found = explained()
    again = onnxray.Attribution.load(found.save(tmp_path / "found.npz"))
    for one in (found, again):
        assert one.columns == NAMES
        np.testing.assert_array_equal(one.inputs["x"], ROWS)
        assert one[1].columns == NAMES


def test_one_row_is_drawn_as_bars(tmp_path: Path) -> None:
    features = rank_features(WEIGHTS[0] * ROWS[0], ROWS[0], NAMES)
    drawn = np.asarray(Image.open(explained()[0].save(tmp_path / "one.png")))
    np.testing.assert_array_equal(drawn, np.asarray(bar_chart(features)))
    merged = bar_chart(merge_categories(features, {"city": [1, 2, 3, 4]}))  # which the other rows tell
    np.testing.assert_array_equal(np.asarray(explained().image(0)), np.asarray(merged))


def axes_of(chart: TableChart, monkeypatch: pytest.MonkeyPatch) -> tuple:
    """The swarm and the bars of a beeswarm, as matplotlib drew them."""
    figures = pytest.importorskip("matplotlib.figure", reason="matplotlib is not installed")
    made = []

    class Kept(figures.Figure):
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)
            made.append(self)

    monkeypatch.setattr(figures, "Figure", Kept)
    chart.beeswarm("all rows")
    return made[0].axes[:2]


def test_a_dot_for_each_row_and_the_means(monkeypatch: pytest.MonkeyPatch) -> None:
    values = WEIGHTS * ROWS
    swarm, bars = axes_of(TableChart(values, ROWS, NAMES), monkeypatch)
    assert [label.get_text() for label in swarm.get_yticklabels()] == ["age", "city", "flag"]
    expected = [values[:, 0], values[:, 1:5].sum(1), values[:, 5]]
    for place, (dots, column) in enumerate(zip(swarm.collections, expected, strict=True)):
        at = np.asarray(dots.get_offsets())
        np.testing.assert_allclose(at[:, 0], column, rtol=1e-6)
        assert np.abs(at[:, 1] - place).max() < 0.5
    assert [patch.get_width() for patch in bars.patches] == pytest.approx(
        [np.abs(column).mean() for column in expected]
    )
    assert swarm.collections[0].get_array().tolist() == pytest.approx([1, 0, 0.5])  # ages 3, 1 and 2
    assert swarm.collections[1].get_array() is None  # categories have no order


def test_dots_at_one_place_do_not_hide_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    swarm, _ = axes_of(TableChart(np.ones((30, 25)) * np.arange(25)), monkeypatch)
    assert len(swarm.collections) == 20  # the columns of largest magnitude
    heights = np.asarray(swarm.collections[0].get_offsets())[:, 1]
    assert len(set(heights.tolist())) == 30


def test_several_rows_are_drawn_as_a_beeswarm(tmp_path: Path) -> None:
    drawn = Image.open(explained().save(tmp_path / "all.png"))
    pixels = np.asarray(drawn.convert("RGB")).reshape(-1, 3).tolist()
    assert drawn.width == 900
    assert [0xC6, 0x28, 0x28] in pixels  # the bars
    assert [0x9E, 0x9E, 0x9E] in pixels  # the line at zero, and dots of categories


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    onnx.save(linear().proto(), "net.onnx")
    lines = [",".join(("id", *NAMES)), *(",".join(map(str, (k, *row))) for k, row in enumerate(ROWS.tolist()))]
    Path("rows.csv").write_text("\n".join(lines))
    return ["net.onnx", "rows.csv", "-m", "input-x-gradient", "--json", "--out", "out"]


def test_the_command_draws_all_rows(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", *files]) == 0
    told = capsys.readouterr()
    last = [json.loads(line) for line in told.out.splitlines()][-1]
    assert [Path(file).name for file in last["files"]] == [
        "rows-row2-input-x-gradient.png",
        "rows-input-x-gradient-rows.png",
    ]
    assert "the column 'id' counts the rows" in told.err
    assert [feature["name"] for feature in last["features"]][:2] == ["age", "city_New_York"]  # each column, in numbers


def test_without_matplotlib(
    files: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(onnxray.RuntimeUnavailable, match=r"pip install 'onnxray\[charts\]'"):
        explained().save("all.png")
    assert run(["explain", *files]) == 0
    assert "there is no chart of all rows: matplotlib is not installed" in capsys.readouterr().err
    assert Path("out/rows-row2-input-x-gradient.png").exists()


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(onnxray.InputError, match="NaN or infinity cannot be drawn"):
        TableChart(np.full((2, 3), np.nan)).beeswarm()


@pytest.mark.parametrize(
    ("targets", "told"), [([2, 2, 2], "target 2"), ([2, 0, 2], "each for its own target"), ([[0, 5]] * 3, "target 0,5")]
)
def test_a_chart_of_rows_says_which_target(targets: list, told: str) -> None:
    assert rows_title("lime", np.array(targets)) == f"lime of 3 rows, {told}"


def test_a_row_with_a_missing_value_has_a_grey_dot(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others keep their colours; no dot was drawn of a column with a missing value."""
    held = np.array([[0.0], [np.nan], [1.0], [0.5]])
    swarm, _ = axes_of(TableChart(np.array([[4.0], [3], [2], [1]]), held), monkeypatch)
    missing, known = swarm.collections
    assert np.asarray(missing.get_offsets())[:, 0].tolist() == [3]
    assert missing.get_array() is None
    assert np.asarray(known.get_offsets())[:, 0].tolist() == [4, 2, 1]
    assert known.get_array().tolist() == pytest.approx([0, 1, 0.5])
