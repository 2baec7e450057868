"""Named pipes as data: one line in the place of a wait for ever; what the shell has opened is read."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import onnxray
import pytest
from cli_tools import DIGIT, DIGITS, one_line
from onnxray.cli.app import run

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are made by mkfifo alone")


@pytest.fixture
def pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    for name in ("pipe.npy", "pipe.png"):
        os.mkfifo(name)
    Path("link.csv").symlink_to("pipe.npy")
    return "is a named pipe, which is waited for until somebody writes; write to a file, name that"


@pytest.mark.parametrize(
    "arguments",
    [
        ["explain", DIGITS, "pipe.npy"],
        ["explain", DIGITS, "pipe.png"],
        ["explain", DIGITS, DIGIT, "link.csv"],
        ["explain", DIGITS, DIGIT, "--target", "mask:pipe.png"],
        ["explain", DIGITS, DIGIT, "--target", "mask:pipe.npy"],
        ["explain", DIGITS, DIGIT, "-m", "integrated-gradients", "--baseline", "pipe.npy"],
        ["run", DIGITS, "pipe.npy", "--out", "maps"],
        ["verify", DIGITS, "pipe.npy"],
    ],
)
def test_a_pipe_is_refused(arguments: list[str], pipe: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert pipe in one_line(arguments, capsys)
    assert not Path("maps").exists()


def test_a_pipe_is_refused_in_python(pipe: str) -> None:
    with pytest.raises(onnxray.InputError, match=pipe):
        onnxray.explain(DIGITS, "pipe.png")
    with pytest.raises(onnxray.InputError, match=pipe):
        onnxray.run(DIGITS, "pipe.png", "maps/inner")
    assert not Path("maps").exists()


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="no /dev/fd here")
def test_an_open_pipe_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As the shell gives it for <(command)."""
    reads, writes = os.pipe()

    def write() -> None:
        with os.fdopen(writes, "wb") as stream:
            stream.write(Path(DIGIT).read_bytes())

    writer = threading.Thread(target=write)
    writer.start()
    assert run(["explain", DIGITS, f"/dev/fd/{reads}", "--save", "map", "--out", str(tmp_path)]) == 0
    writer.join()
    os.close(reads)
    expected = onnxray.explain(DIGITS, DIGIT).map()[0]
    (file,) = tmp_path.glob("*.npy")
    np.testing.assert_allclose(np.load(file), expected, rtol=1e-5)
