"""A provider that is not here or nowhere, and no onnxruntime at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import onnxray
import pytest
from by_hand import DENSE
from failing import fails
from onnxray import InputError, RuntimeUnavailable


@pytest.mark.parametrize("provider", ["cuda", "CUDAExecutionProvider", ("cuda", {"device_id": 0})], ids=str)
def test_cuda_is_not_here(provider: Any) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with fails(RuntimeUnavailable, "cuda", "cpu", "onnxray[gpu]"):
        onnxray.explain(DENSE.proto(), DENSE.x(), providers=provider)


def test_the_libraries_of_cuda_are_looked_for_and_stdout_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A runtime that has CUDA by its list and not by its libraries, as onnxruntime-gpu without them."""
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: print("no libcudnn"))
    with fails(RuntimeUnavailable, "CUDAExecutionProvider", "did not start"):
        onnxray.Explainer(DENSE.proto(), providers="cuda")
    assert capsys.readouterr() == ("", "no libcudnn\n")


@pytest.mark.parametrize("providers", ["nonsense", ["cpu", "nonsense"], [("nonsense", {})]], ids=str)
def test_provider_that_nobody_knows(providers: Any) -> None:
    with fails(RuntimeUnavailable, "nonsense", "cpu"):
        onnxray.Explainer(DENSE.proto(), providers=providers)
    with fails(RuntimeUnavailable, "nonsense", "cpu"):
        onnxray.activations(DENSE.proto(), DENSE.x(), ["h"], providers=providers)


@pytest.mark.parametrize("providers", [[], 3, [None]], ids=str)
def test_no_provider(providers: Any) -> None:
    with fails(InputError, "provider"):
        onnxray.Explainer(DENSE.proto(), providers=providers)


WITHOUT_RUNTIME = """
import sys
sys.modules["onnxruntime"] = None
import numpy as np, onnxray
proto = onnxray.load(sys.argv[1])
print(len(onnxray.differentiate(proto).model.graph.node) > 3)
try:
    onnxray.explain(proto, np.zeros((1, 6), np.float32))
except onnxray.RuntimeUnavailable as error:
    print(error)
"""


def test_missing_runtime(tmp_path: Path) -> None:
    """Importing, loading and differentiating need no runtime; running does, and says which to install."""
    onnx.save(DENSE.proto(), tmp_path / "model.onnx")
    command = [sys.executable, "-c", WITHOUT_RUNTIME, str(tmp_path / "model.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    differentiated, message = done.stdout.splitlines()
    assert differentiated == "True"
    for word in ("onnxruntime", "pip install", "onnxray[cpu]", "onnxray[gpu]"):
        assert word in message
