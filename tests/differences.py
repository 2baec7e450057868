"""Slopes by central differences, with a word on whether the function is smooth there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import onnx
import onnxruntime as ort
from onnx.reference import ReferenceEvaluator
from reference_ops import REFERENCE_OPS

__all__ = ["Function", "Slope", "functions", "is_float_array", "run_on_runtime", "slope"]

Feeds = Mapping[str, np.ndarray]
PATIENCE = 0.5  # processor seconds that one evaluation may take: the reference convolves in Python
RANDOM = {"Bernoulli", "Dropout", "RandomNormalLike", "RandomUniformLike"}  # each evaluator draws its own numbers
_HALVES = ("float16", "bfloat16")


@dataclass(frozen=True)
class Function:
    """A model as a function of its inputs, the step that suits its precision and what may be asked of a slope."""

    call: Callable[[Feeds], dict[str, np.ndarray]]
    dtype: type
    step: float
    tolerance: float
    noise: float


@dataclass(frozen=True)
class Slope:
    """<w, J v>, and whether both sides agree on it."""

    value: float
    smooth: bool


def is_float_array(x: object) -> bool:
    return isinstance(x, np.ndarray) and (x.dtype.kind == "f" or x.dtype.name == "bfloat16")


def functions(model: onnx.ModelProto, feeds: Feeds, expected: Feeds) -> list[Function]:
    """The ways to evaluate a model that give what onnxruntime gives, the most precise one first."""
    kinds = {v.type.tensor_type.elem_type for v in (*model.graph.input, *model.graph.output)}
    halves = bool(kinds & {onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16})
    noise = 0.5 if onnx.TensorProto.BFLOAT16 in kinds else 5e-2 if halves else 1e-3  # a bfloat16 has 8 bits
    ops = {node.op_type for node in model.graph.node}
    found = []
    for call, dtype, step, tolerance in (
        (_reference(model), np.float64, 1e-4, 1e-3),
        (_runtime(model), np.float32, 2e-2, 1e-2),
    ):
        if dtype is np.float64 and ops & RANDOM:
            continue
        started = time.process_time()
        try:
            values = call(_in_type(feeds, dtype))
        except Exception:  # noqa: BLE001  whatever an evaluator raises, the other one is asked
            continue
        if time.process_time() - started < PATIENCE and all(
            _agrees(values[name], x) for name, x in expected.items() if is_float_array(x)
        ):
            coarse = "Cast" in ops or any(values[n].dtype != dtype for n, x in expected.items() if is_float_array(x))
            wide = (0.25, 5e-2) if halves and coarse else (2e-2, 1e-2) if coarse else (step, tolerance)
            found.append(Function(call, dtype, wide[0], max(wide[1], 2e-2 if halves else 0), noise))
    return found


def _reference(model: onnx.ModelProto) -> Callable[[Feeds], dict[str, np.ndarray]]:
    names = [output.name for output in model.graph.output]
    return lambda feeds: dict(
        zip(names, ReferenceEvaluator(model, new_ops=REFERENCE_OPS).run(None, dict(feeds)), strict=True)
    )


def _runtime(model: onnx.ModelProto) -> Callable[[Feeds], dict[str, np.ndarray]]:
    if RANDOM & {node.op_type for node in model.graph.node}:
        return lambda feeds: run_on_runtime(model, feeds)
    session = cache(lambda: _session(model))  # opened by the first evaluation, which may fail
    return lambda feeds: _run(model, session(), feeds)


def run_on_runtime(model: onnx.ModelProto, feeds: Feeds) -> dict[str, np.ndarray]:
    """All outputs, in a session of its own so that random numbers repeat."""
    return _run(model, _session(model), feeds)


def _session(model: onnx.ModelProto) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    content = _readable(model).SerializeToString()
    return ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def _run(model: onnx.ModelProto, session: ort.InferenceSession, feeds: Feeds) -> dict[str, np.ndarray]:
    types = {i.name: i.type for i in session.get_inputs()}
    given = {name: _fit(np.asarray(x) if isinstance(x, np.generic) else x, types[name])
             for name, x in feeds.items() if name in types}  # fmt: skip
    names = [output.name for output in session.get_outputs()]
    if "tensor(bfloat16)" in types.values():
        values = session.run_with_ort_values(names, {name: _value(x) for name, x in given.items()})
        results = [value.numpy() for value in values]
    else:
        results = session.run(names, given)
    return dict(zip([output.name for output in model.graph.output], results, strict=True))


def _readable(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with its bfloat16 outputs cast, which numpy has no type for."""
    brief = [o for o in model.graph.output if o.type.tensor_type.elem_type == onnx.TensorProto.BFLOAT16]
    if not brief:
        return model
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    for output in wide.graph.output:
        if output.type.tensor_type.elem_type == onnx.TensorProto.BFLOAT16:
            name, output.name = output.name, f"{output.name}/wide"
            output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
            wide.graph.node.append(onnx.helper.make_node("Cast", [name], [output.name], to=onnx.TensorProto.FLOAT))
    return wide


def _value(x):
    if x.dtype.name == "bfloat16":
        return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(x.view(np.uint16), onnx.TensorProto.BFLOAT16)
    return ort.OrtValue.ortvalue_from_numpy(x)


def _fit(x, kind: str):
    import ml_dtypes

    kind = kind.removeprefix("optional(").replace("))", ")")
    wanted = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
              "tensor(bfloat16)": ml_dtypes.bfloat16}.get(kind)  # fmt: skip
    return np.asarray(x, wanted, order="C") if wanted is not None and isinstance(x, np.ndarray) else x


def _in_type(feeds: Feeds, dtype: type) -> dict[str, np.ndarray]:
    return {name: np.asarray(x, dtype) if is_float_array(x) else x for name, x in feeds.items()}


def _agrees(found: np.ndarray, expected: np.ndarray) -> bool:
    loose = 3e-2 if expected.dtype.name in _HALVES else 2e-3
    a, b = (np.asarray(x, np.float64) for x in (found, expected))
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=loose, atol=loose / 10, equal_nan=True))


def slope(f: Function, feeds: Feeds, name: str, direction: np.ndarray, cotangents: Feeds) -> Slope:
    """Richardson's extrapolation of two central differences; smooth where the one-sided ones draw together."""
    point = _in_type(feeds, f.dtype)

    def at(t: float) -> float:
        results = f.call({**point, name: point[name] + np.asarray(t * direction, f.dtype)})
        arrays = {y: np.asarray(results[y], np.float64) for y in cotangents}
        return sum(float(np.sum(w * np.where(np.isfinite(arrays[y]), arrays[y], 0))) for y, w in cotangents.items())

    h = f.step
    far, near, middle = (at(h), at(-h)), (at(h / 2), at(-h / 2)), at(0.0)
    wide, narrow = (far[0] - far[1]) / (2 * h), (near[0] - near[1]) / h
    gaps = [abs(ahead + behind - 2 * middle) / s for (ahead, behind), s in ((far, h), (near, h / 2))]
    scale = abs(narrow) + 1e-3
    fine = f.step < 1e-3  # then a difference that hangs on the step comes of numbers rounded on the way
    close = abs(wide - narrow) <= (0.1 * f.tolerance * scale if fine else 10 * f.tolerance * scale + gaps[0])
    smooth = close and gaps[1] <= 0.75 * gaps[0] + f.tolerance * scale
    return Slope((4 * narrow - wide) / 3, bool(np.isfinite(wide) and np.isfinite(narrow) and smooth))
