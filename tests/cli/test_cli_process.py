"""The command line as a process: its exit code and streams, Ctrl-C, a reader that leaves, a terminal."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cli_tools import DIGIT, DIGITS, records
from onnxray import runtime
from onnxray.cli.app import run

pytestmark = pytest.mark.usefixtures("elsewhere")


def test_interrupted_between_images(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = runtime.Session.run, []

    def sometimes(self: runtime.Session, *arguments: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(runtime.Session, "run", sometimes)
    assert run(["explain", DIGITS, DIGIT, DIGIT, "--json", "--batch-size", "1"]) == 130
    out, err = capsys.readouterr()
    assert Path(records(out)[0]["files"][0]).is_file()
    assert "Traceback" not in err


class Refusing(io.StringIO):
    """A stdout that takes nothing."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number, self.nowhere = number, Path(os.devnull).open("w")  # noqa: SIM115  rich redirects its descriptor

    def fileno(self) -> int:
        return self.nowhere.fileno()

    def write(self, text: str) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize("arguments", [["--help"], ["save", "--help"], ["methods"], ["--version"]], ids=" ".join)
@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 2), (errno.EPIPE, 141)], ids=["full", "gone"])
def test_whatever_prints_says_what_became_of_stdout(
    arguments: list[str], number: int, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Refusing(number))
    assert run(arguments) == code
    said = capsys.readouterr().err
    assert ("stdout" in said and os.strerror(number) in said) if code == 2 else not said


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from onnxray.cli.app import main; main()", *arguments]


def test_in_a_process_of_its_own() -> None:
    done = subprocess.run(command("explain", DIGITS, DIGIT, "--json"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert records(done.stdout)[0]["image"] == DIGIT


@pytest.mark.slow
def test_bad_input_in_a_process_of_its_own() -> None:
    failed = subprocess.run(command("explain", DIGITS, "no.png"), capture_output=True, text=True, check=False)
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (2, "", 1)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def heed_ctrl_c() -> None:
    """A process that a shell starts in the background ignores SIGINT, and so do its children: pytest, too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.slow
def test_ctrl_c() -> None:
    arguments = ("explain", DIGITS, *[DIGIT] * 500, "--json", "-m", "occlusion")
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command(*arguments), **pipes, preexec_fn=heed_ctrl_c) as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in err


@pytest.mark.slow
def test_a_reader_that_leaves() -> None:
    arguments = ("explain", DIGITS, *[DIGIT] * 50, "--json")
    with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        err = running.stderr.read()
    assert running.returncode == 141  # as if SIGPIPE had ended it: 1 would say that some files failed
    assert err == ""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals on Windows")
def test_a_bar_on_a_terminal_leaves_stdout_alone() -> None:
    import pty

    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        command("explain", DIGITS, DIGIT, DIGIT, "--json", "-m", "occlusion"),
        stdout=subprocess.PIPE, stderr=theirs, text=True, env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    out, _ = running.communicate(timeout=60)
    time.sleep(0.1)
    assert len(records(out)) == 2
    assert b"digit.png" in os.read(ours, 100_000)
    os.close(ours)
