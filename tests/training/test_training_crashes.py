"""Every crash of onnxruntime-training 1.19.2 that is known: it happens in the worker, and the caller lives on.

The refusals that keep users from these graphs are switched off, so that the library's own kernels really crash. Each
model is then shown to be right, or refused in words, with the refusals on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from onnx import helper
from onnxray.errors import BuilderError
from onnxray.gradient_graph import differentiate
from onnxray.training import open_training_session
from onnxray.training.client import Worker
from raw_library import build
from training_tools import by, distance, model, numbers, with_weights


def refused(made: onnx.ModelProto, op: str) -> None:
    """With its guard: no raw graph, and a lowered one that is right."""
    with pytest.raises(BuilderError, match=rf"operator {op} .* is open; fix the sizes of the model's inputs"):
        differentiate(made, builder="ort-training", runtime="training")
    x = {"x": numbers(2, 3, 8, 8)}
    assert distance(by("ort-training", made, x), by("portable", made, x)) <= 1e-5


def crash(made: onnx.ModelProto, own: Worker, monkeypatch: pytest.MonkeyPatch, size: int) -> str:
    """Runs the raw gradient of a model, unrefused, in a worker; what the error says."""
    monkeypatch.setattr("onnxray.training.reverse_pass.refuse_raw", lambda path: None)
    graph = differentiate(made, builder="ort-training", runtime="training")
    session = open_training_session(graph.model, name="crash.onnx", by=own)
    width = made.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    feeds = {"x": numbers(2, 3, size, size), graph.seeds["y"]: np.ones((2, width), np.float32)}
    return death(session, feeds, own)


def death(session: object, feeds: dict[str, np.ndarray], own: Worker) -> str:
    """One line that names the model; the next request finds a worker that answers."""
    with pytest.raises(
        BuilderError, match=r"^onnxruntime-training died of SIG.*crash\.onnx; builder='portable'"
    ) as caught:
        session.run(feeds)  # type: ignore[attr-defined]
    assert "\n" not in str(caught.value)
    assert own.ask("version", about="") == "1.19.2"
    assert own.starts == 2
    return str(caught.value)


@pytest.mark.parametrize("size", [32, 512])
def test_a_max_pool_of_open_sizes(size: int, own: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """MaxPoolGrad writes out of bounds; glibc may notice the damage first."""
    body = "{ p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) g = GlobalAveragePool(p) y = Flatten(g) }"
    made = model(body, "float[N,3,H,W] x", "float[N,3] y")
    refused(made, "MaxPool")
    said = crash(made, own, monkeypatch, size)
    assert "SIGSEGV" in said or "SIGABRT" in said


def test_an_average_pool_of_an_open_batch_above_a_convolution(own: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in DenseNet-121: the pool's gradient is empty, and ConvGrad divides by its size."""
    body = "{ c = Conv(x, w) p = AveragePool<kernel_shape=[2,2], strides=[2,2]>(c) y = Flatten(p) }"
    made = with_weights(model(body, "float[N,3,8,8] x", "float[N,48] y"), w=(3, 3, 1, 1))
    refused(made, "AveragePool")
    assert "SIGFPE" in crash(made, own, monkeypatch, 8)


def test_an_average_pool_of_an_open_batch_above_a_softmax(own: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """SoftmaxGrad aborts on the empty gradient."""
    body = "{ s = Softmax(x) p = AveragePool<kernel_shape=[2,2], strides=[2,2]>(s) y = Flatten(p) }"
    made = model(body, "float[N,3,8,8] x", "float[N,48] y")
    refused(made, "AveragePool")
    assert "SIGABRT" in crash(made, own, monkeypatch, 8)


# LSTM --------------------------------------------------------------------------------------------------------------

STEPS, BATCH, WIDTH, HIDDEN = 4, 2, 3, 5


def lstm_training(outputs: Sequence[str]) -> onnx.ModelProto:
    """The library's own LSTM, the only one that it differentiates, under a scalar score."""
    inputs = ["x", "w", "r", "b", "", "h", "c"]
    sizes = {
        "w": (1, 4 * HIDDEN, WIDTH),
        "r": (1, 4 * HIDDEN, HIDDEN),
        "b": (1, 8 * HIDDEN),
        "h": (1, BATCH, HIDDEN),
        "c": (1, BATCH, HIDDEN),
    }
    nodes = [
        helper.make_node("LSTMTraining", inputs, outputs, "lstm", domain="com.microsoft", hidden_size=HIDDEN),
        helper.make_node("ReduceSum", ["y"], ["score"], "score", keepdims=0),
    ]
    values = [
        helper.make_tensor_value_info(name, 1, shape) for name, shape in (("x", (STEPS, BATCH, WIDTH)), ("score", ()))
    ]
    graph = helper.make_graph(nodes, "lstm", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return with_weights(helper.make_model(graph, ir_version=10, opset_imports=opsets), **sizes)


@pytest.mark.parametrize("outputs", [["y", "", "", "cells", "gates"], ["y", "last", "cell", "cells", "gates"]], ids=str)
def test_an_lstm_of_the_librarys_own(outputs: list[str], own: Worker) -> None:
    """LSTMGrad writes gradients of weights that nobody named."""
    graph = build(lstm_training(outputs), by=own)
    session = open_training_session(graph, name="crash.onnx", by=own)
    assert "SIGSEGV" in death(session, {"x": numbers(STEPS, BATCH, WIDTH)}, own)


def test_onnxray_never_hands_it_an_lstm() -> None:
    made = model("{ y, h, c = LSTM<hidden_size=5>(x, w, r) }", "float[4,2,3] x", "float[4,1,2,5] y")
    with pytest.raises(BuilderError, match="does not differentiate into subgraphs; use builder='portable'"):
        differentiate(with_weights(made, w=(1, 20, 3), r=(1, 20, 5)), ["y"], ["x"], builder="ort-training")
