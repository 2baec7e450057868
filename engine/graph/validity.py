"""Whose fault an exception of another library is: the model's, where onnxruntime refuses the model too, or onnxray's.

Nothing that is read of a file is trusted, but not every contradiction inside of a model is looked for beforehand.
Where a rule or a library trips over one, onnxruntime is asked about the model. If onnxruntime refuses it, that is a
ModelError with onnxruntime's reason. If onnxruntime takes it, the exception is a fault of onnxray, and stays as it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import onnx

from ..errors import ModelError, OnnxrayError, RuntimeUnavailable

__all__ = ["model_error_if_unusable", "open_plainly"]


@contextmanager
def model_error_if_unusable(where: str, opened: Callable[[], Any]) -> Iterator[None]:
    """Turns an exception of the block into a ModelError if the model itself is at fault.

    It is at fault if ``opened``, which opens the model alone, raises as well; else the exception is raised as it is.
    """
    try:
        yield
    except OnnxrayError:
        raise
    except Exception as error:
        if isinstance(error, MemoryError):
            raise ModelError(f"{where}: the model needs more memory than there is ({_line(error)})") from error
        try:
            opened()
        except (ImportError, RuntimeUnavailable):
            raise error from None
        except Exception as refusal:  # noqa: BLE001  onnxruntime raises a dozen types
            raise ModelError(f"{where}: not a valid ONNX model: {_line(refusal)}") from error
        raise


def open_plainly(source: onnx.ModelProto | bytes | str | os.PathLike[str]) -> None:
    """Opens a model in onnxruntime without optimising it; where there is no onnxruntime, in the standard's checker."""
    try:
        import onnxruntime
    except ImportError:
        onnx.checker.check_model(source, full_check=True)
        return
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    held = source.SerializeToString() if isinstance(source, onnx.ModelProto) else source
    onnxruntime.InferenceSession(held, options, providers=["CPUExecutionProvider"], enable_fallback=False)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
