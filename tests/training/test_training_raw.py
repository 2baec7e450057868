"""onnxruntime-training 1.19.2 asked directly: where it is wrong without a word, and that its guard puts it right.

docs/training.md lists every silent error and crash with its guard and its test. Each test here asks the library past
the guard and shows the wrong answer, so that it fails on the day on which the guard is no longer needed, and asks
onnxray with the guard and compares with the portable builder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxray.errors import BuilderError, NoGradientPath, RuntimeUnavailable
from onnxray.gradient_graph import differentiate
from onnxray.training import open_training_session, patch, status
from onnxray.training.client import Refused, worker
from raw_library import build, gradient_of, score_of
from training_tools import by, distance, gradient, model, numbers

WRONG = 1e-2
IMAGE, ANY = "float[2,3,8,8] x", "float[a,b,c,d] y"


def constants(made: onnx.ModelProto, arrays: Mapping[str, object]) -> onnx.ModelProto:
    made.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(a), name) for name, a in arrays.items())
    return made


def right(made: onnx.ModelProto, x: np.ndarray, runtime: str = "onnxruntime") -> bool:
    """Whether the guarded builder agrees with the portable one."""
    return distance(by("ort-training", made, {"x": x}, runtime=runtime), by("portable", made, {"x": x})) <= 1e-5


# The loss ----------------------------------------------------------------------------------------------------------

VECTORS = {
    "Softmax": "{ y = Softmax(x) }",
    "Relu": "{ y = Relu(x) }",
    "Gather": "{ i = Constant<value_ints=[1,0]>() y = Gather(x, i) }",
}


@pytest.mark.parametrize("op", VECTORS)
def test_a_loss_that_is_no_scalar(op: str) -> None:
    """Its gradient starts from one number for the whole loss; onnxray adds the scores up first.

    Behind that number the library reads what lies in memory, once in a while the ones that would be right.
    """
    made, x = model(VECTORS[op], "float[2,9] x", "float[2,9] y"), numbers(2, 9)
    raws = [gradient_of(made, {"x": x}, loss="y") for _ in range(5)]
    ones = np.ones((2, 9), np.float32)
    summed = gradient_of(score_of(made, ones), {"x": x})
    assert any(raw.shape != x.shape or np.abs(raw - summed).max() > WRONG for raw in raws)
    graph = differentiate(made, builder="ort-training")
    assert np.abs(gradient(graph, {"x": x}, {"y": ones})["x"] - summed).max() <= 1e-6
    assert right(made, x)


BUILD = """
import sys
sys.modules["torch"] = None
from onnxruntime.capi._pybind_state import GradientGraphBuilder
builder = GradientGraphBuilder(open(sys.argv[1], "rb").read(), {"score"}, {"x"}, "nonsense")
builder.build()
open(sys.argv[1], "wb").write(builder.get_model())
"""


def test_a_loss_of_a_wrong_name(tmp_path: Path) -> None:
    """The library takes any: its graph reads a first gradient that nothing gives. onnxray's worker says a name once."""
    made = score_of(model("{ y = Sin(x) }", "float[2,9] x", "float[2,9] y"), numbers(2, 9))
    onnx.save(made, file := tmp_path / "raw.onnx")
    folder = status().folder
    environment = {**os.environ, "PYTHONPATH": str(folder)} if folder else dict(os.environ)
    subprocess.run([sys.executable, "-c", BUILD, str(file)], env=environment, capture_output=True, check=True)
    raw = onnx.load(file).graph
    assert "score_grad" in {name for node in raw.node for name in node.input}
    assert "score_grad" not in {tensor.name for tensor in raw.initializer}
    with pytest.raises(Refused, match="'nonsense' is not found in the graph"):
        build(made, loss="nonsense")


