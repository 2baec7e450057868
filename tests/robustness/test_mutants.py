"""Mutants of models and of data: no raw exception, no crash, no hang, and scores equal to plain onnxruntime's.

A few for every day, drawn by Hypothesis; two minutes of them in CI. A failure names the line that repeats it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnx
import pytest
from by_hand import CONV, DENSE
from data_mutants import KINDS, data_mutant, tried_data
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mutants import in_workers, run_mutants
from mutation import mutant
from seeds import MADE
from trial import GOOD, tried
from workers import Worker

FEW = settings(derandomize=True, deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))


@pytest.mark.parametrize("name", MADE)
def test_the_whole_models_are_explained(name: str) -> None:
    assert tried(MADE[name]().SerializeToString()) == ("explained", "")


def test_the_trial_finds_a_raw_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("onnxray.load", broken)
    kind, note = tried(DENSE.proto().SerializeToString())
    assert kind == "raw"
    assert "a bug" in note


def test_the_trial_finds_a_wrong_score(monkeypatch: pytest.MonkeyPatch) -> None:
    right = onnx.ModelProto()
    right.CopyFrom(DENSE.proto())
    wrong = onnx.ModelProto()
    wrong.CopyFrom(right)
    next(w for w in wrong.graph.initializer if w.name == "b").raw_data = np.ones(4, np.float32).tobytes()
    load = __import__("onnxray").load
    monkeypatch.setattr("onnxray.load", lambda _: load(wrong))
    assert tried(right.SerializeToString())[0] == "wrong"


@pytest.fixture(scope="module")
def worker() -> Iterator[Callable[[bytes], tuple[str, str]]]:
    with in_workers() as one:
        yield one


@pytest.mark.slow  # as a process of its own takes seconds to start
@FEW
@given(number=st.integers(0, 10**6))
def test_mutants_of_models(worker: Callable[[bytes], tuple[str, str]], number: int) -> None:
    small = [DENSE.proto(), CONV.proto(), MADE["functions"](), MADE["loop"](), MADE["described"]()]
    kind, note = worker(mutant(small, number))
    assert kind in GOOD, note


@FEW
@given(number=st.integers(0, 10**6))
def test_mutants_of_data(number: int) -> None:
    kind, content = data_mutant(number)
    if kind == "golden":
        return  # a comparison each: among the slow ones
    found, note = tried_data(kind, content)
    assert found in GOOD, f"{note}\ndata_mutant({number})"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("csv", "npz")])
def test_whole_files_of_data_are_read(kind: str) -> None:
    assert tried_data(kind, KINDS[kind][1]()) == ("explained", "")


def _crash() -> tuple[str, str]:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGSEGV)
    return "", ""


def _sleep() -> tuple[str, str]:
    import time

    time.sleep(60)
    return "", ""


@pytest.mark.slow
@pytest.mark.parametrize(("work", "kind"), [(_crash, "crash"), (_sleep, "hang")])
def test_a_worker_that_dies_is_replaced(work: Callable[[], tuple[str, str]], kind: str) -> None:
    with Worker(work, seconds=0.5 if kind == "hang" else 60) as one:
        assert [one()[0], one()[0]] == [kind, kind]
        assert one.starts == 2


@pytest.mark.slow
def test_two_minutes_of_mutants(measured: Callable[[str], None]) -> None:
    counts, bad = run_mutants(1_000_000, 1_001_000, seconds=90)
    measured(f"{counts.total()} mutants of models: {dict(counts)}")
    assert bad == []
    assert counts["explained"] > counts.total() / 10


@pytest.mark.slow
def test_mutants_of_all_data(measured: Callable[[str], None]) -> None:
    found = [tried_data(*data_mutant(number)) for number in range(200)]
    bad = [(number, note) for number, (kind, note) in enumerate(found) if kind not in GOOD]
    measured(f"{len(found)} mutants of data, {len(bad)} bad")
    assert bad == []
