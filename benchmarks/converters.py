"""Time and peak memory of large conversions, each in a process of its own; JSON on standard output.

Run it with the extras [keras] and [torch] installed: `python benchmarks/converters.py`. The limits are those that
the project sets itself on two cores: VGG16 under 30 s, 6 GB and 3 times its weights beside TensorFlow itself, ResNet-50
under 60 s. TensorFlow itself is what the process takes after a tiny conversion. VGG16 is measured with oneDNN off, as
`onnxray convert` runs it, and on: TensorFlow's pool then keeps what building the model took, before any conversion.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from onnxray.support.heap import held_memory

LIMITS = {
    "keras-vgg16": {"seconds": 30, "gigabytes": 6, "times_weights": 3},
    "keras-vgg16-onednn": {"seconds": 30, "gigabytes": 6},
    "torch-resnet50": {"seconds": 60, "gigabytes": 6},
}
NETS = Path(__file__).parents[1] / "tests" / "converters"


def keras_vgg16() -> tuple[Any, Any]:
    """VGG16 of Keras with random weights, at full size."""
    import keras

    build: Any = keras.applications.VGG16  # the stub of Keras wants a string where None means random weights
    return build(weights=None), None


def torch_resnet50() -> tuple[Any, Any]:
    """ResNet-50 with the module names of torchvision, at full size."""
    sys.path.insert(0, str(NETS))
    import source_nets

    return source_nets.resnet50(), (1, 3, 224, 224)


def keras_tiny() -> tuple[Any, Any]:
    """Enough to warm TensorFlow and its exporter up."""
    import keras

    layers = [keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3), keras.layers.Flatten(), keras.layers.Dense(2)]
    return keras.Sequential(layers), None


def torch_tiny() -> tuple[Any, Any]:
    """Enough to warm PyTorch and its exporter up."""
    import torch

    return torch.nn.Linear(3, 2), (1, 3)


BUILDERS: dict[str, tuple[Callable[[], tuple[Any, Any]], Callable[[], tuple[Any, Any]]]] = {
    "keras-vgg16": (keras_tiny, keras_vgg16),
    "keras-vgg16-onednn": (keras_tiny, keras_vgg16),
    "torch-resnet50": (torch_tiny, torch_resnet50),
}


def measure(name: str) -> dict[str, Any]:
    """Convert one model in this process; imports and building are measured apart from the conversion."""
    from onnxray.converters import to_onnx

    tiny, build = BUILDERS[name]
    small, shape = tiny()
    to_onnx(small, inputs=shape)
    framework, started = held_memory() / 1e9, time.perf_counter()
    source, inputs = build()
    built, before, worked = time.perf_counter(), held_memory() / 1e9, time.process_time()
    model = to_onnx(source, inputs=inputs)
    seconds, cpu, most = time.perf_counter() - built, time.process_time() - worked, held_memory("VmHWM") / 1e9
    notes = {entry.key: json.loads(entry.value) for entry in model.metadata_props if entry.value.startswith("{")}
    weights = sum(len(t.raw_data) for t in model.graph.initializer) / 1e9
    found = {
        "seconds": round(seconds, 2),
        "gigabytes": round(most, 2),
        "times_weights": round((most - framework) / weights, 2),
    }
    return {
        "model": name,
        **found,
        "build_seconds": round(built - started, 2),
        "cpu_seconds": round(cpu, 2),
        "load_average": os.getloadavg()[0],
        "gigabytes_of_framework": round(framework, 2),
        "gigabytes_with_the_live_model": round(before, 2),
        "weights_gigabytes": round(weights, 3),
        "layers": len(notes["onnxray.layers"]),
        "layers_missing": len(notes["onnxray.layers.missing"]),
        "parity": notes["onnxray.parity"],
        "limits": LIMITS[name],
        "within_limits": all(found[key] < limit for key, limit in LIMITS[name].items()),
    }


def main() -> None:
    """Measure every model in a child process and print the results."""
    parser = argparse.ArgumentParser(description="Measure large conversions.")
    parser.add_argument("--only", choices=sorted(BUILDERS), help="measure one model, in this very process")
    only = parser.parse_args().only
    if only:
        print(json.dumps(measure(only)))
        return
    results = []
    for name in BUILDERS:
        order = [sys.executable, __file__, "--only", name]
        onednn = "1" if name.endswith("onednn") else "0"
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": onednn}
        child = subprocess.run(
            order, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
        )
        results.append(json.loads(child.stdout.splitlines()[-1]))
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
