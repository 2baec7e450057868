"""Runs a model on the runtimes that are installed: onnxruntime, OpenVINO, and onnxruntime's packages for Node."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ExecutionError, RuntimeUnavailable
from ..runtime import open_session
from ..support.execution_providers import RUNTIME_PACKAGES
from ..support.versions import installed_versions

__all__ = ["RUNTIMES", "Run", "run_on"]

SCRIPT = Path(__file__).with_name("run_in_node.cjs")
LIMIT = 600  # seconds that a model may take in Node
OPERATORS = "Conversion is failed for:"  # where OpenVINO names the operators that it refuses
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}  # OpenVINO takes bfloat16 where the processor has it
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Run:
    """The named outputs of a model on a runtime, the least seconds that a run took, and the runtime's version."""

    outputs: dict[str, np.ndarray]
    seconds: float
    version: str


def run_on(runtime: str, model: Path, feeds: Arrays, outputs: Sequence[str], runs: int = 2, threads: int = 1) -> Run:
    """Runs a file on one of RUNTIMES. Raises RuntimeUnavailable where it is not installed, and ExecutionError with the
    first line of what it says where it cannot run the file."""
    return RUNTIMES[runtime](model, feeds, outputs, runs, threads)


def _onnxruntime(model: Path, feeds: Arrays, outputs: Sequence[str], runs: int, threads: int) -> Run:
    session = open_session(model, threads=threads)
    found, seconds = _timed(lambda: session.run(feeds, outputs), runs)
    return Run(found, seconds, next(iter(installed_versions(RUNTIME_PACKAGES).values()), "?"))


def _openvino(model: Path, feeds: Arrays, outputs: Sequence[str], runs: int, threads: int) -> Run:
    if find_spec("openvino") is None:
        raise RuntimeUnavailable("not installed; pip install openvino")
    import openvino

    try:
        core = openvino.Core()
        read = core.read_model(model)
        read.reshape({name: list(array.shape) for name, array in feeds.items()})
        request = core.compile_model(read, "CPU", EXACT | {"INFERENCE_NUM_THREADS": threads}).create_infer_request()
        _, seconds = _timed(lambda: request.infer(dict(feeds)), runs)
        found = {name: np.array(request.get_tensor(name).data) for name in outputs}
    except RuntimeError as error:
        raise ExecutionError(_said(str(error))) from error
    return Run(found, seconds, openvino.__version__.partition("-")[0])


def _node(package: str, model: Path, feeds: Arrays, outputs: Sequence[str], runs: int, threads: int) -> Run:
    node = shutil.which("node")
    if node is None:
        raise RuntimeUnavailable("Node is not installed")
    if not any((folder / "node_modules" / package).is_dir() for folder in (Path.cwd(), *Path.cwd().parents)):
        raise RuntimeUnavailable(f"not installed in this folder; npm install {package}")
    with tempfile.TemporaryDirectory() as folder:
        plan = _plan(Path(folder), model, feeds, outputs, runs, threads)
        command = [node, str(SCRIPT), package, str(Path.cwd()), str(plan)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
        except subprocess.TimeoutExpired:
            raise ExecutionError(f"did not end within {LIMIT} s") from None
        if done.returncode:
            raise ExecutionError(_said(done.stderr) or f"ended with {done.returncode}")
        told = json.loads(done.stdout.splitlines()[-1])
        found = {one["name"]: _read(one) for one in told["outputs"]}
    return Run(found, told["seconds"], told["version"])


def _plan(folder: Path, model: Path, feeds: Arrays, outputs: Sequence[str], runs: int, threads: int) -> Path:
    """What run_in_node.cjs reads: inputs as files of their bytes."""
    inputs = []
    for k, (name, array) in enumerate(feeds.items()):
        file = folder / f"input{k}"
        file.write_bytes(np.ascontiguousarray(array).tobytes())
        inputs.append({"name": name, "type": array.dtype.name, "dims": list(array.shape), "file": str(file)})
    plan = folder / "plan.json"
    held = {"model": str(model.resolve()), "inputs": inputs, "outputs": list(outputs), "runs": runs, "threads": threads}
    plan.write_text(json.dumps(held))
    return plan


def _read(told: Mapping[str, Any]) -> np.ndarray:
    return np.frombuffer(Path(told["file"]).read_bytes(), told["type"]).reshape(told["dims"])


def _timed(run: Callable[[], Any], runs: int) -> tuple[Any, float]:
    found, least = None, float("inf")
    for _ in range(runs):
        started = time.perf_counter()
        found = run()
        least = min(least, time.perf_counter() - started)
    return found, least


def _said(text: str) -> str:
    """The last telling line of an error: runtimes say the cause after the places that it went through."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    refused = [line.partition(OPERATORS)[2].strip() for line in lines if OPERATORS in line]
    if refused:
        return f"refuses {', '.join(refused)}"
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '", "at "))]
    return (telling or lines or [""])[0][:300]


RUNTIMES: Mapping[str, Callable[..., Run]] = {
    "onnxruntime": _onnxruntime,
    "OpenVINO": _openvino,
    "onnxruntime-node": partial(_node, "onnxruntime-node"),
    "onnxruntime-web": partial(_node, "onnxruntime-web"),
}
