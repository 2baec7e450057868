"""The inputs of a model: what a caller says of them, and the samples that a conversion is checked with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnxray.errors import ConversionError

from .candidates import Feed, is_whole

__all__ = ["Spec", "feeds", "graph_specs", "matched", "read_inputs", "sample"]

ROWS = 4
SCALES = (1.0, -0.3, 3.0, 0.1)


@dataclass(frozen=True)
class Spec:
    """One input of a model: its shape with the batch first (None leaves an axis open) and its type.

    `rows` are examples that the caller gave; `vocabulary` bounds integers where there are no examples.
    """

    shape: tuple[int | None, ...]
    dtype: str = "float32"
    name: str | None = None
    rows: np.ndarray | None = None
    vocabulary: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.shape, tuple) or not all(n is None or (is_whole(n) and n >= 0) for n in self.shape):
            raise ConversionError(f"inputs: {self.shape!r} is no shape; give a tuple of sizes such as (1, 3, 224, 224)")
        if not is_dtype(self.dtype):
            raise ConversionError(
                f"inputs: {self.dtype!r} is no type of numbers; give one such as 'float32' or 'int64'"
            )


def read_inputs(inputs: Any) -> tuple[Spec, ...]:
    """Read `inputs` as given to `to_onnx`: an array, a shape, a Spec, or a sequence or dict of those."""
    if inputs is None:
        return ()
    if isinstance(inputs, Mapping) and inputs:
        return tuple(replace(read_one(value), name=str(name)) for name, value in inputs.items())
    if is_one(inputs):
        return (read_one(inputs),)
    if not isinstance(inputs, Sequence) or isinstance(inputs, str) or not inputs:
        what = f"an empty {type(inputs).__name__}" if inputs in ({}, [], ()) else type(inputs).__name__
        raise ConversionError(f"inputs: {what} is no input; give arrays, shapes or a dict of them")
    return tuple(read_one(value) for value in inputs)


def is_one(value: Any) -> bool:
    """Whether a value stands for one input rather than for several."""
    return hasattr(value, "shape") or is_shape(value) or (isinstance(value, list) and is_rows(value))


def is_dtype(name: Any) -> bool:
    """Whether a name is that of a type of numbers."""
    try:
        return isinstance(name, str) and (np.dtype(name).kind in "biuf" or name == "bfloat16")
    except TypeError:
        return False


def is_shape(value: Any) -> bool:
    """Whether a value is a tuple of sizes, such as (1, 3, 224, 224)."""
    return isinstance(value, tuple) and bool(value) and all(n is None or is_whole(n) for n in value)


def is_rows(value: list[Any]) -> bool:
    """Whether a list holds numbers, nested or not."""
    return bool(value) and (isinstance(value[0], (int, float)) or (isinstance(value[0], list) and is_rows(value[0])))


def read_one(value: Any) -> Spec:
    """Read one input: a Spec, a shape, whatever has `shape` and `dtype`, or an array."""
    if isinstance(value, Spec):
        return value
    if is_shape(value):
        return Spec(value)
    if hasattr(value, "shape") and not hasattr(value, "__array__"):
        return Spec(tuple(value.shape), dtype_name(value.dtype))
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    rows = array(value)
    if rows.dtype == np.float64:
        rows = rows.astype(np.float32)
    return Spec(rows.shape, rows.dtype.name, rows=rows)


def array(value: Any) -> np.ndarray:
    """Examples as an array, a row at least."""
    try:
        rows = np.asarray(value, dtype=np.float32 if isinstance(value, list) else None)
    except (TypeError, ValueError) as error:
        raise ConversionError(f"inputs: {type(value).__name__} is no array of numbers ({error})") from error
    if not is_dtype(rows.dtype.name) or not rows.ndim or not rows.size:
        raise ConversionError(f"inputs: {rows.dtype} of shape {rows.shape} holds no examples; give (N, ...) of numbers")
    return rows


def dtype_name(dtype: Any) -> str:
    """Name a framework's type as numpy does: `torch.int64`, `tf.int64` and "int64" are all int64."""
    return str(getattr(dtype, "name", dtype)).removeprefix("torch.")


def sample(spec: Spec, count: int, generator: np.random.Generator) -> np.ndarray:
    """Draw rows of an input: normal numbers whose scale and sign vary from row to row, or fitting integers.

    A branch that an exporter baked in shows only when the rows differ enough to take the other one.
    """
    shape = (count, *tail(spec))
    if spec.dtype == "bool":
        return generator.random(shape) < 0.5
    if np.dtype(spec.dtype).kind in "iu":
        return generator.integers(*bounds(spec), size=shape).astype(spec.dtype)
    scale = np.resize(SCALES, count).reshape(count, *[1] * (len(shape) - 1))
    return (generator.standard_normal(shape) * scale).astype(spec.dtype)


