"""examples/node: a saved explainer on onnxruntime-node gives what Python gives."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnxray
import pytest
from measures import distance
from onnxray import models
from PIL import Image

EXAMPLE = Path(__file__).parents[2] / "examples" / "node" / "explain.mjs"


@pytest.mark.slow  # a process of Node
def test_the_example_in_node(tmp_path: Path) -> None:
    packages = Path.cwd() / "node_modules"
    if shutil.which("node") is None or not (packages / "onnxruntime-node").is_dir():
        pytest.skip("onnxruntime-node is not in node_modules of this folder")
    digits, digit = models.path("digits.onnx"), models.path("digit.png")
    explainer = onnxray.Explainer(digits, "saliency")
    explainer.save(tmp_path / "explainer.onnx")
    (tmp_path / "digit.raw").write_bytes(np.asarray(Image.open(digit).convert("L"), np.uint8).tobytes())
    shutil.copy(EXAMPLE, tmp_path)
    (tmp_path / "node_modules").symlink_to(packages)
    command = ["node", "explain.mjs", "explainer.onnx", "digit.raw"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, expected = json.loads(done.stdout), explainer(digit)
    assert found["score"] == pytest.approx(float(expected.score[0]), rel=1e-5)
    assert distance(np.array(found["attribution"]), expected.values.ravel()) < 1e-5
