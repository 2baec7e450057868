"""The benchmark of both gradient builders runs, and their gradients agree."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")

from nets import net

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "training.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    """benchmarks/training.py as a module."""
    spec = importlib.util.spec_from_file_location("training_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_benchmark_puts_both_graphs_side_by_side(benchmark: ModuleType) -> None:
    one = net("cnn")
    found = benchmark.compare(one.proto, one.pictures(1), repeats=1, threads=1)
    assert list(found) == ["portable", "ort-training, lowered", "ort-training, raw"]
    for way in found.values():
        assert way["relative_l2_to_portable"] <= 1e-5
        assert all(way[what][clock] > 0 for what in ("build", "run") for clock in ("wall", "cpu"))
