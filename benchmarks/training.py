"""Both gradient builders on VGG-16: what building takes, and one run of each graph, side by side.

python benchmarks/training.py [--net vgg16] [--batch 1] [--repeats 5] [--threads 1] > training.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxray.gradient_graph import GradientGraph, differentiate
from onnxray.loading.load import load
from onnxray.passes.fix_shapes import fix_shapes
from onnxray.runtime import open_session
from onnxray.support.distance import relative_l2
from onnxray.training import open_training_session
from onnxray.training.client import worker

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from nets import net

WAYS = {
    "portable": {"builder": "portable"},
    "ort-training, lowered": {"builder": "ort-training"},
    "ort-training, raw": {"builder": "ort-training", "runtime": "training"},
}


def processor_seconds() -> float:
    """Processor time of this process and the worker."""
    here, pid = time.process_time(), worker().pid
    if pid is None:
        return here
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return here + sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def measured(work: Callable[[], Any]) -> dict[str, float]:
    """Seconds on the clock and of the processor."""
    clock, processor = time.perf_counter(), processor_seconds()
    work()
    return {"wall": time.perf_counter() - clock, "cpu": processor_seconds() - processor}


def median(runs: list[dict[str, float]]) -> dict[str, float]:
    return {key: round(statistics.median(run[key] for run in runs), 4) for key in runs[0]}


def opened(graph: GradientGraph, threads: int) -> Any:
    raw = any(entry.domain == "com.microsoft" for entry in graph.model.opset_import)
    return (open_training_session if raw else open_session)(graph.model, "cpu", threads)


def compare(model: onnx.ModelProto, x: np.ndarray, repeats: int, threads: int) -> dict[str, Any]:
    """Builds and runs each way ``repeats`` times, in turns."""
    source = load(model).copy()
    fix_shapes(source, {"x": x.shape})
    worker().ask("version", about="")
    builds = {
        way: [measured(lambda o=options: differentiate(source, **o)) for _ in range(repeats)]
        for way, options in WAYS.items()
    }
    graphs = {way: differentiate(source, **options) for way, options in WAYS.items()}
    sessions = {way: opened(graph, threads) for way, graph in graphs.items()}
    seed = np.eye(10, dtype=np.float32)[np.arange(len(x)) % 10]
    feeds = {way: {"x": x, graph.seeds["y"]: seed} for way, graph in graphs.items()}
    found = {
        way: sessions[way].run(feeds[way], [graphs[way].gradients["x"]])[graphs[way].gradients["x"]] for way in WAYS
    }
    runs: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(repeats):
        for way, timings in runs.items():
            timings.append(measured(lambda w=way: sessions[w].run(feeds[w], [graphs[w].gradients["x"]])))
    truth = found["portable"]
    return {
        way: {
            "build": median(builds[way]),
            "run": median(runs[way]),
            "nodes": len(graphs[way].model.graph.node),
            "relative_l2_to_portable": relative_l2([found[way]], [truth]),
        }
        for way in WAYS
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--net", default="vgg16")
    for name, default in (("batch", 1), ("repeats", 5), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    told = parser.parse_args()
    one = net(told.net)
    record = {
        "net": told.net, "batch": told.batch, "repeats": told.repeats, "threads": told.threads, "seconds": "median",
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "onnxruntime": onnxruntime.__version__, "onnxruntime-training": worker().ask("version", about=""),
        "ways": compare(one.proto, one.pictures(told.batch), told.repeats, told.threads),
    }  # fmt: skip
    print(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
