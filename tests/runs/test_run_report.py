"""The page of a run: its numbers are those of the rows, and it stands alone."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnxray
import pytest
from browsing import DESK, PHONE, needs_browser, seen
from onnxray.cli.app import run as command
from onnxray.errors import InputError
from onnxray.models import path
from onnxray.runs.pieces import pieces_in
from onnxray.runs.reports.coarse_maps import coarse
from onnxray.runs.reports.run_statistics import ErrorKind, error_kind, run_statistics
from onnxray.runs.rows import SampleRow, write_rows

DIGITS = path("digits.onnx")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> onnxray.FinishedRun:
    """Forty digits, two of them bad, in two files."""
    folder = tmp_path_factory.mktemp("report")
    x = np.random.default_rng(0).random((40, 1, 28, 28), np.float32)
    x[[3, 30]] = np.nan
    np.save(folder / "<b>&.npy", x)
    onnxray.run(DIGITS, folder / "<b>&.npy", folder / "maps", "integrated-gradients", steps=4, workers=0, piece=20)
    return onnxray.read_run(folder / "maps")


def test_the_numbers_are_those_of_the_rows(finished: onnxray.FinishedRun) -> None:
    found, rows = run_statistics(finished, shown=3), list(finished.rows())
    good = [row for row in rows if row["error"] is None]
    assert (found.rows, found.failed, len(found.scores)) == (40, 2, 38)
    assert [(one.count, one.sample) for one in found.errors] == [(2, "<b>&.npy:3")]
    by_score = sorted(good, key=lambda row: row["score"])
    assert [one.row["id"] for one in found.worst] == [row["id"] for row in by_score[:3]]
    assert [one.row["id"] for one in found.best] == [row["id"] for row in by_score[::-1][:3]]
    assert [one.row["id"] for one in found.gaps] == [
        row["id"] for row in sorted(good, key=lambda row: -abs(row["delta"]))[:3]
    ]
    largest, maps = found.classes[0], dict(finished.maps())
    of = [row for row in good if row["label"] == largest.name]
    assert largest.count == len(of) == max(sum(r["label"] == row["label"] for r in good) for row in good)
    assert largest.score == pytest.approx(np.mean([row["score"] for row in of]), rel=1e-6)
    expected = np.mean([maps[row["id"]] / np.abs(maps[row["id"]]).max() for row in of], 0)
    np.testing.assert_allclose(largest.mean, expected, atol=1e-3)


def test_an_outlier_is_a_map_far_from_the_others_of_its_class(tmp_path: Path) -> None:
    """By the formula: one less the cosine between a coarse map and the mean of the others."""
    draw = np.random.default_rng(0)
    planes = np.zeros((12, 16, 16), np.float16)
    planes[:, :8] = draw.random((12, 8, 16))
    planes[7] = planes[7, ::-1]  # the evidence of one lies in the other half
    planes[11] = 0
    (tmp_path / "run.json").write_text(
        '{"format":1,"model":"m","settings":{"method":"saliency","target":"top1"},"samples":13,"listing":"l",'
        '"piece":13,"versions":{}}'
    )
    rows = [
        SampleRow(f"{k}", index=int(k > 8), score=float(k), map=plane.ravel(), shape=(16, 16), unit=1.0)
        for k, plane in enumerate(planes)
    ]
    write_rows(tmp_path / "000000000-000000013.parquet", [*rows[:5], SampleRow("bad", error="no"), *rows[5:]])
    found = run_statistics(onnxray.read_run(tmp_path), shown=2)
    small = coarse(planes.astype(np.float32))
    np.testing.assert_allclose(
        small[0], (mean := planes[0].astype(float).reshape(8, 2, 8, 2).mean((1, 3)).ravel()) / np.linalg.norm(mean),
        atol=1e-6,
    )  # fmt: skip
    others = small[[0, 1, 2, 3, 4, 5, 6, 8]].mean(0)
    assert {one.row["id"] for one in found.outliers} == {"7", "11"}
    far = next(one for one in found.outliers if one.row["id"] == "7")
    assert far.distance == pytest.approx(1 - small[7] @ others / np.linalg.norm(others), abs=1e-6)
    assert len(found.distances) == 12
    np.testing.assert_array_equal(far.map, planes[7])


def test_errors_that_differ_in_names_and_numbers_are_one_kind() -> None:
    first = error_kind("photos/a1.png has 12 rows", "a1.png", "photos/a1.png")
    assert first == error_kind("photos/b.png has 7.5 rows", "b.png", "photos/b.png") == "… has # rows"
    assert ErrorKind(first, 2, "a1.png", "x").kind == first


def test_the_page_stands_alone_and_is_escaped(
    finished: onnxray.FinishedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "new" / "page.html"
    assert command(["report", str(finished.folder), "--out", str(page), "--examples", "2"]) == 0
    assert f"-> {page}" in capsys.readouterr().out
    text = page.read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:)|url\((?!data:)|@import|<link|<script""", text)
    assert "<b>38 OF 40</b>" in text
    assert "&lt;b&gt;&amp;.npy:3" in text
    assert "<b>&.npy" not in text
    assert "None" not in text
    assert text.count('class="sample"') == 2 * 4  # outliers, best, worst, gaps
    assert text.index("Errors") < text.index("Mean maps") < text.index("Outliers") < text.index("Provenance")


def test_what_has_no_page_is_one_line(finished: onnxray.FinishedRun, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text((finished.folder / "run.json").read_text())
    with pytest.raises(InputError, match="holds no rows yet"):
        onnxray.read_run(tmp_path).report()
    piece = pieces_in(finished.folder)[0]
    (tmp_path / piece.file).write_bytes((finished.folder / piece.file).read_bytes()[:-30])
    with pytest.raises(InputError, match=r"whole Parquet files.*the same run makes a damaged file again"):
        onnxray.read_run(tmp_path).report()


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_browser_shows_all_without_a_swipe(finished: onnxray.FinishedRun, width: int, tmp_path: Path) -> None:
    found = seen(finished.report(tmp_path / "page.html"), width, tmp_path / "profile")
    assert (found["wide"], found["over"], found["swiped"], found["broken"]) == (width, [], 0, 0)
    assert found["images"] > 20
    assert found["smallest"] >= 12
    assert found["verdict"].startswith("38 OF 40")
    assert 0 < found["top"] < 200
