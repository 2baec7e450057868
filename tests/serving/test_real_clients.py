"""KServe's and Triton's own clients explain and infer: in this environment, or in that of $ONNXRAY_CLIENTS."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxray
import pytest
from late import late
from onnxray import models
from real_clients import X
from started_service import started

late("httpx2", "fastapi", "fastapi_offline", "uvicorn", "prometheus_client")
HERE = all(map(find_spec, ("kserve", "tritonclient")))
PYTHON = os.environ.get("ONNXRAY_CLIENTS") or (sys.executable if HERE else None)
WHY = "pip install kserve 'tritonclient[http]', and name the Python that has them by ONNXRAY_CLIENTS"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(PYTHON is None, reason=WHY)]
DIGITS, PICTURE = models.path("digits.onnx"), models.path("digit.png")


def test_real_clients_explain_and_infer(tmp_path: Path) -> None:
    with started(tmp_path, "-m", "saliency", "-m", "grad-cam", "--threads", "1") as service:
        command = [str(PYTHON), str(Path(__file__).with_name("real_clients.py")), service.url, str(PICTURE)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    kserve, triton = found["kserve"], found["triton"]
    maps = onnxray.Explainer(DIGITS, "saliency", threads=1)(X, target=3)
    session = onnxray.runtime.open_model(onnxray.load(DIGITS), onnxray.runtime.SessionSettings(threads=1))
    logits = session.run({"image": X})["logits"]
    assert (kserve["live"], kserve["ready"], kserve["both"], triton["state"]) == (True, True, [True] * 3, [True] * 3)
    assert np.array_equal(np.array(kserve["predicted"]["predictions"], np.float32), logits)
    cam = onnxray.explain(DIGITS, PICTURE, "grad-cam", target=6, threads=1)
    assert np.array_equal(np.array(kserve["explained"]["explanations"][0]["values"], np.float32), cam.values[0])
    assert "the model takes (batch, 1, 28, 28)" in kserve["refused"]
    for found_maps in (kserve["json"]["attribution"], kserve["binary"]["attribution"], triton["attribution"]):
        assert np.array_equal(np.array(found_maps, np.float32).reshape(X.shape), maps.values)
    assert np.array_equal(np.array(triton["score"], np.float32), maps.score)
    assert np.array_equal(np.array(triton["logits"], np.float32), logits)
    assert triton["metadata"]["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 28, 28]}]
    assert triton["server"]["extensions"] == ["binary_tensor_data"]
