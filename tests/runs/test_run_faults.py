"""Faults of real runs, by signals and machines: after them each sample has one row, that of an undisturbed run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import pytest
from onnxray.models import path
from onnxray.runs.pieces import pieces_in

COUNT = 96
NAMES = [
    "process",
    *(
        pytest.param(name, marks=pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed"))
        for name, module in (("ray", "ray"), ("dask", "distributed"))
    ),
]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data, and a run of one process over them."""
    folder = tmp_path_factory.mktemp("undisturbed")
    np.save(folder / "x.npy", np.random.default_rng(0).random((COUNT, 1, 28, 28), np.float32))
    onnxray.run(
        path("digits.onnx"), folder / "x.npy", folder / "maps", "occlusion", workers=0, piece=8, window=4, stride=1
    )
    return folder


def started(data: Path, out: Path, *more: str) -> subprocess.Popen[str]:
    """`onnxray run`, of enough work to be disturbed in its midst."""
    line = ["run", str(path("digits.onnx")), str(data / "x.npy"), "--out", str(out), "--piece", "8"]
    line += ["-m", "occlusion", "--window", "4", "--stride", "1", *more]
    code = "from onnxray.cli.app import main; main()"
    return subprocess.Popen([sys.executable, "-c", code, *line], text=True, stdout=-1, stderr=-1)


def wait_for_pieces(out: Path, number: int) -> None:
    end = time.monotonic() + 120
    while not out.exists() or len(pieces_in(out)) < number:
        assert time.monotonic() < end, "no piece was written within two minutes"
        time.sleep(0.02)


def ended(driver: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = driver.communicate(timeout=240)
    return driver.returncode, errors


def assert_undisturbed(out: Path, undisturbed: Path) -> None:
    """Rows, maps and all: nothing is lost, and nothing is there twice."""
    found, expected = (onnxray.read_run(one).table.to_table() for one in (out, undisturbed / "maps"))
    assert found.num_rows == COUNT
    assert found.equals(expected)


def workers_of(driver: int) -> list[int]:
    """The worker processes of a driver, of Linux."""
    children = Path(f"/proc/{driver}/task/{driver}/children")
    found = map(int, children.read_text().split()) if children.exists() else ()
    threads = Path(f"/proc/{driver}/task")
    found = {int(pid) for one in threads.glob("*/children") for pid in one.read_text().split()} | set(found)
    return [pid for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_driver_that_was_killed_goes_on(name: str, undisturbed: Path, tmp_path: Path) -> None:
    """Its workers may live on for a while, and write what they had in hand."""
    by = ("--executor", name, "--workers", "2")
    driver = started(undisturbed, tmp_path / "maps", *by)
    wait_for_pieces(tmp_path / "maps", 2)
    driver.kill()
    assert driver.wait(60) == -signal.SIGKILL
    assert len(pieces_in(tmp_path / "maps")) < COUNT / 8
    assert ended(started(undisturbed, tmp_path / "maps", *by)) == (0, "")
    assert_undisturbed(tmp_path / "maps", undisturbed)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="no /proc that names the workers")
def test_a_worker_that_was_killed_is_replaced(undisturbed: Path, tmp_path: Path) -> None:
    driver = started(undisturbed, tmp_path / "maps", "--workers", "2")
    killed: set[int] = set()
    while len(killed) < 2:  # those of a pool that is made anew are there again after a second or two
        if driver.poll() is not None:
            pytest.fail(f"the run ended before two workers were killed: {driver.communicate()[1]}")
        for worker in [one for one in workers_of(driver.pid) if one not in killed][:1]:
            wait_for_pieces(tmp_path / "maps", 2 * len(killed) + 1)
            with suppress(ProcessLookupError):  # it went with the other one
                os.kill(worker, signal.SIGKILL)
                killed.add(worker)
        time.sleep(0.02)
    assert ended(driver) == (0, "")
    assert_undisturbed(tmp_path / "maps", undisturbed)


@pytest.mark.slow
def test_of_two_drivers_one_is_refused(undisturbed: Path, tmp_path: Path) -> None:
    """Both begin at once; a third goes on with what there is."""
    drivers = [started(undisturbed, tmp_path / "maps", "--workers", "1") for _ in range(2)]
    codes, errors = zip(*map(ended, drivers), strict=True)
    assert sorted(codes) == [0, 2], errors
    assert "another process writes to" in "".join(errors)
    assert_undisturbed(tmp_path / "maps", undisturbed)
    assert ended(started(undisturbed, tmp_path / "maps", "--workers", "1")) == (0, "")
    assert_undisturbed(tmp_path / "maps", undisturbed)


@pytest.mark.slow
def test_a_ray_node_that_dies_loses_nothing(undisturbed: Path, tmp_path: Path) -> None:
    """One of two nodes of this machine, in the midst of its shards."""
    pytest.importorskip("ray", exc_type=ImportError)
    cluster: Any = import_module("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
    )
    try:
        node = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        driver = started(undisturbed, tmp_path / "maps", "--executor", "ray", "--address", cluster.address)
        wait_for_pieces(tmp_path / "maps", 3)
        cluster.remove_node(node, allow_graceful=False)
        assert len(pieces_in(tmp_path / "maps")) < COUNT / 8
        code, errors = ended(driver)
        assert code == 0, errors
    finally:
        cluster.shutdown()
    assert_undisturbed(tmp_path / "maps", undisturbed)
