"""The signature of a Keras model: the specs of its inputs, and how a flat list of arrays becomes a call."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from onnxray.errors import ConversionError

from .candidates import Options
from .input_specs import Spec, is_shape, matched, read_inputs, refuse_other_shape
from .quiet import require

__all__ = ["Signature", "signature"]

NOT_INPUTS = {"self", "training", "mask"}


@dataclass(frozen=True)
class Signature:
    """The inputs of a model in flat order, and the arguments of a call with indices in that order for leaves."""

    specs: tuple[Spec, ...]
    args: list[Any]
    kwargs: dict[str, Any]

    def pack(self, values: Sequence[Any]) -> tuple[list[Any], dict[str, Any]]:
        """The arguments of a call, from values in the order of the specs."""
        fill = require("keras").tree.map_structure
        return fill(lambda place: values[place], self.args), fill(lambda place: values[place], self.kwargs)


def signature(model: Any, options: Options) -> Signature:
    """Read the inputs of a model: what it knows of them, else what the caller says, else its first call."""
    given = read_inputs(options.inputs)
    if getattr(model, "inputs", None):
        return functional(model, given)
    if given:
        return subclassed(model, given, named=isinstance(options.inputs, dict))
    recorded = called_with(model)
    if not recorded:
        raise ConversionError(f"Keras model {model.name!r}: does not know its inputs; give inputs=, or call it once")
    return subclassed(model, recorded, named=all(spec.name for spec in recorded))


def functional(model: Any, given: Sequence[Spec]) -> Signature:
    """A functional or Sequential model, which holds symbolic inputs."""
    structure = model.inputs[0] if isinstance(model, require("keras").Sequential) else model.input
    words = vocabulary(model)
    tensors = require("keras").tree.flatten(structure)
    names = [(tensor._keras_history.operation.name, tensor.name) for tensor in tensors]
    own = [Spec(tuple(t.shape), str(t.dtype), n[0], vocabulary=words) for t, n in zip(tensors, names, strict=True)]
    specs = [with_rows(spec, extra) for spec, extra in zip(own, matched(given, names), strict=True)]
    indices = require("keras").tree.pack_sequence_as(structure, list(range(len(specs))))
    return Signature(tuple(specs), [indices], {})


def with_rows(spec: Spec, extra: Spec | None) -> Spec:
    """The examples that the caller gave of an input, whose open axes stay open."""
    if extra is None:
        return spec
    refuse_other_shape(spec, extra)
    return replace(spec, rows=extra.rows)


def vocabulary(model: Any) -> int | None:
    """The smallest input size of the model's embeddings, which bounds its integers."""
    sizes = [layer.input_dim for layer in model._flatten_layers() if type(layer).__name__ == "Embedding"]
    return min(sizes, default=None)


def subclassed(model: Any, given: Sequence[Spec], named: bool) -> Signature:
    """A model with a call() of its own: inputs go by keyword, one by one, or as one list, as call() wants them."""
    wanted = [name for name in inspect.signature(model.call).parameters if name not in NOT_INPUTS]
    names = [str(s.name) if s.name else default_name(wanted, i, len(given)) for i, s in enumerate(given)]
    words = vocabulary(model)
    specs = tuple(
        Spec((None, *spec.shape[1:]), spec.dtype, name, spec.rows, words)
        for spec, name in zip(given, names, strict=True)
    )
    indices = list(range(len(specs)))
    if named and set(names) <= set(wanted):
        return Signature(specs, [], dict(zip(names, indices, strict=True)))
    if named:
        return Signature(specs, [dict(zip(names, indices, strict=True))], {})
    single = len(specs) > 1 and len(wanted) == 1
    return Signature(specs, [indices] if single else indices, {})


def default_name(wanted: Sequence[str], index: int, count: int) -> str:
    """Name an input after the parameter of call() that takes it."""
    return wanted[index] if count <= len(wanted) else f"{wanted[0]}_{index}"


def called_with(model: Any) -> list[Spec]:
    """The shapes of a subclassed model's first call, of which Keras keeps those of one argument."""
    shapes = (model.get_build_config() or {}).get("input_shape") if model.built else None
    if shapes is None or len(required(model)) > 1:
        return []
    if isinstance(shapes, dict):
        return [Spec((None, *shapes[name][1:]), model.input_dtype, name) for name in sorted(shapes)]
    several = [shapes] if is_shape(tuple(shapes)) else shapes
    return [Spec((None, *shape[1:]), model.input_dtype) for shape in several]


def required(model: Any) -> list[str]:
    """The parameters of call() without a default."""
    parameters = inspect.signature(model.call).parameters.values()
    return [p.name for p in parameters if p.default is p.empty and p.name not in NOT_INPUTS]
