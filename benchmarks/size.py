"""The cost of long and heavy models: seconds by the length of a chain, and memory by where the weights lie.

python benchmarks/size.py [--nodes 1000 2000 5000 10000] [--gigabytes 1] > size.json

Each memory is the peak of a process of its own that does one thing to a chain of MatMul and Relu, 64 MB a layer:
anonymous memory, so that pages of mapped files, which the system takes back when it likes, do not count.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import onnxray
import onnxruntime  # noqa: F401  onnxray imports it late, and imports do not count
from onnxray.support.heap import held_memory

WIDTH = 4096  # of a layer: 64 MB
STEPS = ("MatMul", "Add", "Relu", "Mul", "Tanh")
FLOAT = ir.TensorType(ir.DataType.FLOAT)


def chain(steps: list[tuple[str, np.ndarray | None]], width: int) -> ir.Model:
    """Operators one after another, each with a weight or without."""
    x = y = ir.Value(name="x", shape=ir.Shape(["N", width]), type=FLOAT)
    nodes, weights = [], []
    for k, (op, array) in enumerate(steps):
        if array is not None:
            weights.append(ir.Value(name=f"w{k}", const_value=ir.tensor(array, name=f"w{k}")))
        node = ir.node(op, [y, weights[-1]] if array is not None else [y], name=f"node{k}")
        nodes.append(node)
        (y,) = node.outputs
        y.name = f"v{k}"
    y.name, y.shape, y.type = "y", x.shape, FLOAT
    graph = ir.Graph([x], [y], nodes=nodes, initializers=weights, opset_imports={"": 18}, name="chain")
    return ir.Model(graph, ir_version=8)


def long(nodes: int) -> ir.Model:
    """Many small operators."""
    weights = {"MatMul": np.eye(8, dtype=np.float32), "Add": np.ones(8, np.float32), "Mul": np.ones(8, np.float32)}
    return chain([(op, weights.get(op)) for op in (STEPS[k % len(STEPS)] for k in range(nodes))], 8)


def heavy(gigabytes: float) -> ir.Model:
    """Few operators with large weights, no two alike: the runtime holds equal ones once."""
    base = np.random.default_rng(0).normal(size=(WIDTH, WIDTH)).astype(np.float32) / 64
    layers = round(gigabytes * 2**30 / base.nbytes)
    steps = [step for k in range(layers) for step in (("MatMul", base * np.float32(1 + k / 100)), ("Relu", None))]
    return chain(steps, WIDTH)


def seconds(nodes: int) -> dict[str, float]:
    """Processor time to load, to differentiate, and to build an explainer with its session."""
    source = ir.to_proto(long(nodes))
    model, load = timed(lambda: onnxray.load(source))
    graph, differentiate = timed(lambda: onnxray.differentiate(model))
    _, explainer = timed(lambda: onnxray.Explainer(model, threads=1))
    made = len(graph.model.graph.node)
    return {"nodes": nodes, "made": made, "load": load, "differentiate": differentiate, "explainer": explainer}


def timed(work: Any) -> tuple[Any, float]:
    start = time.process_time()
    return work(), round(time.process_time() - start, 2)


# Memory -------------------------------------------------------------------------------------------------------


def anonymous() -> float:
    """Gigabytes that this process holds of its own."""
    return held_memory("RssAnon") / 2**30


def work_on(what: str, path: str) -> dict[str, float]:
    """Does one thing to a model file, and says what it took at the peak, less what the imports take."""
    start, peak, done = anonymous(), [0.0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], anonymous())

    thread = threading.Thread(target=watch)
    thread.start()
    _, took = timed(lambda: WORKS[what](path))
    done.set()
    thread.join()
    return {"gigabytes": round(max(peak[0], anonymous()) - start, 2), "processor_seconds": took}


def explained(path: str) -> None:
    onnxray.Explainer(path, threads=2)(np.ones((1, WIDTH), np.float32))


WORKS = {"load": onnxray.load, "differentiate": onnxray.differentiate, "explain": explained}


def memory(gigabytes: float, folder: Path) -> list[dict[str, Any]]:
    """Of each work on the model in one file and on the model with its weights beside it."""
    files = {"in the file": folder / "one" / "model.onnx", "beside the file": folder / "two" / "model.onnx"}
    for file, extra in zip(files.values(), ({}, {"external_data": "model.data"}), strict=True):
        file.parent.mkdir()
        ir.save(heavy(gigabytes), file, **extra)
    return [
        {"weights": where, "work": what, **measured_apart(what, file)}
        for where, file in files.items()
        for what in WORKS
    ]


def measured_apart(what: str, file: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--work", what, str(file)]
    return json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="*", default=[1000, 2000, 5000, 10000])
    parser.add_argument("--gigabytes", type=float, default=1)
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.work:
        print(json.dumps(work_on(*told.work)))
        return
    with tempfile.TemporaryDirectory() as folder:
        record = {"chains": [seconds(n) for n in told.nodes], "gigabytes": told.gigabytes}
        print(json.dumps(record | {"memory": memory(told.gigabytes, Path(folder)) if told.gigabytes else []}, indent=2))


if __name__ == "__main__":
    main()
