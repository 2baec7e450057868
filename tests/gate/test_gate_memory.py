"""Memory does not grow with the number of samples and keeps to what was allowed: in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnxray import models

CODE = """
import sys, onnxray
from onnxray.support.heap import held_memory
found = onnxray.compare(sys.argv[1], sys.argv[1], sys.argv[2], methods="saliency", layers=False, threads=1,
                        metrics=["cosine", "spearman"])
print(len(found.rows), held_memory("VmHWM") / 2**20)
"""

BUDGET = """
import sys, onnxray
from onnxray.support.heap import held_memory
from onnxray.attribution.memory import parse_memory
import matplotlib.pyplot, scipy.stats, skimage.metrics  # what the report and the metrics load is not what they hold

models = [onnxray.load(path) for path in sys.argv[1:3]]
held = held_memory("VmRSS")
onnxray.compare(*models, sys.argv[3], threads=1, memory="1GB").report(sys.argv[4])
print((held_memory("VmHWM") - held) / parse_memory("1GB"))
"""


@pytest.mark.slow
def test_a_comparison_and_its_report_keep_to_the_memory_that_they_are_given(tmp_path: Path) -> None:
    """Two ResNet-18, four methods, the layers: beside the loaded models, 0.87 on one machine."""
    torch = pytest.importorskip("torch", reason="PyTorch, which exports the model, is not installed")
    from architectures import basic_block, resnet

    paths = [tmp_path / f"{k}.onnx" for k in range(2)]
    for seed, path in enumerate(paths):
        torch.manual_seed(seed)
        module = resnet(basic_block, [2, 2, 2, 2], 64).eval()
        torch.onnx.export(module, (torch.zeros(1, 3, 224, 224),), path, dynamo=False)
    x = np.random.default_rng(0).standard_normal((2, 3, 224, 224)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    command = [sys.executable, "-c", BUDGET, *map(str, paths), str(tmp_path / "x.npy"), str(tmp_path / "report")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (tmp_path / "report" / "report.html").exists()
    assert 0.2 < float(done.stdout) < 1


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_memory_is_that_of_one_sample(suffix: str, tmp_path: Path) -> None:
    peaks = {}
    for count in (100, 2000):
        x, path = np.random.default_rng(0).random((count, 1, 28, 28)).astype(np.float32), tmp_path / f"{count}.{suffix}"
        np.save(path, x) if suffix == "npy" else np.savez_compressed(path, x)
        command = [sys.executable, "-c", CODE, str(models.path("digits.onnx")), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows, peaks[count] = done.stdout.split()
        assert int(rows) == count
    grown = float(peaks[2000]) - float(peaks[100])
    assert grown < 1900 * 0.015, f"{grown:.1f} MiB for 1900 samples more; their file, mapped, is 5.7, the rows the rest"
