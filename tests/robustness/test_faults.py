"""Faults while commands write: the older file is there or the newer one, whole, and the end is one line."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

if sys.platform == "win32":
    pytest.skip("Windows has neither fork nor these signals", allow_module_level=True)

from faulty import COMMANDS, Fault, meet

EVERYDAY, KILLS = ("explain", "save"), 5


def each(*names: str) -> pytest.MarkDecorator:
    """The commands, those beyond the everyday ones marked slow."""
    return pytest.mark.parametrize(
        "command", [name if name in EVERYDAY else pytest.param(name, marks=pytest.mark.slow) for name in names]
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "work"
    made.mkdir()
    return made


@pytest.mark.slow
@each(*COMMANDS)
def test_a_full_disk_leaves_the_older_files(command: str, folder: Path) -> None:
    end = meet(command, Fault(bytes=100), folder)
    assert set(end.files.values()) == {"older"}
    assert end.leftovers == []
    assert end.code == 2
    assert end.stderr.count("\n") == 1, end.stderr
    assert "cannot be written: File too large" in end.stderr


@each(*COMMANDS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_rename_leaves_the_older_file(command: str, number: signal.Signals, folder: Path) -> None:
    end = meet(command, Fault(signal=number), folder)
    assert set(end.files.values()) == {"older"}
    assert end.leftovers == []
    assert end.code == 128 + number
    assert end.stderr.splitlines()[-1].endswith("nothing was written"), end.stderr
    assert "Traceback" not in end.stderr


@each(*COMMANDS)
def test_a_kill_before_the_rename_leaves_the_older_files(command: str, folder: Path) -> None:
    end = meet(command, Fault(signal=signal.SIGKILL), folder)
    assert set(end.files.values()) == {"older"}
    assert end.code == -signal.SIGKILL


@each(*COMMANDS)
def test_a_kill_after_the_first_rename_leaves_a_newer_file(command: str, folder: Path) -> None:
    end = meet(command, Fault(signal=signal.SIGKILL, moment="rename"), folder)
    assert sorted(end.files.values()) == ["newer", *["older"] * (len(end.files) - 1)]
    assert end.code == -signal.SIGKILL
    assert end.leftovers == []


@each("explain", "save", "compare")
@pytest.mark.parametrize(("stdout", "code"), [("closed pipe", 141), ("/dev/full", 2)])
def test_a_stdout_that_takes_nothing(command: str, stdout: str, code: int, folder: Path) -> None:
    if stdout == "/dev/full" and not os.access(stdout, os.W_OK):
        pytest.skip("there is no /dev/full here")
    end = meet(command, Fault(stdout=stdout), folder)
    assert set(end.files.values()) == {"newer"}
    assert end.code == code
    assert end.stderr.count("\n") == (code == 2), end.stderr


@each("explain", "compare")
def test_without_a_fault(command: str, folder: Path) -> None:
    end = meet(command, Fault(), folder)
    assert set(end.files.values()) == {"newer"}
    assert (end.code, end.stderr, end.leftovers) == (0, "", [])


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_kills_at_random_times_leave_whole_files(command: str, tmp_path: Path) -> None:
    """Each file is the older one or the newer one, wherever the process was."""
    work = tmp_path / "unharmed"
    work.mkdir()
    begun = time.monotonic()
    assert set(meet(command, Fault(), work).files.values()) == {"newer"}
    moments = np.random.default_rng(len(command)).uniform(0, time.monotonic() - begun, KILLS)
    for k, moment in enumerate(moments):
        work = tmp_path / str(k)
        work.mkdir()
        end = meet(command, Fault(signal=signal.SIGKILL, moment=float(moment)), work)
        assert set(end.files.values()) <= {"older", "newer"}, (moment, end)
        assert end.code in (-signal.SIGKILL, 0)
