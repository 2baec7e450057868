"""Set-up of all tests: one thread a process, a folder of their own, the real files, a table of what was measured."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from shared_folder import VARIABLE

DATA = Path(__file__).parents[2] / "shared" / "data"
MEASURED = "measured"
MOST = 3 << 30  # bytes of a process from which large nets are freed between files


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--most-skips", type=int, metavar="N", help="fail where more than N tests are skipped")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails the run where more tests were skipped than may be; in the process that has the reports of all."""
    most, terminal = session.config.getoption("most_skips"), session.config.pluginmanager.getplugin("terminalreporter")
    if most is None or terminal is None or hasattr(session.config, "workerinput"):
        return
    skipped = len(terminal.getreports("skipped"))
    terminal.write_line(f"\n{skipped} skipped, for the reasons below; at most {most} may be")
    if skipped > most and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


LIBRARIES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


def pytest_configure(config: pytest.Config) -> None:
    """One thread a process, as pytest-xdist has a process a core: threads that wait for each other burn both cores."""
    os.environ.update({name: os.environ.get(name, "1") for name in LIBRARIES})  # before numpy and PyTorch are imported
    if VARIABLE not in os.environ:
        folder = TemporaryDirectory(prefix="onnxray-tests-")
        os.environ[VARIABLE] = folder.name  # processes of pytest-xdist are given it
        config.add_cleanup(folder.cleanup)
    with contextlib.suppress(ModuleNotFoundError):
        import onnxruntime

        onnxruntime.set_default_logger_severity(4)
        _one_thread(onnxruntime)


def _one_thread(ort: Any) -> None:
    """Sessions in this process that ask for no number of threads get one; those of other processes take all cores."""
    init = ort.InferenceSession.__init__

    def on_one(self: Any, source: Any, options: Any = None, *args: Any, **named: Any) -> None:
        options = options or named.pop("sess_options", None) or ort.SessionOptions()
        options.intra_op_num_threads = options.intra_op_num_threads or 1
        init(self, source, options, *args, **named)

    ort.InferenceSession.__init__ = on_one


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the files that take TensorFlow first, so that one process of pytest-xdist alone imports it: each begins with
    its share of the list. Refuses ids with addresses: other processes, and who repeats a test, find it by its id."""
    items.sort(key=lambda item: not _takes_tensorflow(item.path))
    if wrong := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(f"the id of a test holds an address: {wrong[0]}")


@cache
def _takes_tensorflow(file: Path) -> bool:
    return '"tensorflow"' in file.read_text(encoding="utf-8")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Spares the garbage collector what the collection of all tests makes: it lives to the end.

    A graph has some ten thousand objects: at the usual threshold of 700 each is walked through many times.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(10_000)
        gc.enable()


@pytest.fixture(scope="module", autouse=True)
def _large_nets_are_freed() -> Iterator[None]:
    """Two processes with the large nets of several files would not fit into CI's memory."""
    yield
    from onnxray.support.heap import held_memory, release

    if held_memory() > MOST:
        for name, clear in (("nets", "forget"), ("peers", "forget_explainers")):
            if name in sys.modules:
                getattr(sys.modules[name], clear)()
        gc.collect()
        release()


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Notes one line for the summary at the end of the run; a process of pytest-xdist sends it with its report."""
    return lambda line: request.node.user_properties.append((MEASURED, f"{request.node.name}: {line}"))


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs the test in an empty folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def net() -> Callable[[str], Any]:
    """The usual classifiers, by name; the test is skipped where PyTorch, in which they are written, is absent."""
    pytest.importorskip("torch", reason="PyTorch is not installed")
    from nets import net

    return net


@pytest.fixture
def data() -> Callable[[str], Path]:
    """A real file beside the checkout, by its path in ../shared/data; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        path = DATA / name
        if not path.exists():
            pytest.skip(f"{path} is not on this machine")
        return path

    return find


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind)]
    said = [one for report in reports if report.when == "call" for one in report.user_properties]
    if noted := [line for name, line in said if name == MEASURED]:
        terminalreporter.section("measured")
        for line in noted:
            terminalreporter.line(line)
