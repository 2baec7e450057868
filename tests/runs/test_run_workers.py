"""Workers that die: each piece is done once all the same, and what kills every worker is set aside."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import pytest
from onnxray.models import path
from onnxray.runs.pieces import pieces_in
from onnxray.runs.run_shard import PieceDone
from onnxray.workers.dispatch import WorkerDied, dispatch
from onnxray.workers.executor_named import executor_named
from onnxray.workers.piece import Piece
from PIL import Image

POISON = 5
SLOW: dict[str, Any] = {"window": 4, "stride": 1, "workers": 0, "piece": 8}  # enough work to be stopped in its midst
NAMES = [
    "process",
    *(
        pytest.param(name, marks=pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed"))
        for name, module in (("ray", "ray"), ("dask", "distributed"))
    ),
]


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
@pytest.mark.parametrize("name", NAMES)
def test_the_poison_is_found_and_the_rest_is_done(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aside: list[Piece] = []

    def set_aside(piece: Piece) -> PieceDone:
        aside.append(piece)
        return PieceDone(piece, 1)

    pieces = [Piece(0, 4), Piece(4, 8), Piece(8, 12)]
    task: Any = lambda piece: (deadly, (piece, tmp_path))  # noqa: E731
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))  # Ray's workers import this file

    def written(piece: Piece) -> PieceDone | None:
        return PieceDone(piece, 0) if (tmp_path / piece.file).exists() else None

    with executor_named(name, 2, 1, None, 3) as executor:
        calls: Any = {"executor": executor, "batch": 2, "written": written, "set_aside": set_aside}
        done = list(dispatch(pieces, task, lambda: False, **calls))
    assert aside == [Piece(POISON, POISON + 1)]
    assert sorted(k for one in done for k in range(one.piece.start, one.piece.stop)) == list(range(12))
    assert sorted([*pieces_in(tmp_path), *aside]) == sorted(one.piece for one in done)


IN_HAND = """
import time
from pathlib import Path
from onnxray.workers.executor_named import executor_named

def slowly():
    Path("begun").touch()
    time.sleep(20)
    Path("done").touch()

if __name__ == "__main__":
    with executor_named("process", 1, 1, None, 1) as executor:
        executor.submit((slowly, ()))
        while not Path("begun").exists():
            time.sleep(0.05)
        raise KeyboardInterrupt
"""


@pytest.mark.slow
def test_a_second_signal_does_not_wait_for_what_is_in_hand(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(IN_HAND)
    run = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "KeyboardInterrupt" in run.stderr
    assert not (tmp_path / "done").exists()


def test_a_pool_is_left_when_its_processes_have_ended() -> None:
    """What a pool had not closed by the end of Python, that would use in the midst of its closing."""
    with executor_named("process", 2, 1, None, 2) as executor:
        left = [executor.submit((int, (text,))) for text in "45"]
        while len(list(executor.finished(left))) < 2:
            pass
        assert [executor.result(one) for one in left] == [4, 5]
    assert not active_children()
    assert not [one for one in threading.enumerate() if "ExecutorManager" in type(one).__name__]


def test_a_worker_leaves_out_what_nothing_asks_for() -> None:
    """sympy, by which onnx_ir would calculate with names of sizes: a quarter of a second of each process."""
    code = "__import__('onnxray').Explainer and 'sympy.core' in __import__('sys').modules"
    with executor_named("process", 1, 1, None, 1) as executor:
        (future,) = executor.finished([executor.submit((eval, (code,)))])
        assert executor.result(future) is False


class EndsAsItBegins:
    """One worker, whose first four processes end before they take any work."""

    def __init__(self) -> None:
        self.left = 4

    def most(self) -> int:
        return 1

    def submit(self, work: Any) -> Any:
        return lambda: work[0](*work[1])

    def finished(self, flying: Any) -> list[Any]:
        return list(flying)

    def result(self, future: Any) -> Any:
        if self.left:
            self.left -= 1
            raise WorkerDied(of_work=False)
        return future()


def test_no_piece_is_blamed_for_a_worker_that_never_began() -> None:
    executor: Any = EndsAsItBegins()
    pieces, told = [Piece(0, 1), Piece(1, 3)], lambda piece: None
    task: Any = lambda piece: (lambda one: one, (piece,))  # noqa: E731
    found = dispatch(pieces, task, lambda: False, executor=executor, batch=1, written=told, set_aside=told)
    assert list(found) == pieces


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_error_leaves_workers_that_take_more(name: str) -> None:
    """As one method of an evaluation of all fails, and the others are measured."""

    def results(executor: Any, work: Any) -> list[Any]:
        pieces, told = [Piece(k, k + 1) for k in range(4)], lambda piece: None
        task: Any = lambda piece: work[piece.start]  # noqa: E731
        return [*dispatch(pieces, task, lambda: False, executor=executor, batch=1, written=told, set_aside=told)]

    with executor_named(name, 2, 1, None, 4) as executor:
        with pytest.raises(ValueError, match="invalid literal"):
            results(executor, [(time.sleep, (2,)), (int, ("x",)), (int, ("y",)), (time.sleep, (2,))])
        assert sorted(results(executor, [(int, (k,)) for k in range(4)])) == [0, 1, 2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_another_executor_goes_on_with_the_same_rows(name: str, tmp_path: Path) -> None:
    """Eight of 40 pictures by this process, one of which is bad, the others by two workers."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for k, plane in enumerate(np.random.default_rng(0).integers(0, 255, (40, 28, 28), np.uint8)):
        Image.fromarray(plane).save(photos / f"{k:02}.png")
    (photos / "30.png").write_text("no picture")
    more: dict[str, Any] = {"piece": 8, "batch": 4, "method": "grad-cam"}
    whole = onnxray.run(path("digits.onnx"), photos, tmp_path / "whole", workers=0, **more)
    calls = iter([False, True])
    onnxray.run(path("digits.onnx"), photos, tmp_path / "maps", workers=0, stopped=lambda: next(calls), **more)
    report = onnxray.run(path("digits.onnx"), photos, tmp_path / "maps", workers=2, executor=name, **more)
    assert (report.before, report.done, report.left, report.failed) == (8, 32, 0, 1)
    found, expected = (onnxray.read_run(one.out).table.to_table() for one in (report, whole))
    assert found.equals(expected)


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
    assert "samples are left; the same command goes on" in errors.splitlines()[-1], errors
    assert "done before" in told
    driver = started(tmp_path)
    assert driver.wait(120) == 0
    driver.communicate()
    whole = onnxray.run(path("digits.onnx"), tmp_path / "x.npy", tmp_path / "whole", "occlusion", **SLOW)
    found, expected = (onnxray.read_run(one).table.to_table() for one in (out, whole.out))
    assert found.equals(expected)


