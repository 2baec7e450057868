"""A method on a data set: rows that are the explainer's, runs that go on, faults that cost one row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from onnxray.cli.app import run as command
from onnxray.errors import InputError
from onnxray.models import path
from onnxray.runs.kept_maps import kept_maps
from onnxray.runs.pieces import missing, pieces_in
from onnxray.runs.rows import SampleRow, write_rows
from onnxray.support.folder_lock import folder_lock
from onnxray.workers.piece import Piece
from PIL import Image

DIGITS, DRAW = path("digits.onnx"), np.random.default_rng(0)
X = DRAW.random((10, 1, 28, 28), np.float32)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    np.save(tmp_path / "x.npy", X)
    return tmp_path / "x.npy"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a run that is done, for calls that it refuses."""
    data = tmp_path_factory.mktemp("finished") / "x.npy"
    np.save(data, X)
    assert run(data).left == 0
    return data


def run(data: Path, out: str = "maps", **more: Any) -> onnxray.RunReport:
    return onnxray.run(DIGITS, data, data.parent / out, **{"workers": 0, "piece": 4, "batch": 2, **more})


def table(folder: Path) -> Any:
    return onnxray.read_run(folder).table.to_table()


def test_rows_are_those_of_the_explainer(rows: Path) -> None:
    report = run(rows, method="integrated-gradients", target=3, steps=4, reduce="sum")
    assert (report.done, report.before, report.left, report.failed) == (10, 0, 0, 0)
    expected = onnxray.explain(DIGITS, X, method="integrated-gradients", target=3, steps=4)
    found = onnxray.read_run(report.out)
    maps = dict(found.maps())
    assert list(maps) == [f"x.npy:{k}" for k in range(10)]
    np.testing.assert_allclose(
        np.stack(list(maps.values())), expected.map("sum"), atol=1e-3 * np.abs(expected.map()).max()
    )
    for k, row in enumerate(found.rows()):
        assert (row["index"], row["label"], row["error"]) == (3, "3", None)
        assert row["score"] == pytest.approx(float(expected.score[k]), rel=1e-4)
        assert row["delta"] == pytest.approx(float(expected.delta[k]), abs=1e-3)
        assert row["norm"] == pytest.approx(float(np.linalg.norm(expected.map("sum")[k])), rel=1e-3)
        assert len(row["scores"]) == 10


def test_a_stopped_run_goes_on_with_the_same_rows(rows: Path) -> None:
    calls = iter([False, True])
    first = run(rows, stopped=lambda: next(calls))
    assert (first.done, first.left) == (4, 6)
    assert len(onnxray.read_run(first.out)) == 4
    second = run(rows)
    assert (second.done, second.before, second.left) == (6, 4, 0)
    assert table(second.out).equals(table(run(rows, "whole").out))
    assert run(rows).done == 0


def test_a_damaged_file_is_done_again(rows: Path) -> None:
    out, whole = run(rows).out, table(run(rows, "whole").out)
    file = out / Piece(4, 8).file
    file.write_bytes(file.read_bytes()[:-20])
    assert run(rows).done == 4
    assert table(out).equals(whole)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"target": 2}, "target"),
        ({"method": "grad-cam"}, "method 'saliency'"),
        ({"batch": 3}, "batch 2"),
        ({"piece": 5}, "piece=4"),
    ],
)
def test_a_folder_of_another_run_is_refused(finished: Path, other: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=f"holds another run: .*{named}"):
        run(finished, **other)


def test_rows_without_a_manifest_are_refused(rows: Path) -> None:
    """They may be those of another model."""
    out = run(rows).out
    (out / "run.json").unlink()
    with pytest.raises(InputError, match=r"run\.json is gone"):
        run(rows)
    assert (out / Piece(4, 8).file).exists()


def test_data_that_changed_are_refused(rows: Path) -> None:
    run(rows)
    np.save(rows, X[:9])
    with pytest.raises(InputError, match="10 samples, not 9"):
        run(rows)
    np.save(rows, X + 1)
    with pytest.raises(InputError, match="files of the data changed"):
        run(rows)


