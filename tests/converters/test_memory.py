"""How much memory the conversion of a heavy Keras model takes at its peak, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from late import late

late("keras", "tensorflow", "tf2onnx")
if sys.platform != "linux":
    pytest.skip("the peak is read from /proc", allow_module_level=True)

WIDE = "keras.Sequential([keras.Input((4096,)), *(L.Dense(4096, 'relu') for _ in range(4)), L.Dense(5)])"
VGG16 = "keras.applications.VGG16(weights=None)"
CHILD = """
import json, sys, keras
from onnxray.converters import to_onnx
from onnxray.support.heap import held_memory
L = keras.layers

to_onnx(keras.Sequential([keras.Input((16, 16, 3)), L.Conv2D(4, 3), L.Flatten(), L.Dense(2)]))
report = {"tensorflow": held_memory("VmRSS")}
model = eval(sys.argv[1])
report["built"] = held_memory("VmRSS")
made = to_onnx(model, sys.argv[2])
report["weights"] = 4 * model.count_params()
report["peak"] = held_memory("VmHWM")
print(json.dumps(report))
"""


def measure(net, path, onednn):
    """Bytes of a process: TensorFlow after a tiny conversion, the live model, its weights, the peak."""
    quiet = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": onednn}
    order = [sys.executable, "-c", CHILD, net, str(path)]
    done = subprocess.run(order, env={**os.environ, **quiet}, check=True, capture_output=True, text=True, timeout=300)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("net", [WIDE, VGG16], ids=["wide", "VGG16"])
def test_three_times_the_weights_beside_tensorflow(net, tmp_path, measured):
    report = measure(net, tmp_path / "model.onnx", "0")
    share = (report["peak"] - report["tensorflow"]) / report["weights"]
    measured(f"{share:.2f} times the weights")
    assert share < 3
    assert (tmp_path / "model.onnx").stat().st_size > 0.97 * report["weights"]


@pytest.mark.slow
def test_twice_the_weights_beside_the_pool_that_onednn_keeps(tmp_path, measured):
    # With oneDNN, TensorFlow's default, a mere build of VGG16 leaves its pool at three times the weights.
    report = measure(VGG16, tmp_path / "model.onnx", "1")
    share = (report["peak"] - report["built"]) / report["weights"]
    measured(f"{share:.2f} times the weights, with {report['built'] / 1e6:.2f} GB before")
    assert share < 2
