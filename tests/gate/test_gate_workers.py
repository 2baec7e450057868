"""A comparison and an evaluation by workers: the same numbers, in the same order, as in one process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import pytest
from onnxray.errors import InputError
from onnxray.models import path
from PIL import Image

DIGITS = path("digits.onnx")
PLANES = np.random.default_rng(0).integers(0, 255, (10, 28, 28), np.uint8)
X = PLANES[:, None].astype(np.float32) / 255
QUICK: dict[str, Any] = {"methods": ["saliency", "grad-cam"], "threads": 1}
COMPARED: dict[str, Any] = {**QUICK, "layers": False, "candidate_session": {"optimization": "off"}}
NAMES = [
    "process",
    *(
        pytest.param(name, marks=pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed"))
        for name, module in (("ray", "ray"), ("dask", "distributed"))
    ),
]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Ten pictures of two classes, one of which is bad; with boxes."""
    for k, plane in enumerate(PLANES):
        (tmp_path / "photos" / str(k % 2)).mkdir(parents=True, exist_ok=True)
        Image.fromarray(plane).save(tmp_path / "photos" / str(k % 2) / f"{k}.png")
    (tmp_path / "photos" / "0" / "4.png").write_text("no picture")
    (tmp_path / "boxes.json").write_text(json.dumps({f"{k}": [4, 4, 20, 20] for k in range(0, 10, 3)}))
    return tmp_path / "photos"


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_workers_find_what_one_process_finds(name: str, photos: Path) -> None:
    """Seven of ten pictures, drawn at random, with masks and labels; the curves of an evaluation, too."""
    more: dict[str, Any] = {"masks": photos.parent / "boxes.json", "target": "label", "samples": 7, "seed": 3}
    by: dict[str, Any] = {"executor": name, "workers": 2}
    lost: list[Any] = []
    here = onnxray.compare(DIGITS, DIGITS, photos, **COMPARED, **more)
    found = onnxray.compare(DIGITS, DIGITS, photos, **COMPARED, **more, **by, failed=lost.append)
    assert (found.rows, found.failed, found.summary) == (here.rows, here.failed, here.summary)
    assert len(here.rows) + len(here.failed) == 7
    assert tuple(lost) == here.failed
    here, found = (onnxray.evaluate(DIGITS, photos, **QUICK, **more, **one) for one in ({}, by))
    assert (found.rows, found.failed, found.curves) == (here.rows, here.failed, here.curves)


@pytest.mark.slow
def test_arrays_in_memory_are_sent_and_a_journal_is_shared(tmp_path: Path) -> None:
    """Four rows are measured here, the others by workers; all methods, each by itself, too."""
    journal = tmp_path / "journal.jsonl"
    whole = onnxray.compare(DIGITS, DIGITS, X, **COMPARED, journal=journal)
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join(lines[:5]) + "\n")
    found = onnxray.compare(DIGITS, DIGITS, X, **COMPARED, journal=journal, workers=2)
    assert found.rows == whole.rows
    assert sorted(journal.read_text().splitlines()) == sorted(lines)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            onnxray.gate.evaluation, "METHODS", dict.fromkeys(["saliency", "attention-rollout", "grad-cam"])
        )
        quick: dict[str, Any] = {"methods": "all", "metrics": ["sparseness", "deletion"], "threads": 1}
        here, by = (onnxray.evaluate(DIGITS, X[:3], **quick, **one) for one in ({}, {"workers": 1}))
    assert (by.rows, by.curves, by.unmeasured) == (here.rows, here.curves, here.unmeasured)
    assert list(here.unmeasured) == ["attention-rollout"]


KILL = """import os, sys
import onnxray.gate.pair as pair
row = pair.Pair.row
def deadly(self, sample):
    if sample.name == "x.npy:5":
        os.kill(os.getpid(), 9)
    return row(self, sample)
if any("spawn_main" in one for one in sys.orig_argv):
    pair.Pair.row = deadly
"""


@pytest.mark.slow
def test_a_sample_that_kills_its_worker_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "x.npy", X)
    here = onnxray.compare(DIGITS, DIGITS, tmp_path / "x.npy", **COMPARED)
    (tmp_path / "sitecustomize.py").write_text(KILL)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    found = onnxray.compare(DIGITS, DIGITS, tmp_path / "x.npy", **COMPARED, workers=2)
    assert [str(one) for one in found.failed] == ["x.npy:5: the worker process died of this sample, twice"]
    assert found.rows == tuple(row for row in here.rows if row.name != "x.npy:5")


@pytest.mark.slow
def test_an_interrupted_command_goes_on_where_it_stopped(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.repeat(X, 12, 0))
    line = ["compare", str(DIGITS), str(DIGITS), "x.npy", "-m", "integrated-gradients", "-m", "saliency"]
    line += ["--option", "steps=30", "--no-layers", "--report", "out", "--json", "found.json"]
    line += ["--executor", "process", "--workers", "2"]
    code = "import signal; signal.signal(2, signal.default_int_handler); from onnxray.cli.app import main; main()"
    call, journal = [sys.executable, "-c", code, *line], tmp_path / "out" / "journal.jsonl"
    running = subprocess.Popen(call, cwd=tmp_path, stdout=-3, stderr=-1, text=True)
    end = time.monotonic() + 120
    while not (journal.is_file() and journal.read_text().count("\n") > 5) and time.monotonic() < end:
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGINT)
    assert "interrupted" in running.communicate(timeout=60)[1]
    assert running.returncode == 130
    kept = journal.read_text().splitlines()
    assert 5 < len(kept) < 120
    done = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert journal.read_text().splitlines()[: len(kept) - 1] == kept[:-1]
    record = json.loads((tmp_path / "found.json").read_text())
    assert [one["name"] for one in record["samples"]] == [f"x.npy:{k}" for k in range(120)]


def test_what_workers_cannot_do_is_one_line(tmp_path: Path) -> None:
    """Before any worker starts."""
    with pytest.raises(InputError, match="golden= is recorded by this process alone"):
        onnxray.compare(DIGITS, DIGITS, X, **COMPARED, golden=tmp_path / "a.golden", workers=2)
    with pytest.raises(InputError, match="a model of Model: workers open it themselves"):
        onnxray.compare(DIGITS, onnxray.load(DIGITS), X, **COMPARED, workers=2)
    with pytest.raises(InputError, match="executor 'spark'"):
        onnxray.evaluate(DIGITS, X, **QUICK, executor="spark")
    with pytest.raises(InputError, match="address= is that of a cluster"):
        onnxray.evaluate(DIGITS, X, **QUICK, address="auto")  # as "--address" without "--executor"
    with pytest.raises(InputError, match="workers=-1"):
        onnxray.compare(DIGITS, DIGITS, X, **COMPARED, workers=-1)
