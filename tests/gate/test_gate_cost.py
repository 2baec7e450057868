"""The benchmark of a comparison, on fewer pictures: it runs, and memory is flat."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PHOTOGRAPHS = ROOT.parent / "shared" / "data" / "images"


@pytest.mark.slow
@pytest.mark.skipif(not PHOTOGRAPHS.is_dir(), reason="the photographs of shared/data are not here")
def test_a_comparison_takes_no_more_memory_for_more_pictures() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "compare.py"), str(PHOTOGRAPHS), "--counts", "15", "30"]
    done = subprocess.run([*command, "--candidates", "float"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["samples"] == 30
    assert found["methods"] == ["saliency", "input-x-gradient", "grad-cam"]
    assert found["ratio"]["cpu"] > 0
    assert found["memory"]["30"] - found["memory"]["15"] < 20, found["memory"]  # MiB: fifteen samples' maps would be 27
