"""The rows of a run, read by what reads Parquet: the examples of docs/datasets.md, and the numbers that they give."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import pytest
from onnxray.models import path

PAGE = Path(__file__).parents[2] / "docs" / "datasets.md"


def example(package: str) -> str:
    """The page's only example of a package."""
    (found,) = [one for one in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S) if f"import {package}" in one]
    return found


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Those of 30 samples, one of which has an error."""
    samples = np.random.default_rng(0).random((30, 1, 28, 28), np.float32)
    samples[7, 0, 3, 3] = np.nan
    np.save(tmp_path / "x.npy", samples)
    monkeypatch.chdir(tmp_path)
    onnxray.run(path("digits.onnx"), "x.npy", "maps", "grad-cam", workers=0, piece=8)
    return [row for row in onnxray.read_run("maps").rows() if row["error"] is None]


@pytest.mark.slow
def test_a_query_by_duckdb(rows: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    duckdb = pytest.importorskip("duckdb")
    exec(example("duckdb"), {})
    assert "samples" in capsys.readouterr().out
    (query,) = re.findall(r'"""(.*?)"""', example("duckdb"), re.S)
    found = {label: (count, score) for label, count, score in duckdb.sql(query).fetchall()}
    assert {label: count for label, (count, _) in found.items()} == Counter(row["label"] for row in rows)
    for label, (_, score) in found.items():
        assert score == pytest.approx(np.mean([row["score"] for row in rows if row["label"] == label]), rel=1e-5)
    (one,) = duckdb.sql("SELECT map, unit FROM 'maps/*.parquet' WHERE id = 'x.npy:3'").fetchall()
    np.testing.assert_allclose(np.float32(one[0]) * one[1], dict(onnxray.read_run("maps").maps())["x.npy:3"].ravel())


@pytest.mark.slow
def test_a_query_by_polars(rows: list[Any]) -> None:
    polars = pytest.importorskip("polars")
    *lines, last = example("polars").strip().splitlines()
    names: dict[str, Any] = {}
    exec("\n".join(lines), names)
    found = {label: count for label, count, _ in eval(last, names).rows()}
    assert found == Counter(row["label"] for row in rows)
    table = polars.scan_pyarrow_dataset(onnxray.read_run("maps").table)
    assert table.select("id").collect().equals(names["rows"].select("id").collect())
