"""Time and peak memory of two large conversions, each in a process of its own; JSON on standard output.

Run it with the extras [keras] and [torch] installed: `python benchmarks/converters.py`. The limits are those that
the project sets itself on two cores: VGG16 under 30 s and 6 GB, ResNet-50 under 60 s.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIMITS = {"keras-vgg16": {"seconds": 30, "gigabytes": 6}, "torch-resnet50": {"seconds": 60, "gigabytes": 6}}
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


BUILDERS: dict[str, Callable[[], tuple[Any, Any]]] = {"keras-vgg16": keras_vgg16, "torch-resnet50": torch_resnet50}


def measure(name: str) -> dict[str, Any]:
    """Convert one model in this process; imports and building are measured apart from the conversion."""
    from onnxray.converters import to_onnx

    started = time.perf_counter()
    source, inputs = BUILDERS[name]()
    built, before, worked = time.perf_counter(), peak(), time.process_time()
    model = to_onnx(source, inputs=inputs)
    seconds, cpu = time.perf_counter() - built, time.process_time() - worked
    notes = {entry.key: json.loads(entry.value) for entry in model.metadata_props if entry.value.startswith("{")}
    return {
        "model": name,
        "build_seconds": round(built - started, 2),
        "convert_seconds": round(seconds, 2),
        "convert_cpu_seconds": round(cpu, 2),
        "load_average": os.getloadavg()[0],
        "gigabytes_before": before,
        "gigabytes_peak": peak(),
        "weights_gigabytes": round(sum(len(t.raw_data) for t in model.graph.initializer) / 2**30, 3),
        "layers": len(notes["onnxray.layers"]),
        "layers_missing": len(notes["onnxray.layers.missing"]),
        "parity": notes["onnxray.parity"],
        "limits": LIMITS[name],
        "within_limits": seconds < LIMITS[name]["seconds"] and peak() < LIMITS[name]["gigabytes"],
    }


def peak() -> float:
    """The largest resident size of this process so far, in GB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)


def main() -> None:
    """Measure every model in a child process and print the results."""
    parser = argparse.ArgumentParser(description="Measure two large conversions.")
    parser.add_argument("--only", choices=sorted(BUILDERS), help="measure one model, in this very process")
    only = parser.parse_args().only
    if only:
        print(json.dumps(measure(only)))
        return
    results = []
    for name in BUILDERS:
        order = [sys.executable, __file__, "--only", name]
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        child = subprocess.run(
            order, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
        )
        results.append(json.loads(child.stdout.splitlines()[-1]))
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
