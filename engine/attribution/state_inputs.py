"""State inputs, which start at zero where they are left out: initial states of recurrent nets, caches of streams."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np
import onnx_ir as ir

from ..data.arrays import as_array
from ..errors import InputError
from ..graph.model import Model, is_float
from ..graph.traversal import ancestors
from .axes import batch_axis, leading_input

__all__ = ["carried_states", "state_inputs", "zero_states"]

INITIAL = {"LSTM": (5, 6), "GRU": (5,), "RNN": (5,), "DynamicQuantizeLSTM": (5, 6)}  # their initial_h, initial_c
STATE = re.compile(r"state|cache|hidden|cell", re.IGNORECASE)
WAY = re.compile(r"(^|_)(in|out|prev|next|new|old)(?=_|$)", re.IGNORECASE)  # what tells a state from its new value


def state_inputs(model: Model) -> frozenset[str]:
    """Names of the floating-point inputs that hold a state: those that nothing but the initial state of a recurrent
    operator depends on with no data beside them, and those called state, cache, hidden or cell of which an output in
    the same shape has the new value. The first floating-point input is none.
    """
    first = leading_input(model)
    initial = _initial_states(model, first)
    others = [value for value in model.inputs if is_float(value) and value is not first]
    return frozenset(str(value.name) for value in others if value in initial or _is_cache(model, value))


def carried_states(model: Model) -> dict[str, str]:
    """The output with the new value of each state input that has one, by the input's name."""
    found, states = {}, state_inputs(model)
    for value in (v for v in model.inputs if str(v.name) in states):
        outputs = [str(y.name) for y in model.outputs if is_float(y) and _continues(value, y)]
        if outputs:
            found[str(value.name)] = min(outputs, key=len)  # the one with the least added
    return found


def zero_states(model: Model, names: Collection[str], given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Zeros for the state inputs of these names, for as many examples as the given inputs hold.

    Raises InputError for a state with an open size that is neither the number of examples nor named by a given input.
    """
    first = leading_input(model)
    shape, axis = as_array(given[str(first.name)], f"input {first.name!r}").shape, batch_axis(model, first)
    examples, named = 1 if axis is None or len(shape) <= axis else shape[axis], _named_sizes(model, given)
    return {
        str(value.name): np.zeros(
            _sizes(model, value, examples, named), value.dtype.numpy() if value.dtype else np.float32
        )
        for value in model.inputs
        if value.name in names
    }


def _named_sizes(model: Model, given: Mapping[str, np.ndarray]) -> dict[str, int]:
    """The sizes that a file names, such as N, from the arrays whose axes have these names."""
    found = {}
    for value in model.inputs:
        array = given.get(str(value.name))
        if value.shape is not None and array is not None and np.ndim(array) == len(value.shape):
            pairs = zip(value.shape, np.shape(array), strict=True)
            found |= {str(d.value): size for d, size in pairs if not isinstance(d, int) and d.value}
    return found


def _sizes(model: Model, value: ir.Value, examples: int, named: Mapping[str, int]) -> list[int]:
    axis, open_ones = batch_axis(model, value), [k for k, d in enumerate(value.shape or ()) if not isinstance(d, int)]
    if axis is None and examples == 1 and len(open_ones) == 1:
        axis = open_ones[0]  # without a name, yet what else is open is the number of examples, here one
    sizes = [d if isinstance(d, int) else named.get(str(d.value), d) for d in value.shape or ()]
    dims = [d if isinstance(d, int) or k != axis else examples for k, d in enumerate(sizes)]
    if value.shape is None or not all(isinstance(d, int) for d in dims):
        raise InputError(
            f"no array for input {value.name!r}, a state of open size {value.shape or ''}; give zeros of its size"
        )
    return [int(str(d)) for d in dims]


def _initial_states(model: Model, first: ir.Value) -> set[ir.Value]:
    """The values that reach the outputs through initial states of recurrent operators alone, with no data beside them;
    what only tells a size is none of the ways."""
    nodes = list(model.graph.all_nodes())
    sizes = {v for node in nodes if node.op_type in ("Shape", "Size") for v in node.outputs}
    slots = {(node, k) for node in nodes for k in INITIAL.get(node.op_type, ()) if k < len(node.inputs)}
    initial = {value for node, k in slots if (value := node.inputs[k]) is not None}
    ends = {value for value in initial if all((node, k) in slots for node, k in value.uses())}
    elsewhere = set(ancestors(model.outputs, ends | sizes)) - ends
    behind = [set(ancestors([one], sizes)) for one in initial]
    return {value for values in behind if first not in values for value in values} - elsewhere


def _is_cache(model: Model, value: ir.Value) -> bool:
    if not STATE.search(str(value.name)) or value.shape is None:
        return False
    return any(_continues(value, output) for output in model.outputs)


def _continues(value: ir.Value, output: ir.Value) -> bool:
    """Whether an output has the name of an input with something added, or but for in and out the same, and its shape
    as far as it is known."""
    names = str(value.name), str(output.name)
    alike = names[0] in names[1] or WAY.sub("", names[0]) == WAY.sub("", names[1])
    if not alike or value.shape is None or output.shape is None:
        return False
    sizes = [
        (a, b) for a, b in zip(value.shape, output.shape, strict=False) if isinstance(a, int) and isinstance(b, int)
    ]
    return len(value.shape) == len(output.shape) and all(a == b for a, b in sizes)