CRASH = """import os
from PIL import Image
opened = Image.open
def crashing(file, *rest, **more):
    if b"CRASH" in getattr(file, "getvalue", bytes)():
        os.abort()
    return opened(file, *rest, **more)
Image.open = crashing
"""


@pytest.mark.slow
def test_a_picture_that_crashes_the_decoder_is_one_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In every worker that opens it, each time; all others have their maps."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for k, plane in enumerate(np.random.default_rng(0).integers(0, 255, (8, 28, 28), np.uint8)):
        Image.fromarray(plane).save(photos / f"{k}.png")
    more: dict[str, Any] = {"piece": 4, "batch": 2, "method": "grad-cam"}
    whole = onnxray.run(path("digits.onnx"), photos, tmp_path / "whole", workers=0, **more)
    (photos / "5.png").write_bytes(b"CRASH" * 9)
    (tmp_path / "sitecustomize.py").write_text(CRASH)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    report = onnxray.run(path("digits.onnx"), photos, tmp_path / "maps", workers=2, **more)
    assert (report.done, report.left, report.failed) == (8, 0, 1)
    found, expected = (list(onnxray.read_run(one.out).rows()) for one in (report, whole))
    assert [row["id"] for row in found] == [row["id"] for row in expected]
    assert found[5]["error"] == "the worker process died of this sample, twice"
    assert found[5]["source"] == str(photos / "5.png")
    others = [k for k in range(8) if k not in (4, 5)]  # 4 was in its batch, and is now explained alone
    assert [found[k] for k in others] == [expected[k] for k in others]
    assert found[4]["score"] == pytest.approx(expected[4]["score"], rel=1e-5)


@pytest.mark.slow
def test_a_script_that_its_workers_would_run_again_says_so(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 1, 28, 28), np.float32))
    digits = str(path("digits.onnx"))
    (tmp_path / "script.py").write_text(f"import onnxray\nonnxray.run({digits!r}, 'x.npy', 'maps', workers=1)")
    ended = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 1
    assert "call this below if __name__ == '__main__'" in ended.stderr.splitlines()[-1]
    assert not pieces_in(tmp_path / "maps")  # the only sample is not to blame


@pytest.mark.slow
def test_a_full_disk_ends_the_run_with_one_line_and_the_next_goes_on(tmp_path: Path) -> None:
    """Files may have 20,000 bytes, as if nothing more fitted on the disk."""
    resource = pytest.importorskip("resource")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((40, 1, 28, 28), np.float32))
    line = ["run", str(path("digits.onnx")), "x.npy", "--out", "maps", "--workers", "1", "--piece", "20"]
    call = [sys.executable, "-c", "from onnxray.cli.app import main; main()", *line]

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    ended = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, timeout=120, preexec_fn=limited)
    assert ended.returncode == 2
    assert "parquet cannot be written: " in ended.stderr
    assert "File too large" in ended.stderr
    assert len(ended.stderr.strip().splitlines()) == 1
    assert [file.name for file in (tmp_path / "maps").iterdir()] == ["run.json"]
    assert subprocess.run(call, cwd=tmp_path, capture_output=True, timeout=120, check=True).returncode == 0
    whole = onnxray.run(path("digits.onnx"), tmp_path / "x.npy", tmp_path / "whole", workers=0, piece=20)
    found, expected = (onnxray.read_run(one).table.to_table() for one in (tmp_path / "maps", whole.out))
    assert found.equals(expected)
