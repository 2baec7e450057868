"""Architectures of timm whose gradients onnxruntime failed to run while they held Pad with axes, and xcit.

Of xcit, PyTorch's own gradient is wrong for one picture (onnxray.converters.torch_backward); the script must notice.

torchvision, which timm imports, is not for the test environment: where it does not fit the build of PyTorch, its import
fails, and transformers would import it. Both wheels come into a folder of their own, in seconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "timm_architectures.py"
WHEELS = {"2.13": ("timm==1.0.31", "torchvision==0.28.0")}  # by the release of torch, which torchvision fixes


@pytest.mark.slow
def test_shallow_architectures_have_the_gradient_of_autograd(tmp_path: Path) -> None:
    """docs/coverage.md has all, which take too long for a test; the exporter is the one that wrote what failed."""
    torch = pytest.importorskip("torch", reason="PyTorch, which exports them, is not installed")
    wheels = WHEELS.get(".".join(torch.__version__.split(".")[:2]))
    if wheels is None:
        pytest.skip(f"no torchvision is named here for torch {torch.__version__}")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "site"), *wheels]
    subprocess.run(pip, check=True, timeout=300)
    asked = ["--shallow", "--exporters", "dynamo", "--results", str(tmp_path / "results")]
    path = os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run([sys.executable, SCRIPT, *asked], env={**os.environ, "PYTHONPATH": path}, check=False)
    found = {r["name"]: r["result"] for r in map(json.loads, (tmp_path / "results").read_text().splitlines())}
    assert len(found) == 8
    assert set(found.values()) == {"equal"}, found
    assert run.returncode == 0
