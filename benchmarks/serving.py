"""The service under load, by locust, beside direct calls: latencies, rate, processor time, memory, what batches gain.

Run: ``python benchmarks/serving.py --seconds 60 --clients 32``; ``--locust`` names locust's command, which may be
installed in another environment (``pip install locust``). Service and clients share the machine, so that the rate is
that of both; the processor time of the service for each request is its own.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
from onnxray import models

HERE = Path(__file__).parent
DIGITS = models.path("digits.onnx")
CODE = "from onnxray.cli.app import main; main()"
CALLS = 400  # direct ones


@dataclass(frozen=True)
class Load:
    """What a run of locust found: milliseconds, requests a second, and the service's processor time and memory."""

    p50: float
    p95: float
    p99: float
    rate: float
    failed: int
    cpu: float  # ms a request
    memory: tuple[float, float]  # MB, at a fifth of the time and at its end

    def row(self, name: str) -> str:
        """A line of the table."""
        times = f"{self.p50:.0f} | {self.p95:.0f} | {self.p99:.0f} | {self.rate:.0f} | {self.failed}"
        return f"| {name} | {times} | {self.cpu:.2f} | {self.memory[0]:.0f} | {self.memory[1]:.0f} |"


@contextmanager
def served(method: str, batch: int) -> Iterator[tuple[int, str]]:
    """The process of a service on one thread, and where it is."""
    options = ["--method", method, "--threads", "1", "--port", "0", "--batch-size", str(batch), "--queue", "1000"]
    command = [sys.executable, "-c", CODE, "serve", str(DIGITS), *options]
    process = subprocess.Popen(command, stdout=-1, stderr=subprocess.DEVNULL, text=True)
    try:
        found = re.search(r"http\S+", process.stdout.readline() if process.stdout else "")
        if not found:
            raise RuntimeError("the service did not start")
        time.sleep(2)
        yield process.pid, found[0]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def cpu(pid: int) -> float:
    """Seconds of the processor that a process took."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> float:
    """MB that a process holds."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0]) / 1024


def percentile(times: Mapping[str, int], share: float) -> float:
    """The time below which a share of the requests lie, of counts by milliseconds."""
    ranked = sorted((float(ms), count) for ms, count in times.items())
    counts = np.cumsum([count for _, count in ranked])
    return ranked[int(np.searchsorted(counts, share * counts[-1]))][0]


def loaded(method: str, batch: int, clients: int, seconds: int, locust: str) -> Load:
    """A service under so many clients for so many seconds."""
    with served(method, batch) as (pid, url):
        command = [locust, "-f", str(HERE / "serving_clients.py"), "--headless", "-u", str(clients), "-r", str(clients),
                   "-t", f"{seconds}s", "-H", url, "--json", "--loglevel", "ERROR", "--reset-stats"]  # fmt: skip
        start = cpu(pid)
        run = subprocess.Popen(
            command, stdout=-1, stderr=subprocess.DEVNULL, text=True, env={**os.environ, "METHOD": method}
        )
        time.sleep(seconds / 5 + 3)
        early = memory(pid)
        (found,) = json.loads(run.communicate()[0])
        took, late = cpu(pid) - start, memory(pid)
    times, count = found["response_times"], found["num_requests"]
    lasted = found["last_request_timestamp"] - found["start_time"]
    shares = [percentile(times, share) for share in (0.5, 0.95, 0.99)]
    return Load(*shares, count / lasted, found["num_failures"], 1000 * took / count, (early, late))


def direct(method: str, rows: int) -> float:
    """Milliseconds of the processor that a direct call takes for each row."""
    explainer = onnxray.Explainer(DIGITS, method, threads=1)
    x = np.random.default_rng(0).random((rows, 1, 28, 28), np.float32)
    calls = max(10, CALLS // rows)
    explainer(x, 3)
    start = time.process_time()
    for _ in range(calls):
        explainer(x, 3)
    return 1000 * (time.process_time() - start) / calls / rows


def parsed() -> Any:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--method", default="saliency")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--turns", type=int, default=1, help="how often both are measured, one after the other")
    parser.add_argument("--locust", default="locust")
    return parser.parse_args()


def main() -> None:
    """Prints the tables."""
    asked = parsed()
    print(
        f"{asked.method}, {asked.clients} clients, {asked.seconds} s each; load of the machine "
        f"{os.getloadavg()[0]:.1f}\n"
    )
    print("| service | p50 ms | p95 ms | p99 ms | requests/s | failed | CPU ms/request | MB early | MB late |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    found: dict[int, list[Load]] = {1: [], 32: []}
    for _ in range(asked.turns):
        for batch, so_far in found.items():
            so_far.append(loaded(asked.method, batch, asked.clients, asked.seconds, asked.locust))
            print(so_far[-1].row(f"--batch {batch}"), flush=True)
    rates, costs = ({b: pick(one) for b, one in found.items()} for pick in (
        lambda loads: max(one.rate for one in loads), lambda loads: min(one.cpu for one in loads)))  # fmt: skip
    print(f"\nbatches: {rates[32] / rates[1]:.2f} times the rate, {costs[1] / costs[32]:.2f} times less processor time")
    print(f"direct calls: {direct(asked.method, 1):.2f} ms of the processor for a row alone, "
          f"{direct(asked.method, 32):.2f} ms for a row in a batch of 32")  # fmt: skip


if __name__ == "__main__":
    main()
