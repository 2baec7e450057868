"""An interrupted run continues, but only if models, settings, software and samples are the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import pytest
from held_out import digits
from onnxray import compare, models
from onnxray.gate import provenance
from onnxray.gate.pair import Pair
from PIL import Image

DIGITS = models.path("digits.onnx")
HELD = digits()
X = HELD.unseen[:8, None].astype(np.float32) / 255
QUICK: dict[str, Any] = {"methods": "saliency", "layers": False, "threads": 1}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The samples that were measured, not read from the journal."""
    real, names = Pair.row, []

    def counted(self: Pair, sample: Any) -> Any:
        names.append(sample.name)
        return real(self, sample)

    monkeypatch.setattr(Pair, "row", counted)
    return names


def fresh(names: list[str], *given: Any, **settings: Any) -> int:
    """How many samples a comparison measures anew."""
    before = len(names)
    compare(DIGITS, *given, **{**QUICK, **settings})
    return len(names) - before


def test_an_interrupted_comparison_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = Pair.row, []

    def interrupted(self: Pair, sample: Any) -> Any:
        calls.append(sample)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(self, sample)

    monkeypatch.setattr(Pair, "row", interrupted)
    settings = {**QUICK, "journal": tmp_path / "j" / "journal.jsonl"}
    with pytest.raises(KeyboardInterrupt):
        compare(DIGITS, DIGITS, X, **settings)
    with (tmp_path / "j" / "journal.jsonl").open("a") as file:
        file.write('{"index": 3, "na')
    found = compare(DIGITS, DIGITS, X, **settings)
    assert len(calls) == 4 + 5
    assert [row.name for row in found.rows] == [f"sample:{k}" for k in range(8)]
    compare(DIGITS, DIGITS, X, **settings)
    assert len(calls) == 9


def test_what_was_read_is_what_was_measured(tmp_path: Path) -> None:
    settings = {**QUICK, "journal": tmp_path / "journal.jsonl", "target": "label"}
    first, again = (compare(DIGITS, DIGITS, (X, HELD.unseen_labels[:8]), **settings) for _ in range(2))
    assert again.rows == first.rows
    assert again.summary == first.summary


@pytest.mark.slow
def test_other_settings_begin_anew(tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    journal = tmp_path / "journal.jsonl"
    assert fresh(measured, DIGITS, X, journal=journal) == 8
    for other in ({"seed": 1}, {"target": "own"}, {"methods": "grad-cam"}, {"metrics": "cosine"}, {"score": "output"}):
        assert fresh(measured, DIGITS, X, journal=journal, **other) == 8
        assert fresh(measured, DIGITS, X, journal=journal, **other) == 0
    monkeypatch.setattr(provenance, "software", lambda: {"versions": {"onnxruntime": "1.0"}})
    assert fresh(measured, DIGITS, X, journal=journal, score="output") == 8


def test_other_samples_of_the_same_names_are_measured(tmp_path: Path, measured: list[str]) -> None:
    journal, changed = tmp_path / "journal.jsonl", X.copy()
    changed[2] = X[3]
    assert fresh(measured, DIGITS, X, journal=journal) == 8
    assert fresh(measured, DIGITS, changed, journal=journal) == 1
    labels = HELD.unseen_labels[:8].copy()
    assert fresh(measured, DIGITS, (changed, labels), journal=journal) == 8
    labels[5] += 1
    assert fresh(measured, DIGITS, (changed, labels), journal=journal) == 1


def test_changed_pictures_and_masks_are_measured(tmp_path: Path, measured: list[str]) -> None:
    (folder := tmp_path / "pictures").mkdir()
    for name, row in zip("ab", HELD.unseen, strict=False):
        Image.fromarray(row).save(folder / f"{name}.png")
    journal, masks = tmp_path / "journal.jsonl", tmp_path / "boxes.json"
    masks.write_text(json.dumps({"a": [0, 0, 9, 9]}))
    settings = {"journal": journal, "masks": masks}
    assert fresh(measured, DIGITS, folder, **settings) == 2
    assert fresh(measured, DIGITS, folder, **settings) == 0
    Image.fromarray(HELD.unseen[5]).save(folder / "b.png")
    assert fresh(measured, DIGITS, folder, **settings) == 1
    masks.write_text(json.dumps({"a": [0, 0, 5, 5]}))
    assert fresh(measured, DIGITS, folder, **settings) == 2


def test_a_bad_sample_is_tried_again(tmp_path: Path, measured: list[str]) -> None:
    bad, journal = X.copy(), tmp_path / "journal.jsonl"
    bad[3] = np.nan
    assert fresh(measured, DIGITS, bad, journal=journal) == 8
    assert fresh(measured, DIGITS, bad, journal=journal) == 1
    assert measured[-1] == "sample:3"


@pytest.mark.slow
def test_a_killed_command_continues(tmp_path: Path) -> None:
    data = tmp_path / "many.npy"
    np.save(data, np.repeat(X, 15, 0))
    command = [sys.executable, "-c", "from onnxray.cli.app import main; main()", "compare", str(DIGITS), str(DIGITS)]
    command += [str(data), "-m", "integrated-gradients", "-m", "saliency", "--option", "steps=30", "--no-layers"]
    command += ["--threads", "1", "--report", "out", "--json", "out/found.json"]
    journal = tmp_path / "out" / "journal.jsonl"
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    waited = time.monotonic() + 120
    while (
        not (journal.is_file() and journal.read_text().count("\n") > 5)
        and running.poll() is None
        and time.monotonic() < waited
    ):
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    kept = journal.read_text().splitlines()
    assert 5 < len(kept) < 120
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert journal.read_text().splitlines()[:6] == kept[:6]
    record = json.loads((tmp_path / "out" / "found.json").read_text())
    assert [one["name"] for one in record["samples"]] == [f"many.npy:{k}" for k in range(120)]


def test_a_journal_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(onnxray.OutputError, match="cannot be written"):
        compare(DIGITS, DIGITS, X[:1], journal=tmp_path / "file" / "journal.jsonl", **QUICK)