def test_a_table_that_changes_in_the_midst_of_a_run_is_refused(rows: Path) -> None:
    calls = iter([False, True])

    def stopped() -> bool:
        """Before the first piece nothing; then the table is another."""
        first = next(calls)
        if not first:
            np.save(rows, X[::-1])
        return first

    with pytest.raises(InputError, match=r"data changed since the run began: .*x\.npy is another file now"):
        run(rows, stopped=stopped)


def test_two_processes_do_not_write_one_folder(finished: Path) -> None:
    with folder_lock(finished.parent / "maps"), pytest.raises(InputError, match="another process writes to"):
        run(finished)


def test_a_sample_that_fails_is_a_row(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for k in range(3):
        Image.fromarray((X[k, 0] * 255).astype(np.uint8)).save(folder / f"{k}.png")
    (folder / "1.png").write_text("no picture")
    report = onnxray.run(DIGITS, folder, tmp_path / "maps", workers=0)
    assert (report.done, report.failed) == (3, 1)
    errors = [row["error"] for row in onnxray.read_run(report.out).rows()]
    assert [error is None for error in errors] == [True, False, True]
    assert "1.png cannot be read as a picture" in errors[1]
    assert onnxray.run(DIGITS, folder, tmp_path / "maps", workers=0).failed == 1  # those of before count


def test_the_command_names_the_first_that_failed_and_warns_of_a_guess(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, bare = tmp_path / "photos", tmp_path / "bare.onnx"
    folder.mkdir()
    Image.fromarray((X[0, 0] * 255).astype(np.uint8)).save(folder / "0.png")
    (folder / "1.png").write_text("no picture")
    model = onnx.load(DIGITS)
    del model.metadata_props[:]
    onnx.save(model, bare)
    assert command(["run", str(bare), str(folder), "--out", str(tmp_path / "maps"), "--workers", "1"]) == 1
    warned, failed = capsys.readouterr().err.splitlines()
    assert warned.startswith("onnxray: warning: the range of the pixels is unknown")
    assert failed.startswith("onnxray: error: the first that failed is 1.png: ")
    assert command(["run", str(DIGITS), str(folder / "0.png"), "--out", str(tmp_path / "known"), "--workers", "0"]) == 0
    assert capsys.readouterr().err == ""


def test_a_value_that_is_no_number_costs_its_own_row(rows: Path) -> None:
    bad = X.copy()
    bad[3, 0, 5, 5] = np.nan
    np.save(rows, bad)
    report = run(rows)
    found = {row["id"]: row["error"] for row in onnxray.read_run(report.out).rows()}
    assert [name for name, error in found.items() if error] == ["x.npy:3"]
    np.save(rows.parent / "good.npy", X)
    good = dict(onnxray.read_run(run(rows.parent / "good.npy", "good").out).maps())
    for name, one in onnxray.read_run(report.out).maps():
        np.testing.assert_allclose(one, good[name.replace("x.npy", "good.npy")], rtol=1e-3, atol=1e-6)


def test_small_gradients_keep_their_digits(rows: Path) -> None:
    """float16 alone ends at 6e-8."""
    small = X * 1e-9
    np.save(rows, small)
    found = dict(onnxray.read_run(run(rows, method="input-x-gradient", target=1).out).maps())
    expected = onnxray.explain(DIGITS, small, method="input-x-gradient", target=1).map()
    np.testing.assert_allclose(found["x.npy:0"], expected[0], atol=1e-3 * expected[0].max())


def test_what_is_kept_of_a_map_does_not_depend_on_its_batch() -> None:
    maps = DRAW.standard_normal((5, 6, 7)).astype(np.float32) * np.float32([1, 1e-30, 0, 1e30, -1]).reshape(5, 1, 1)
    for one, alone in zip(kept_maps(maps), (kept_maps(maps[k : k + 1])[0] for k in range(5)), strict=True):
        np.testing.assert_array_equal(one.pop("map"), alone.pop("map"))
        assert one == alone
    for k, kept in enumerate(kept_maps(maps)):
        wide = kept["map"].astype(np.float64) * kept["unit"]
        np.testing.assert_allclose(wide, maps[k].ravel(), atol=1e-3 * kept["unit"])
        assert kept["statistics"]["norm"] == pytest.approx(np.linalg.norm(maps[k].astype(np.float64)), rel=1e-6)


@pytest.mark.parametrize(
    ("held", "left"),
    [([], [(0, 4), (4, 8), (8, 10)]), ([(0, 4)], [(4, 8), (8, 10)]), ([(4, 6), (7, 8), (0, 4)], [(6, 7), (8, 10)])],
)
def test_what_is_missing(held: list[tuple[int, int]], left: list[tuple[int, int]]) -> None:
    assert missing(10, 4, [Piece(*one) for one in held]) == [Piece(*one) for one in left]


def test_a_piece_that_came_late_is_no_second_row(rows: Path) -> None:
    """Its worker was taken for dead, and it was split; a damaged file beside whole ones goes, too."""
    whole, out = table(run(rows, "whole").out), run(rows).out
    held = (out / Piece(4, 8).file).read_bytes()
    (out / Piece(4, 8).file).unlink()
    assert run(rows, stopped=lambda: True).left == 4
    for piece in (Piece(4, 6), Piece(6, 8)):
        write_rows(out / piece.file, [SampleRow(f"x.npy:{k}", error="") for k in range(piece.start, piece.stop)])
    (out / Piece(4, 8).file).write_bytes(held)
    assert table(out).equals(whole)
    (out / Piece(6, 8).file).write_bytes(held[:50])
    assert run(rows).done == 0
    assert pieces_in(out) == [Piece(0, 4), Piece(4, 8), Piece(8, 10)]


def test_the_command(rows: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(rows.parent)
    out = rows.parent / "maps"
    line = ["run", str(DIGITS), str(rows), "--out", str(out), "--workers", "0", "-m", "grad-cam", "--target", "3"]
    assert command([*line, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["done"], told["failed"], told["left"]) == (10, 0, 0)
    assert command(line) == 0
    assert "0 done, 10 done before, none of these failed" in capsys.readouterr().out
    assert command([*line, "--score", "output"]) == 2
    assert "holds another run: score 'logit'; name another folder with --out" in capsys.readouterr().err
    cluster = ["--executor", "process", "--address", "here", "--workers", "1", "--out", "other"]
    assert command([*line, *cluster]) == 2
    assert "--address is that of a cluster: name --executor 'ray' or 'dask', too" in capsys.readouterr().err
    assert [one.file for one in pieces_in(out)] == ["000000000-000000010.parquet"]
    assert {row["label"] for row in onnxray.read_run(out).rows()} == {"3"}


def test_what_cannot_be_run_is_one_line(rows: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder of a run"):
        onnxray.read_run(tmp_path)
    with pytest.raises(InputError, match="executor 'spark'"):
        run(rows, executor="spark")
    with pytest.raises(InputError, match="address= is that of a cluster"):
        run(rows, workers=1, address="auto")
    with pytest.raises(InputError, match="batch=0"):
        run(rows, batch=0)
    with pytest.raises(InputError, match="target 99 is out of range"):
        run(rows, target=99)
    with pytest.raises(InputError, match="2 targets for 1"):  # each batch would begin them anew
        run(rows, target=[1, 2])
    with pytest.raises(InputError, match="no reduction 'most'"):
        run(rows, reduce="most")
    with pytest.raises(InputError, match="name no lambda"):
        run(rows, method="integrated-gradients", baseline=lambda x: x)
    with pytest.raises(InputError, match="give the path of an "):
        onnxray.run(onnxray.load(DIGITS), rows, tmp_path / "maps")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="workers=-1: give a whole number from 0 up"):
        run(rows, workers=-1)
    with pytest.raises(InputError, match="there is no such file or folder"):
        run(tmp_path / "missing")
