"""The child process that holds onnxruntime-training: builds gradient graphs and runs them, on request.

It stands alone: started by its path, with the training build first on its own, it never imports onnxray. A request is
a tuple of a verb and its arguments, the answer ("ok", result) or ("error", text).
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

_sessions: dict[int, Any] = {}


def version() -> str:
    import onnxruntime

    return onnxruntime.__version__


def build(model: bytes, score: str, wrt: list[str]) -> bytes:
    """The gradient graph of a scalar with respect to tensors."""
    from onnxruntime.capi import _pybind_state

    library: Any = _pybind_state
    library.set_default_logger_severity(3)
    builder = library.GradientGraphBuilder(model, {score}, set(wrt), score)
    builder.build()
    return builder.get_model()


def open_session(key: int, path: str, providers: list[Any], threads: int) -> list[str]:
    """Loads a model under a key; returns the providers that came up."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    _sessions[key] = onnxruntime.InferenceSession(path, options, providers=providers)
    return _sessions[key].get_providers()


def run(key: int, feeds: dict[str, np.ndarray], outputs: list[str]) -> list[np.ndarray]:
    return _sessions[key].run(outputs, feeds)


def close(key: int) -> None:
    _sessions.pop(key, None)


def available() -> list[str]:
    import onnxruntime

    return onnxruntime.get_available_providers()


VERBS: dict[str, Callable[..., Any]] = {f.__name__: f for f in (version, build, open_session, run, close, available)}


def answer(verb: str, *arguments: Any) -> tuple[str, Any]:
    try:
        return "ok", VERBS[verb](*arguments)
    except MemoryError as error:
        return "error", f"out of memory {error}".strip()
    except Exception as error:  # noqa: BLE001  the caller decides what it means
        return "error", str(error).strip() or type(error).__name__


def main(handle: int, memory: int) -> None:
    """Answers requests until the pipe closes; more memory than allowed fails here, not on the whole machine."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))  # CUDA reserves addresses without end, but no memory
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Where there is a torch onnxruntime imports its side of PyTorch: seconds and half a gigabyte for nothing.
    hidden: dict[str, Any] = {"onnx": None, "torch": None}
    sys.modules.update(hidden)
    connection = Connection(handle)
    while True:
        try:
            request = connection.recv()
        except EOFError:
            return
        connection.send(answer(*request))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
