"""`onnxray explain` on a folder in a process: killed, terminated, and its memory."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from cli_tools import DIGITS, records
from PIL import Image

COMMAND = [sys.executable, "-c", "from onnxray.cli.app import main; main()", "explain", DIGITS, "photos", "--json"]
OPTIONS = ["--save", "map", "--threads", "1", "--batch-size", "8"]

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return more_photos(tmp_path / "photos", 120)


def more_photos(folder: Path, count: int) -> Path:
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    for k in range(count):
        Image.fromarray(rng.integers(0, 256, (64, 64), np.uint8)).save(folder / f"{k:04}.png")
    return folder


def explained(*more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *OPTIONS, *more], capture_output=True, text=True, check=True)


def maps(folder: str) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in Path(folder).glob("*.npy")}


def struck(number: signal.Signals, after: int) -> tuple[int, str]:
    """The exit code and stderr of a run that gets a signal when so many files are in the index."""
    with subprocess.Popen(
        [*COMMAND, *OPTIONS], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        index = Path("out/index.jsonl")
        while process.poll() is None and not (index.exists() and index.read_bytes().count(b"\n") >= after):
            time.sleep(0.001)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    return process.returncode, err


def test_killed_and_resumed_it_gives_the_results_of_an_undisturbed_run(photos: Path) -> None:
    explained("--out", "undisturbed")
    code, _ = struck(signal.SIGKILL, 16)
    done = len(Path("out/index.jsonl").read_text().splitlines())
    assert code == -signal.SIGKILL
    assert 16 <= done < 120
    resumed = explained("--resume")
    assert len(records(resumed.stdout)) == 120 - done
    assert f"120 files: {120 - done} done, 0 failed, {done} skipped" in resumed.stderr
    assert maps("out") == maps("undisturbed")
    sources = [line["source"] for line in records(Path("out/index.jsonl").read_text())]
    assert sorted(sources) == sorted(map(str, photos.glob("*.png")))


def test_terminated_it_says_how_to_go_on(photos: Path) -> None:
    code, err = struck(signal.SIGTERM, 8)
    done = len(Path("out/index.jsonl").read_text().splitlines())
    assert code == 143
    said = re.fullmatch(r"onnxray: terminated: (\d+) of 120 done, .*; the same command with --resume goes on\n", err)
    assert said is not None
    assert int(said[1]) in (done - 8, done)  # the signal may come when a batch is in the index, but not yet counted


def test_memory_does_not_grow_with_the_folder(photos: Path) -> None:
    """By the largest set of pages that a run of 100 and a run of 500 pictures held, in KiB."""
    few, many = most_memory(100), most_memory(500)
    assert many < few + 4 * 1024


def most_memory(count: int) -> int:
    more_photos(Path(f"{count}"), count)
    code = COMMAND[2] + "\n"
    told = "import atexit\nfrom resource import *\natexit.register(lambda: print(getrusage(RUSAGE_SELF).ru_maxrss))\n"
    command = [sys.executable, "-c", told + code, "explain", DIGITS, f"{count}", *OPTIONS, "--out", f"out{count}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1])