def test_nothing_to_differentiate() -> None:
    """The library builds a graph without gradients; onnxray says that nothing leads to the score."""
    made = model("{ y = Sin(x) z = Shape(x) }", "float[2,9] x", "float[2,9] y")
    raw = build(score_of(made, numbers(2, 9)), wrt="")
    assert [output.name for output in raw.graph.output] == ["y", "score"]
    with pytest.raises(NoGradientPath, match="x"):
        differentiate(model("{ a = Shape(x) y = Cast<to=1>(a) }", "float[2,9] x", "float[2] y"), builder="ort-training")


# Operators that it differentiates wrongly ----------------------------------------------------------------------------


def test_a_clip_of_an_old_opset() -> None:
    """To the library a Clip with attributes is an Identity; onnxray writes its bounds as inputs."""
    made, x = model("{ y = Clip<min = -0.1, max = 0.3>(x) }", "float[2,50] x", "float[2,50] y", opset=9), numbers(2, 50)
    raw = gradient_of(score_of(made, np.ones((2, 50), np.float32)), {"x": x})
    assert np.array_equal(raw, np.ones((2, 50)))
    assert right(made, x)
    assert np.count_nonzero(by("ort-training", made, {"x": x})) < 50


def test_a_clip_at_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library lets a gradient through at both bounds; PyTorch and the portable rule do not."""
    made = model("{ y = Clip(x, low, high) }", "float[6] x", "float[6] y")
    made = constants(made, {"low": np.float32(0), "high": np.float32(6)})
    x = np.array([-1, 0, 1, 5, 6, 7], np.float32)
    raw = gradient_of(score_of(made, np.ones(6, np.float32)), {"x": x})
    assert raw.tolist() == [0, 1, 1, 1, 1, 0]
    for relu in ("exact", "guided"):
        for runtime in ("onnxruntime", "training"):
            graph = differentiate(made, relu=relu, builder="ort-training", runtime=runtime)
            assert gradient(graph, {"x": x}, {"y": np.ones(6, np.float32)})["x"].tolist() == [0, 0, 1, 1, 0, 0]
    monkeypatch.setattr(patch, "_STRICT", {})
    graph = differentiate(made, builder="ort-training")
    assert gradient(graph, {"x": x}, {"y": np.ones(6, np.float32)})["x"].tolist() == [0, 1, 1, 1, 1, 0]


def test_a_split_with_a_part_that_leads_nowhere() -> None:
    """The library joins the gradients that there are: the gradient of x is as short as they. Refused."""
    made = constants(model("{ y, z = Split<axis=1>(x, n) }", IMAGE, ANY), {"n": np.array([2, 1])})
    raw = gradient_of(score_of(made, numbers(2, 2, 8, 8)), {"x": numbers(2, 3, 8, 8)})
    assert raw.shape == (2, 2, 8, 8)
    assert right(made, numbers(2, 3, 8, 8))  # where the lengths are known the Split is cut
    unknown = model("{ y, z = Split<axis=1>(x, n) }", f"{IMAGE}, int64[2] n", ANY)
    with pytest.raises(BuilderError, match=r"operator Split .*a part of it leads nowhere.*builder='portable'"):
        differentiate(unknown, ["y"], ["x"], builder="ort-training")


def test_an_average_pool_of_an_open_batch() -> None:
    """The library's gradient is empty; onnxray lowers the operator, and refuses to run it raw."""
    made = model("{ y = AveragePool<kernel_shape=[2,2], strides=[2,2]>(x) }", "float[N,3,8,8] x", "float[N,3,4,4] y")
    assert gradient_of(score_of(made, numbers(2, 3, 4, 4)), {"x": numbers(2, 3, 8, 8)}).shape == (0, 3, 8, 8)
    assert right(made, numbers(2, 3, 8, 8))
    with pytest.raises(BuilderError, match=r"AveragePool .*its batch or size is open; fix the sizes"):
        differentiate(made, builder="ort-training", runtime="training")


