"""Operators that end the process, hang or give unwritten memory where an operand is empty: refused in one line.

Each model is given the operand in a size that the file tells, and in one that only the data tell. What crashes runs in
a worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import model, normal
from differences import run_on_runtime
from failing import fails
from onnxray import ModelError, OnnxrayError
from onnxray.passes.empty_operands import refuse_empty_operands
from workers import Worker

MS = "com.microsoft"
GATES = {"GRU": 3, "LSTM": 4}
ONE = {"s": np.ones((), np.float32), "z": np.ones((), np.uint8)}
INT8_LSTM = {
    "W": np.ones((1, 4, 12), np.uint8),
    "R": np.ones((1, 3, 12), np.uint8),
    "s": np.ones(1, np.float32),
    "z": np.ones(1, np.uint8),
}


def recurrent(op: str) -> tuple[str, dict[str, Any]]:
    return f"y = {op}<hidden_size = 3>(e, W, R)", {"W": normal(1, 3 * GATES[op], 4), "R": normal(1, 3 * GATES[op], 3)}


# What is done with ``e``, its sizes, the axis along which it is empty, and the weights.
CASES: dict[str, tuple[str, list[int], int, dict[str, Any]]] = {
    "Conv": ("y = Conv(image, e)", [2, 1, 5, 5], 3, {"image": normal(1, 1, 5, 5)}),
    "ConvInteger": (
        "b = Cast<to = 2>(e)  y = ConvInteger(image, b)",
        [2, 1, 5, 2],
        2,
        {"image": np.ones((1, 1, 5, 5), np.uint8)},
    ),
    "QLinearConv": (
        "b = Cast<to = 2>(e)  y = QLinearConv(image, s, z, b, s, z, s, z)",
        [2, 1, 5, 2],
        2,
        {"image": np.ones((1, 1, 5, 5), np.uint8), **ONE},
    ),
    "FusedConv": (
        f'y = {MS}.FusedConv<activation = "Relu">(image, e)',
        [2, 1, 5, 2],
        2,
        {"image": normal(1, 1, 5, 5)},
    ),
    "ConvTranspose": ("y = ConvTranspose(e, W)", [1, 1, 3, 4, 5], 2, {"W": normal(1, 2, 3, 3, 3)}),
    "GRU, no step": (recurrent("GRU")[0], [3, 2, 4], 0, recurrent("GRU")[1]),
    "GRU, no example": (recurrent("GRU")[0], [3, 2, 4], 1, recurrent("GRU")[1]),
    "LSTM": (recurrent("LSTM")[0], [3, 2, 4], 1, recurrent("LSTM")[1]),
    "DynamicQuantizeLSTM": (
        f"y = {MS}.DynamicQuantizeLSTM<hidden_size = 3>(e, W, R, , , , , , s, z, s, z)",
        [3, 2, 4],
        1,
        INT8_LSTM,
    ),
    "STFT": ("y = STFT(signal, step, e)", [5], 0, {"signal": normal(1, 64, 1), "step": np.array(8)}),
    "Unique": ("y = Unique<axis = 0>(e)", [3, 4], 1, {}),
}
SIZED = "e = ConstantOfShape(size)"
CUT = """n = NonZero(x)  k = Slice(n, zero, one, zero)  p = Shape(k)  q = Slice(p, one, two, zero)
    e = Slice(whole, zero, q, axis)"""
SUM = "f = Cast<to = 1>(y)  t = ReduceSum<keepdims = 0>(f)  out = Add(x, t)"


def built(case: str, of_data: bool) -> onnx.ModelProto:
    """A model whose operand is empty always, or where ``x`` is 0."""
    body, sizes, axis, numbers = CASES[case]
    if of_data:
        places = {"zero": np.array([0]), "one": np.array([1]), "two": np.array([2]), "axis": np.array([axis])}
        numbers = {**numbers, **places, "whole": normal(*sizes)}
    else:
        numbers = {**numbers, "size": np.array([0 if k == axis else n for k, n in enumerate(sizes)])}
    text = f"net (float[1, 5] x) => (float[1, 5] out) {{ {CUT if of_data else SIZED}  {body}  {SUM} }}"
    proto = model(text, numbers)
    proto.opset_import.add(domain=MS, version=1)
    return proto


def ran(case: str, number: float) -> tuple[str, Any]:
    """The outputs of the model for inputs of a number, or the class and the message of the error."""
    try:
        x = np.full((1, 5), number, np.float32)
        return "ran", onnxray.Explainer(built(case, of_data=True), method="occlusion").with_outputs(x)[1]["out"]
    except OnnxrayError as error:
        return type(error).__name__, str(error)


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker(ran) as one:
        yield one


@pytest.mark.parametrize("case", CASES)
def test_operand_known_to_be_empty(case: str) -> None:
    with fails(ModelError, case.partition(",")[0], "reads", "empty"):
        onnxray.load(built(case, of_data=False))


@pytest.mark.parametrize("case", CASES)
def test_operand_that_is_empty_for_some_data(worker: Worker, case: str) -> None:
    kind, message = worker(case, 0.0)
    assert (kind, "cannot be reshaped" in message) == ("ExecutionError", True), message
    kind, found = worker(case, 1.0)
    assert kind == "ran", found
    np.testing.assert_allclose(found, run_on_runtime(built(case, of_data=True), {"x": np.ones((1, 5), "f")})["out"])


@pytest.mark.parametrize("length", [0, -4])
def test_frames_without_samples(length: int) -> None:
    """onnxruntime divides by their length."""
    text = "net (float[1, 64, 1] x) => (float[1, A, B, 2] y) { y = STFT(x, step, , length) }"
    with fails(ModelError, "STFT", "frame_length", str(length)):
        onnxray.load(model(text, {"step": np.array(8), "length": np.array(length)}))


def test_an_operand_without_a_type_is_left_alone() -> None:
    """Mutant 107021: no check can be added behind a value of which the type is not known."""
    text = "net (float[4, N, 5] x) => (float[1, N, 3] h) { w = Sigmoid(x)  y, h = GRU<hidden_size = 3>(w, W, R) }"
    weights = {"W": normal(1, 9, 5).astype(np.float32), "R": normal(1, 9, 3).astype(np.float32)}
    program = onnxray.load(model(text, weights)).copy().program
    w = next(value for node in program.graph if node.op_type == "Sigmoid" for value in node.outputs)
    w.type, w.shape, before = None, None, len(list(program.graph))
    refuse_empty_operands(program, "the model")
    assert len(list(program.graph)) == before
