"""The effect of rounding on a quantised model's gradient: its float net with the errors of one input held fixed.

A straight-through gradient is, by definition, that of the net in which every QuantizeLinear clips to the ends of its
type and adds a constant: what rounding added for the input at hand. Its central differences tell the gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper
from onnxray.autodiff.float32_shadow import float32_form
from onnxray.graph.model import Model

__all__ = ["Rounded", "rounded"]

_MOVES = frozenset({"Cast", "Identity", "MaxPool", "Reshape", "Slice", "Split", "Transpose"})  # in integers, too


@dataclass(frozen=True)
class Rounded:
    """A float net whose inputs ``errors`` are added where it was quantised, in units of ``steps``."""

    model: onnx.ModelProto
    errors: Mapping[str, np.ndarray]
    steps: Mapping[str, float]

    def largest(self) -> float:
        """The largest error in units of its step: half of one, unless the kernels do more than round."""
        return max(float(np.abs(error).max()) / self.steps[name] for name, error in self.errors.items())

    def noise(self, seed: int = 0) -> dict[str, np.ndarray]:
        """Errors of another rounding: uniform over one step."""
        rng = np.random.default_rng(seed)
        return {k: (rng.uniform(-0.5, 0.5, e.shape) * self.steps[k]).astype(np.float32) for k, e in self.errors.items()}

    def without(self) -> dict[str, np.ndarray]:
        return {k: np.zeros_like(e) for k, e in self.errors.items()}

    def unrounded(self) -> onnx.ModelProto:
        """The float net by itself, with the model's own inputs and output."""
        net = onnx.ModelProto()
        net.CopyFrom(self.model)
        inputs = [value for value in net.graph.input if value.name not in self.errors]
        del net.graph.input[:], net.graph.output[1:]
        net.graph.input.extend(inputs)
        net.graph.initializer.extend(numpy_helper.from_array(zero, k) for k, zero in self.without().items())
        return net


def rounded(model: Model, feeds: Mapping[str, np.ndarray]) -> Rounded:
    """The float net of a model with pairs of QuantizeLinear and DequantizeLinear, or operators made of such."""
    names = [str(model.outputs[0].name)], [str(value.name) for value in model.inputs]
    form = float32_form(model, *names).proto()
    grids = _grids(form)
    held = _held(model, form, grids, feeds)
    errors = {f"{q}/error": held[q] - np.clip(held[x], low, high) for q, (x, low, high, _, _) in grids.items()}
    steps = {f"{q}/error": grid[3] for q, grid in grids.items()}
    return Rounded(_with_errors(form, grids, errors, feeds), errors, steps)


Grids = dict[str, tuple[str, float, float, float, int]]


def _grids(form: onnx.ModelProto) -> Grids:
    """By quantised tensor: what it is rounded from, lowest, highest, step and zero point."""
    known = {i.name: numpy_helper.to_array(i) for i in form.graph.initializer}
    for node in form.graph.node:
        if node.op_type == "Identity" and node.input[0] in known:
            known[node.output[0]] = known[node.input[0]]
    makers = {name: node for node in form.graph.node for name in node.output}
    found: Grids = {}
    for node in form.graph.node:
        if node.op_type == "QuantizeLinear":
            scale, zero = float(known[node.input[1]].item()), known[node.input[2]]
            ends = ((end - int(zero.item())) * scale for end in (np.iinfo(zero.dtype).min, np.iinfo(zero.dtype).max))
            room = (0.4 if _on_a_grid(node.input[0], makers) else 1e-4) * scale  # a Clip is flat at its very bounds
            low, high = (end + side * room for end, side in zip(ends, (-1, 1), strict=True))
            found[node.output[0]] = node.input[0], low, high, scale, int(zero.item())
    return found


def _on_a_grid(name: str, makers: Mapping[str, onnx.NodeProto]) -> bool:
    """Whether a number was rounded before: 0, an end of many types, is then where a rectifier left much."""
    node = makers.get(name)
    if node is None or node.op_type == "DequantizeLinear":
        return node is not None
    read = node.input if node.op_type == "Concat" else node.input[:1]
    return node.op_type in _MOVES | {"Concat"} and all(_on_a_grid(x, makers) for x in read)


def _held(model: Model, form: onnx.ModelProto, grids: Grids, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The model's own quantised tensors as real numbers, and what each was rounded from."""
    shipped = model.proto()
    own = {name for node in shipped.graph.node for name in node.output}
    quantised = [name for name in grids if name in own]
    integers = _run(shipped, feeds, quantised)
    given = onnx.ModelProto.FromString(form.SerializeToString())
    nodes = [node for node in given.graph.node if node.output[0] not in integers]
    del given.graph.node[:], given.graph.value_info[:]
    given.graph.node.extend(nodes)
    for name, array in integers.items():
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        given.graph.input.append(helper.make_tensor_value_info(name, kind, array.shape))
    rest = [name for name in grids if name not in own]  # moved in front of a maximum
    found = _run(given, {**feeds, **integers}, [*(grid[0] for grid in grids.values()), *rest])
    integers |= {name: found[name] for name in rest}
    real = {q: ((integers[q].astype(np.float32) - zero) * np.float32(step)) for q, (*_, step, zero) in grids.items()}
    return found | real


def _run(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
    session_model = onnx.ModelProto.FromString(model.SerializeToString())
    present = {output.name for output in session_model.graph.output}
    for name in dict.fromkeys(names):
        if name not in present:
            session_model.graph.output.add(name=name)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(session_model.SerializeToString(), options)
    names = list(dict.fromkeys(names))
    return dict(zip(names, map(np.asarray, session.run(names, dict(feeds))), strict=True))


def _with_errors(
    form: onnx.ModelProto, grids: Grids, errors: Mapping[str, np.ndarray], feeds: Mapping[str, np.ndarray]
) -> onnx.ModelProto:
    model = onnx.ModelProto.FromString(form.SerializeToString())
    nodes, floats = [], set()
    for node in model.graph.node:
        made, passed = node.output[0], bool(node.input) and node.input[0] in floats
        if made in grids:
            x, low, high, *_ = grids[made]
            ends = [numpy_helper.from_array(np.float32(end), f"{made}/{k}") for k, end in enumerate((low, high))]
            model.graph.initializer.extend(ends)
            nodes.append(helper.make_node("Clip", [x, *(end.name for end in ends)], [f"{made}/clipped"]))
            nodes.append(helper.make_node("Add", [f"{made}/clipped", f"{made}/error"], [made]))
            floats.add(made)
        elif passed and node.op_type in ("Cast", "DequantizeLinear"):
            nodes.append(helper.make_node("Identity", [node.input[0]], [made]))
            floats.update([made] if node.op_type == "Cast" else [])
        else:
            nodes.append(node)
            floats.update(node.output if passed and node.op_type in _MOVES else [])
    del model.graph.node[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    for value in model.graph.input:
        value.CopyFrom(helper.make_tensor_value_info(value.name, 1, feeds[value.name].shape))
    model.graph.input.extend(helper.make_tensor_value_info(k, 1, e.shape) for k, e in errors.items())
    return model