def tail(spec: Spec) -> tuple[int, ...]:
    """Sizes of the axes after the batch; open ones take those of the rows given, or a small size."""
    known = spec.rows.shape[1:] if spec.rows is not None else spec.shape[1:]
    return tuple(n or (64 if len(spec.shape) >= 4 else 16) for n in known)


def bounds(spec: Spec) -> tuple[int, int]:
    """The half-open range of an integer input."""
    if spec.rows is not None and spec.rows.size:
        return int(spec.rows.min()), int(spec.rows.max()) + 1
    return 0, spec.vocabulary or (256 if spec.dtype == "uint8" else 2)


def feeds(specs: Sequence[Spec], seed: int, batch: int | None) -> list[Feed]:
    """Feeds at batch sizes 4 and 1 (of either sign) or at the one size allowed, then the caller's rows."""
    generator = np.random.default_rng(seed)
    many = {named(s): sample(s, batch or ROWS, generator) for s in specs}
    one = {named(s): sample(s, batch or 1, generator) for s in specs}
    drawn = [many, *({k: signed(v, sign) for k, v in one.items()} for sign in (1, -1))]
    given = {named(s): s.rows for s in specs if s.rows is not None}
    return [*drawn, given] if given and len(given) == len(specs) else drawn


def signed(values: np.ndarray, sign: int) -> np.ndarray:
    """Floats with one sign throughout; other types as they are."""
    return sign * np.abs(values) if values.dtype.kind == "f" else values


def named(spec: Spec) -> str:
    """The name of an input of a graph."""
    if spec.name is None:
        raise ConversionError("an input of the converted model has no name; report this as a fault of onnxray")
    return spec.name


def graph_specs(model: onnx.ModelProto, given: Sequence[Spec]) -> tuple[Spec, ...]:
    """The inputs of a graph, joined by name or else by position with what the caller gave of them."""
    weights = {tensor.name for tensor in model.graph.initializer}
    found = [graph_spec(value) for value in model.graph.input if value.name not in weights]
    return tuple(
        join(spec, extra) for spec, extra in zip(found, matched(given, [(s.name,) for s in found]), strict=True)
    )


def matched(given: Sequence[Spec], names: Sequence[Sequence[str | None]]) -> list[Spec | None]:
    """The caller's spec of each input, by any of its names or else by position; more specs than inputs are an error."""
    known = [str(next(filter(None, group), "?")) for group in names]
    by_name = {spec.name: spec for spec in given if spec.name}
    unknown = sorted(str(name) for name in by_name if not any(name in group for group in names))
    if unknown or len(given) > len(names):
        what = f"the model has no {', '.join(unknown)}" if unknown else f"{len(given)} given"
        raise ConversionError(f"inputs: {what}; it takes {', '.join(known) or 'none'}: leave out what it does not use")
    if by_name:
        return [next((by_name[name] for name in group if name in by_name), None) for group in names]
    return [*given, *[None] * (len(names) - len(given))]


def graph_spec(value: onnx.ValueInfoProto) -> Spec:
    """Read one graph input."""
    tensor = value.type.tensor_type
    shape = tuple(dim.dim_value or None for dim in tensor.shape.dim)
    return Spec(shape, ir.DataType(tensor.elem_type).numpy().name, value.name)


def join(spec: Spec, extra: Spec | None) -> Spec:
    """Take the caller's rows and vocabulary into the spec of a graph's input, in its type."""
    if extra is None:
        return spec
    refuse_other_shape(spec, extra)
    sizes = zip_longest(spec.shape[1:], extra.shape[1 : len(spec.shape)])
    shape = (*spec.shape[:1], *(n or m for n, m in sizes))
    rows = None if extra.rows is None else extra.rows.astype(spec.dtype)
    return replace(spec, shape=shape, rows=rows, vocabulary=extra.vocabulary or spec.vocabulary)


def refuse_other_shape(spec: Spec, extra: Spec) -> None:
    """Refuse what the caller gave of an input where its sizes are other ones; the batch is open."""
    wanted, given = spec.shape[1:], extra.shape[1:]
    if len(wanted) != len(given) or any(n and m and n != m for n, m in zip(wanted, given, strict=True)):
        text = ", ".join("?" if n is None else str(n) for n in (None, *wanted))
        raise ConversionError(
            f"inputs: {extra.shape} given for {spec.name!r}, which takes ({text}); give such an array"
        )
