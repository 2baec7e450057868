"""``onnxray serve`` in a process of its own."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from late import Late
from onnxray import models

httpx: Any = Late("httpx2")
CODE = "import sys; from onnxray.cli.app import main; main()"


@dataclass
class Started:
    """A process that serves, where, and its log."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def memory(self) -> int:
        """Bytes in use."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+)", text)[0]) * 1024

    def end(self, number: int = signal.SIGTERM) -> int:
        """The exit code after a signal."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


@contextmanager
def started(folder: Path, *options: str, file: str | None = None) -> Iterator[Started]:
    """A service of the digits that is ready."""
    command = [sys.executable, "-c", CODE, "serve", file or str(models.path("digits.onnx")), "--port", "0", *options]
    log = folder / "log.jsonl"
    with log.open("w") as stderr:
        process = subprocess.Popen(command, stdout=-1, stderr=stderr, text=True, env={**os.environ}, cwd=folder)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, log.read_text()
        until = time.monotonic() + 60
        while httpx.get(f"{found[0]}/v2/health/ready").status_code != 200:
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
        yield Started(process, found[0], log)
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]
