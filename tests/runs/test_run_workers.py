"""Workers that die: each piece is done once all the same, and what kills every worker is set aside."""

from __future__ import annotations

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
from onnxray.models import path
from onnxray.runs.explain_piece import PieceDone
from onnxray.runs.pieces import Piece, pieces_in
from onnxray.runs.worker_pool import in_workers

POISON = 5
SLOW: dict[str, Any] = {"window": 4, "stride": 1, "workers": 0, "piece": 8}  # enough work to be stopped in its midst


def deadly(piece: Piece, folder: Path) -> PieceDone:
    """Kills its worker where the poison is, and once at piece 8 to 12."""
    once = folder / "died"
    if piece.start <= POISON < piece.stop or (piece.start == 8 and not once.exists()):
        if piece.start == 8:
            once.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    (folder / piece.file).write_text("done")
    return PieceDone(piece, 0)


@pytest.mark.slow
def test_the_poison_is_found_and_the_rest_is_done(tmp_path: Path) -> None:
    aside: list[Piece] = []

    def set_aside(piece: Piece) -> PieceDone:
        aside.append(piece)
        return PieceDone(piece, 1)

    pieces = [Piece(0, 4), Piece(4, 8), Piece(8, 12)]
    task: Any = lambda piece: (deadly, (piece, tmp_path))  # noqa: E731
    done = list(in_workers(pieces, task, lambda: False, workers=2, batch=2, set_aside=set_aside))
    assert aside == [Piece(POISON, POISON + 1)]
    assert sorted(one.piece for one in done) == [Piece(0, 4), Piece(4, 5), Piece(5, 6), Piece(6, 8), Piece(8, 12)]
    assert pieces_in(tmp_path) == [Piece(0, 4), Piece(4, 5), Piece(6, 8), Piece(8, 12)]


def started(folder: Path) -> subprocess.Popen[str]:
    line = ["run", str(path("digits.onnx")), "x.npy", "--out", "maps", "--piece", "8", "--workers", "1"]
    code = "import sys; from onnxray.cli.app import main; sys.argv[1:1] = []; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *line, "-m", "occlusion", "--window", "4", "--stride", "1"],
        cwd=folder,
        text=True,
        stdout=-1,
        stderr=-1,
    )


def wait_for_files(folder: Path, number: int) -> None:
    end = time.monotonic() + 60
    while not folder.exists() or len(pieces_in(folder)) < number:
        assert time.monotonic() < end, "no piece was written within a minute"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_run_that_is_killed_or_told_to_stop_goes_on_with_the_same_rows(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((320, 1, 28, 28), np.float32))
    out = tmp_path / "maps"
    driver = started(tmp_path)
    wait_for_files(out, 2)
    driver.kill()
    driver.communicate()
    driver = started(tmp_path)
    wait_for_files(out, len(pieces_in(out)) + 2)
    driver.send_signal(signal.SIGINT)
    told, errors = driver.communicate(timeout=60)
    assert driver.returncode == 130, errors
    assert "samples are left; the same command goes on" in errors
    assert "done before" in told
    driver = started(tmp_path)
    assert driver.wait(120) == 0
    driver.communicate()
    whole = onnxray.run(path("digits.onnx"), tmp_path / "x.npy", tmp_path / "whole", "occlusion", **SLOW)
    found, expected = (onnxray.read_run(one).table.to_table() for one in (out, whole.out))
    assert found.equals(expected)
