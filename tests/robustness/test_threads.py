"""One explainer in several threads: the results are those of one thread, and sessions go when nobody holds them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnxray
import pytest
from by_hand import CONV, Array
from onnxray.attribution import plan_cache
from onnxray.attribution.plan_cache import KEPT
from onnxray.explainer import explanation_runs
from onnxray.runtime import Session
from onnxray.scores import Contrast

THREADS = 8
OPEN = CONV.proto(size=("H", "W"))


def in_threads(run: Callable[[int], Array], calls: int = THREADS) -> list[Array]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(calls)))


def compared(sizes: int, calls: int, method: str, options: dict[str, Any]) -> None:
    """Inputs of several sizes at the same time, of one and several examples, for classes and contrasts."""
    inputs = [CONV.x(1 + k % 3, size=(4 + k % sizes, 5)) for k in range(calls)]
    targets = [Contrast(1, 2) if k % 4 == 3 else k % 3 for k in range(calls)]
    serial, shared = (onnxray.Explainer(OPEN, method, threads=1, **options) for _ in range(2))
    truth = [np.asarray(serial(x, target).values) for x, target in zip(inputs, targets, strict=True)]
    found = in_threads(lambda k: np.asarray(shared(inputs[k], targets[k]).values), calls)
    for one, other in zip(found, truth, strict=True):
        np.testing.assert_array_equal(one, other)


def test_threads_explain_as_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """While graphs that others run make room for new ones."""
    monkeypatch.setattr(plan_cache, "KEPT", 1)
    compared(2, THREADS, "feature-ablation", {"cells": 2})


@pytest.mark.slow
@pytest.mark.parametrize(("method", "options"), [("saliency", {}), ("grad-cam", {"layer": "conv"}), ("lrp", {})])
def test_threads_explain_more_sizes_than_graphs_are_kept(method: str, options: dict[str, Any]) -> None:
    compared(KEPT + 2, 4 * THREADS, method, options)


def test_a_graph_is_built_once_for_all_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    built, graph = [], explanation_runs.explanation_graph
    monkeypatch.setattr(explanation_runs, "explanation_graph", lambda *a, **b: built.append(1) or graph(*a, **b))
    explainer, x = onnxray.Explainer(OPEN, threads=1), CONV.x(2)
    in_threads(lambda _: np.asarray(explainer(x, 1).values))
    assert len(built) == 1


def test_sessions_go_with_the_last_who_holds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not before: another thread may run one whose graph made room."""
    monkeypatch.setattr(plan_cache, "KEPT", 1)
    monkeypatch.setattr(Session, "close", lambda session: pytest.fail("closed while it may run"))
    explainer = onnxray.Explainer(OPEN, threads=1)
    explainer(CONV.x(1, size=(4, 5)), 1)
    (running,) = explainer._runs.plans
    session = weakref.ref(running.session)
    explainer(CONV.x(1, size=(5, 5)), 1)
    (held,) = explainer._runs.plans
    assert held is not running
    assert session() is not None
    del running
    assert session() is None
    session = weakref.ref(held.session)
    del held, explainer
    gc.collect()
    assert session() is None
