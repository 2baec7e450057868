"""However the worker ends, the caller goes on, with one line that names the cause and the model."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import onnx
import pytest
from onnxray.errors import BuilderError
from onnxray.gradient_graph import differentiate
from onnxray.training import open_training_session, reverse_pass
from onnxray.training.client import Limits, Worker, worker
from training_tools import model, numbers


@pytest.mark.parametrize(
    "name",
    [
        "SIGSEGV",
        "SIGKILL",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("SIGFPE", "SIGABRT", "SIGBUS", "SIGILL")),
    ],
)
def test_every_deadly_signal_is_named(own: Worker, name: str) -> None:
    """It strikes while a request is under way: the process stands still until then."""
    own.ask("version", about="")
    pid = own.pid or 0
    os.kill(pid, signal.SIGSTOP)
    threading.Timer(0.2, strike, (pid, signal.Signals[name])).start()
    with pytest.raises(BuilderError, match=f"died of {name} while building the gradient of lenet.onnx"):
        own.ask("version", about="while building the gradient of lenet.onnx")
    assert own.ask("version", about="") == "1.19.2"
    assert own.starts == 2


def strike(pid: int, number: signal.Signals) -> None:
    os.kill(pid, number)
    if number != signal.SIGKILL:
        os.kill(pid, signal.SIGCONT)


def test_a_hang_is_a_builder_error() -> None:
    patient = Worker(Limits(seconds=60))
    patient.ask("version", about="")
    os.kill(patient.pid or 0, signal.SIGSTOP)
    hurried = Worker(Limits(seconds=0.3), patient._process, patient._pipe)
    with pytest.raises(BuilderError, match=r"no answer in 0.3 s while building the gradient of lenet.onnx"):
        hurried.ask("version", about="while building the gradient of lenet.onnx")
    assert hurried.pid is None
    hurried.close()


def test_a_huge_allocation_is_a_builder_error() -> None:
    """An Expand to a terabyte, in a worker that may map eight gigabytes."""
    modest = Worker(Limits(memory=8 * 2**30))
    made = model("{ s = Expand(x, shape) y = ReduceSum(s) }", "float[1] x, int64[1] shape", "float[1] y")
    session = open_training_session(made, name="huge.onnx", by=modest)
    with pytest.raises(BuilderError, match=r"huge\.onnx"):
        session.run({"x": np.ones(1, np.float32), "shape": np.array([2**38])})
    assert modest.ask("version", about="") == "1.19.2"
    modest.close()


def test_what_the_library_refuses_is_one_line(own: Worker) -> None:
    with pytest.raises(BuilderError) as caught:
        own.ask("build", b"garbage", "score", ["x"], about="while building the gradient of lenet.onnx")
    assert "\n" not in str(caught.value)
    assert "lenet.onnx" in str(caught.value)
    assert own.starts == 1


def test_the_librarys_noise_stays_inside(capfd: pytest.CaptureFixture[str]) -> None:
    made = model("{ r = Relu(x) y = Flatten(r) }", output="float[2,192] y")
    differentiate(made, builder="ort-training")
    assert capfd.readouterr() == ("", "")


def test_a_session_does_not_outlive_its_process(own: Worker) -> None:
    made = model("{ y = Relu(x) }", "float[3] x", "float[3] y")
    session = open_training_session(made, name="lenet.onnx", by=own)
    own.close()
    with pytest.raises(BuilderError, match=r"lenet\.onnx has ended"):
        session.run({"x": np.ones(3, np.float32)})


def test_large_weights_stay_here() -> None:
    """The bytes that go over the pipe are small, whatever the model weighs."""
    made = model("{ y = MatMul(x, w) }", "float[2,1000] x", "float[2,1000] y")
    made.graph.initializer.append(onnx.numpy_helper.from_array(numbers(1000, 1000), "w"))
    sent: list[int] = []
    one = worker()
    ask = one.ask
    try:
        one.ask = lambda verb, *a, about: sent.append(len(a[0])) or ask(verb, *a, about=about)  # type: ignore[method-assign]
        graph = differentiate(made, builder="ort-training")
    finally:
        del one.ask
    assert max(sent) < 10_000
    assert {t.name: tuple(t.dims) for t in graph.model.graph.initializer}["w"] == (1000, 1000)
    assert reverse_pass.SCORE not in {o.name for o in graph.model.graph.output}
