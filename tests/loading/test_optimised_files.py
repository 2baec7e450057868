"""Files that onnxruntime's optimiser wrote have the gradient of the files that it read."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import real_files
from differences import run_on_runtime
from gradcheck import normal
from measures import distance
from onnxray.errors import UnsupportedOperator
from onnxray.gradient_graph import differentiate
from onnxray.models import path

SHIPPED = [pytest.param(file, id=file.stem) for file in (path("digits.onnx"), path("breast_cancer.onnx"))]
FILES = [*SHIPPED, *real_files.daily("iris_Network_winml", "mnist-8", "season_prediction_model_temp_max_binary")]
TOLERANCE = 1e-5
# Kernels of another layout round some numbers to the other side, each of which changes what rectifiers pass, and a clip
# that the optimiser left to the ends of int8 lets through what it rounds to them: measured 0.04 and 0.053.
QUANTISED = 0.1
LEVELS = {
    "extended": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
}


def optimised(file: Path, level: str, folder: Path) -> Path:
    options = ort.SessionOptions()
    options.graph_optimization_level, options.log_severity_level = LEVELS[level], 4
    options.optimized_model_filepath = str(folder / file.name)
    ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return folder / file.name


def quantised(file: Path) -> bool:
    return any("Quantize" in node.op_type or "QLinear" in node.op_type for node in onnx.load(file).graph.node)


@cache
def before(file: Path) -> dict[str, np.ndarray]:
    """The gradients of the file as it is, for every level the same."""
    return gradients(file, real_files.feeds(onnx.load(file), scale=0.3))


def gradients(file: Path, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    graph = differentiate(file)
    outputs = run_on_runtime(onnx.load(file), feeds)
    seeds = {graph.seeds[y]: normal(*outputs[y].shape, seed=5).astype(outputs[y].dtype) for y in graph.seeds}
    results = run_on_runtime(graph.model, {**feeds, **seeds})
    return {x: results[name].astype(np.float64) for x, name in graph.gradients.items()}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("file", FILES)
def test_the_gradient_is_that_of_the_file_before(file: Path, level: str, tmp_path: Path) -> None:
    """A file that the highest level laid out for one kind of processor is refused, and the error says what to do."""
    made, feeds = optimised(file, level, tmp_path), real_files.feeds(onnx.load(file), scale=0.3)
    blocked = any(node.domain == "com.microsoft.nchwc" for node in onnx.load(made).graph.node)
    if blocked:
        with pytest.raises(UnsupportedOperator, match="ORT_ENABLE_EXTENDED"):
            differentiate(made)
        return
    after = gradients(made, feeds)
    assert before(file).keys() == after.keys()
    for x, expected in before(file).items():
        error = distance(after[x], expected)
        assert error <= (QUANTISED if quantised(file) else TOLERANCE), f"{x}: relative error {error}"