@pytest.mark.parametrize("options", ["strides=[1,1,1]", "pads=[1,1,1,1,1,1]"])
def test_an_average_pool_of_volumes_whose_windows_overlap(options: str) -> None:
    """Only windows that do not overlap come out right; onnxray refuses to run any raw."""
    made = model(
        f"{{ y = AveragePool<kernel_shape=[2,2,2], {options}>(x) }}", "float[1,2,4,4,4] x", "float[a,b,c,d,e] y"
    )
    x, size = numbers(1, 2, 4, 4, 4), 3 if "strides" in options else 5
    weights = numbers(1, 2, size, size, size)
    graph = differentiate(made)
    truth = gradient(graph, {"x": x}, {"y": weights})["x"]
    assert distance(gradient_of(score_of(made, weights), {"x": x}), truth) > WRONG
    assert right(made, x)
    with pytest.raises(BuilderError, match=r"AveragePool .*no volumes"):
        differentiate(made, builder="ort-training", runtime="training")


@pytest.mark.parametrize("op", ["Add", "Mul", "Sub", "Div"])
def test_broadcasting_of_open_sizes(op: str) -> None:
    """Two open sizes count as equal to the library, which then sums over neither. Summed when lowered, refused raw."""
    made = model(f"{{ a = Cos(x) y = {op}(a, b) }}", "float[N,3] x, float[M,3] b", "float[K,3] y")
    feeds = {"x": numbers(1, 3), "b": numbers(4, 3)}
    raw = gradient_of(score_of(made, numbers(4, 3)), feeds)
    assert raw.shape == (4, 3) != feeds["x"].shape
    assert distance(by("ort-training", made, feeds), by("portable", made, feeds)) <= 1e-5
    with pytest.raises(BuilderError, match=rf"operator {op} .*it may broadcast dimensions that are open"):
        differentiate(made, ["y"], ["x"], builder="ort-training", runtime="training")


# What is in truth no silent error: the library says so itself ------------------------------------------------------


def test_a_branch_is_refused_by_the_library_too() -> None:
    """Without onnxray's refusal, which gives the reason, one gets the library's."""
    body = """{ y = If<then_branch = t () => (float[2,3,8,8] u) { u = Relu(x) },
                      else_branch = e () => (float[2,3,8,8] v) { v = Neg(x) }>(c) }"""
    made = constants(model(body, IMAGE, ANY), {"c": np.array(True)})
    with pytest.raises(Refused, match="Attempting to get index by a name which does not exist"):
        build(score_of(made, numbers(2, 3, 8, 8)))


@pytest.mark.parametrize("op", ["ReduceSum", "ReduceMean", "ReduceL2", "ReduceLogSumExp"])
def test_a_reduction_over_no_axes_is_refused_by_the_library_too(op: str) -> None:
    """It reduces all axes, and notices that the sizes do not fit."""
    made, x = model(f"{{ y = {op}<noop_with_empty_axes=1, keepdims=1>(x) }}", IMAGE, ANY), numbers(2, 3, 8, 8)
    with pytest.raises(Refused, match="Reduction on all axes, output size should be 1"):
        gradient_of(score_of(made, numbers(2, 3, 8, 8)), {"x": x})
    with pytest.raises(BuilderError, match=rf"operator {op} .*noop_with_empty_axes"):
        differentiate(made, builder="ort-training", runtime="training")
    assert right(made, x)


# Where it runs -------------------------------------------------------------------------------------------------------


def test_a_provider_that_does_not_start(tmp_path: Path) -> None:
    """Where CUDA 11.8 is missing the library runs on the CPU without a word; onnxray says so."""
    made = model("{ y = Relu(x) }", "float[3] x", "float[3] y")
    onnx.save(made, tmp_path / "raw.onnx")
    assert "CUDAExecutionProvider" in worker().ask("available", about="")
    where = ["CUDAExecutionProvider"]
    if worker().ask("open_session", -1, str(tmp_path / "raw.onnx"), where, 0, about="") != ["CPUExecutionProvider"]:
        pytest.skip("this machine has the CUDA 11.8 that the library wants")
    with pytest.raises(RuntimeUnavailable, match=r"CUDAExecutionProvider did not start .*CUDA 11\.8"):
        open_training_session(made, "cuda")
