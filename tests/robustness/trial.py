"""One mutant from end to end: loaded, inspected, explained, and its scores held against plain onnxruntime's."""

from __future__ import annotations

import ast
import math
import re
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxray
from onnxray import InputError, OnnxrayError
from onnxray.diagnostics.inspection import inspect

__all__ = ["GOOD", "explained", "plain", "tried"]

GOOD = ("explained", "refused", "refused, though it runs")
TOLERANCE = 1e-3
LARGE = 100_000  # elements of an input
MOST = float(np.finfo(np.float32).max)

Trial = Callable[[bytes], tuple[str, Any]]


def explained(content: bytes) -> tuple[str, Any]:
    """("explained", the model's outputs), ("refused", the reason), or ("raw", the traceback)."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            model, feeds = onnxray.load(content), _feeds(content)
            inspect(model).to_json()
            if feeds is None:
                return "refused", "has inputs that are not tensors, or too large ones"
            return "explained", _outputs(onnxray.Explainer(model, score="output"), feeds)
        except OnnxrayError as error:
            message = str(error)
            if "\n" in message.strip() or len(message) > 1000:
                return "raw", f"not one line: {message[:2000]}"
            return "refused", f"{type(error).__name__}: {message}"
        except Exception:  # noqa: BLE001  that is what is looked for
            return "raw", traceback.format_exc()


def _outputs(explainer: onnxray.Explainer, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The outputs beside the attribution of the best class, or of the first number where scores have several axes."""
    try:
        return explainer.with_outputs(feeds)[1]
    except InputError as error:
        asked = re.search(r"give \d+ indices, as in target=(\(.*?\))", str(error))
        if asked is None:
            raise
        return explainer.with_outputs(feeds, target=ast.literal_eval(asked[1]))[1]


def plain(content: bytes) -> tuple[str, Any]:
    """("runs", the model's outputs) of onnxruntime without onnxray, ("does not run", "") where it refuses."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    feeds = _feeds(content)
    if feeds is None:
        return "does not run", ""
    try:
        session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"], enable_fallback=False
        )
        return "runs", dict(zip([o.name for o in session.get_outputs()], session.run(None, feeds), strict=True))
    except Exception:  # noqa: BLE001  onnxruntime raises a dozen types
        return "does not run", ""


def tried(content: bytes, ours: Trial = explained, theirs: Trial = plain) -> tuple[str, str]:
    """The fate of a mutant, and the line or the traceback that says more.

    ``ours`` and ``theirs`` may run each in a worker of its own: a mutant that kills plain onnxruntime is no fault of
    onnxray where onnxray refuses it.
    """
    kind, found = ours(content)
    if kind not in ("explained", "refused"):
        return kind, found
    ending, outputs = theirs(content)
    if kind == "refused":
        return ("refused, though it runs" if ending == "runs" else kind), found
    return _compared(found, outputs) if ending == "runs" else (kind, f"plain onnxruntime: {ending}")


def _compared(outputs: dict[str, np.ndarray], plain: dict[str, np.ndarray]) -> tuple[str, str]:
    for name, array in outputs.items():
        truth = np.asarray(plain[name])
        if array.shape != truth.shape:
            return "wrong", f"{name} has shape {array.shape}, plain onnxruntime's {truth.shape}"
        if array.dtype.kind not in "fc" and array.dtype.kind == truth.dtype.kind:
            continue
        # An Attention of onnxruntime writes the least float for -inf.
        one, other = (np.clip(x.astype(np.float64), -MOST, MOST) for x in (array, truth))
        scale = max(1.0, float(np.abs(other[np.abs(other) < MOST]).max(initial=0)))
        if not np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE * scale, equal_nan=True):
            return "wrong", f"{name} is {one.ravel()[:8]}, plain onnxruntime's {other.ravel()[:8]}"
    return "explained", ""


def _feeds(content: bytes) -> dict[str, np.ndarray] | None:
    """Numbers for the inputs that the file names; None where it names none that can be made."""
    try:
        proto = onnx.ModelProto.FromString(content)
        weights = {tensor.name for tensor in proto.graph.initializer}
        inputs = [value for value in proto.graph.input if value.name not in weights]
        return {value.name: _numbers(value.type.tensor_type, k) for k, value in enumerate(inputs)}
    except Exception:  # noqa: BLE001  whatever is wrong with it, there is nothing to feed
        return None


def _numbers(kind: onnx.TypeProto.Tensor, seed: int) -> np.ndarray:
    shape = [dim.dim_value if dim.HasField("dim_value") else 2 for dim in kind.shape.dim]
    if math.prod(shape) > LARGE or min(shape, default=1) < 0:
        raise ValueError("too large")
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
    draw = np.random.default_rng([seed, *shape])
    return draw.standard_normal(shape).astype(dtype) if dtype.kind == "f" else draw.integers(0, 2, shape).astype(dtype)
