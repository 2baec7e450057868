"""Samples from folders, arrays and tables: read one after another, drawn by a seed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import onnxray
import pytest
from onnxray import InputError, models
from onnxray.samples.sample_set import open_samples
from PIL import Image

DIGITS = onnxray.load(models.path("digits.onnx"))
CANCER = onnxray.load(models.path("breast_cancer.onnx"))
X = np.random.default_rng(0).random((6, 1, 28, 28)).astype(np.float32)


def loaded(data: object, model: onnxray.Model = DIGITS) -> list:
    return [sample.load() for sample in open_samples(data, model)]


def test_npy_and_npz_stream_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X.astype(np.float64))
    np.savez(tmp_path / "x.npz", image=X, label=np.arange(6))
    np.savez_compressed(tmp_path / "f.npz", image=np.asfortranarray(X))
    for name in ("x.npy", "x.npz", "f.npz"):
        rows = loaded(tmp_path / name)
        assert all(row.dtype == np.float32 for row in rows)
        np.testing.assert_array_equal(np.concatenate(rows), X)
    samples = open_samples(tmp_path / "x.npz", DIGITS)
    assert samples.labelled
    assert [sample.label for sample in samples] == list(range(6))


def test_tables(tmp_path: Path) -> None:
    rows = list(csv.reader(models.path("breast_cancer.csv").open()))
    with (tmp_path / "t.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[*rows[0], "label"], [*rows[1], 0], [*rows[2], 1], [*rows[2][:-1], "x", 1]])
    first, second, bad = open_samples(tmp_path / "t.csv", CANCER)
    assert (first.label, second.label) == (0, 1)
    np.testing.assert_allclose(second.load(), [[float(v) for v in rows[2]]], rtol=1e-6)
    with pytest.raises(InputError, match="'x' under"):
        bad.load()


def test_parquet(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    header, *rows = csv.reader(models.path("breast_cancer.csv").open())
    columns = {name: [float(row[k]) for row in rows] for k, name in enumerate(header)} | {"y": [0, 1]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "t.parquet")
    samples = open_samples(tmp_path / "t.parquet", CANCER)
    assert (len(samples), [sample.label for sample in samples]) == (2, [0, 1])
    np.testing.assert_allclose(next(iter(samples)).load()[0], [float(v) for v in rows[0]], rtol=1e-6)


def test_folders_are_labels(tmp_path: Path) -> None:
    for name in ("3", "7"):
        (tmp_path / name).mkdir()
        Image.new("L", (28, 28)).save(tmp_path / name / "a.png")
    samples = open_samples(tmp_path, DIGITS)
    assert [(sample.name, sample.label) for sample in samples] == [("3/a.png", 3), ("7/a.png", 7)]
    assert samples.labelled
    (tmp_path / "cat").mkdir()
    with pytest.raises(InputError, match="'cat'"):
        open_samples(tmp_path, DIGITS)


def test_draws_are_steady_and_in_order() -> None:
    names = [[one.name for one in open_samples(X, DIGITS).drawn(3, seed)] for seed in (0, 0, 1)]
    assert names[0] == names[1] == sorted(names[0])
    assert len(names[2]) == 3
    assert len(open_samples(X, DIGITS).drawn(99, 0)) == 6


@pytest.mark.parametrize("name", ["nowhere", "empty", "bad.npy", "bad.npz", "bad.parquet", "none.csv"])
def test_nothing_to_read_is_an_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for file in ("bad.npy", "bad.npz", "bad.parquet"):
        (tmp_path / file).write_text("hello")
    (tmp_path / "none.csv").write_text("a,b\n")
    with pytest.raises(InputError, match=name):
        open_samples(tmp_path / name, DIGITS)
