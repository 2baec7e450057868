"""Memory does not grow with the number of samples: measured in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnxray import models

CODE = """
import re, sys, onnxray
found = onnxray.compare(sys.argv[1], sys.argv[1], sys.argv[2], methods="saliency", layers=False, threads=1,
                        metrics=["cosine", "spearman"])
status = open("/proc/self/status").read()  # the ru_maxrss of a child begins with that of its parent
print(len(found.rows), int(re.findall(r"VmHWM:\\s+(\\d+) kB", status)[0]) / 1024)
"""


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
