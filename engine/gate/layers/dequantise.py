"""The float form of a quantised model, for a reference where nobody kept the model that it was made from."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from ...graph.model import Model, Source, is_float
from ...loading.load import load
from .randomise import CARRIERS, constant_behind

__all__ = ["dequantised", "quantise_before", "quantised_forms"]


def dequantised(model: Source) -> Model:
    """The model without rounding: quantised weights as they are, of each quantised activation only its clipping.

    For models with pairs of QuantizeLinear and DequantizeLinear that have one scale for each tensor.
    """
    program = load(model).copy()
    for node in list(program.graph):
        quantise = quantise_before(node)
        if quantise is not None and _ends(quantise) is not None:
            _clip_instead(program.graph, node, quantise)
    RemoveUnusedNodesPass()(program.program)
    return program


def quantise_before(node: ir.Node) -> ir.Node | None:
    """The QuantizeLinear of an activation that a DequantizeLinear undoes, if it is one."""
    value = node.inputs[0] if node.op_type == "DequantizeLinear" else None
    while value is not None and (before := value.producer()) is not None:
        if before.op_type == "QuantizeLinear":
            return before if constant_behind(before.inputs[0]) is None else None
        value = before.inputs[0] if before.op_type in CARRIERS else None
    return None


def quantised_forms(model: Model) -> dict[str, str]:
    """The tensors that are quantised, each with the tensor that the next layer reads in its place."""
    found = {}
    for node in model.graph:
        quantise = quantise_before(node)
        source = quantise.inputs[0] if quantise is not None else None
        if source is not None and source.producer() is not None and is_float(source):
            found[str(source.name)] = str(node.outputs[0].name)
    return found


def _ends(quantise: ir.Node) -> tuple[float, float] | None:
    """The lowest and the highest number that a quantisation can hold; None where it has several scales."""
    constants = [constant_behind(value) for value in quantise.inputs[1:3]]
    arrays = [value.const_value.numpy() for value in constants if value is not None and value.const_value is not None]
    if not arrays or any(array.size != 1 for array in arrays):
        return None
    zero = arrays[1] if len(arrays) > 1 else np.zeros(1, np.uint8)
    limits = np.iinfo(zero.dtype)
    low, high = ((limit - int(zero.item())) * float(arrays[0].item()) for limit in (limits.min, limits.max))
    return low, high


def _clip_instead(graph: ir.Graph, node: ir.Node, quantise: ir.Node) -> None:
    """Puts a Clip where a quantisation was undone, and behind it what moved the integers."""
    output, ends = node.outputs[0], _ends(quantise) or (0.0, 0.0)
    bounds = [_constant(graph, f"{output.name}/{side}", end) for side, end in zip(("low", "high"), ends, strict=True)]
    steps = [ir.node("Clip", [quantise.inputs[0], *bounds])]
    for mover in _movers(node):
        steps.append(ir.node(mover.op_type, [steps[-1].outputs[0], *mover.inputs[1:]], mover.attributes))
    for k, step in enumerate(steps):
        step.name = step.outputs[0].name = f"{output.name}/{step.op_type.lower()}_{k}"
    steps[-1].outputs[0].type, steps[-1].outputs[0].shape = output.type, output.shape
    graph.insert_before(node, steps)
    ir.convenience.replace_all_uses_with(output, steps[-1].outputs[0], replace_graph_outputs=True)


def _movers(node: ir.Node) -> list[ir.Node]:
    """The nodes between a DequantizeLinear and its QuantizeLinear, in the order of execution."""
    before = node.inputs[0].producer() if node.inputs[0] is not None else None
    if before is None or before.op_type == "QuantizeLinear":
        return []
    return [*_movers(before), *([before] if before.op_type in ("Reshape", "Transpose") else [])]


def _constant(graph: ir.Graph, name: str, number: float) -> ir.Value:
    tensor = ir.tensor(np.asarray(number, np.float32), name=name)
    value = ir.val(name, ir.DataType.FLOAT, [], const_value=tensor)
    graph.register_initializer(value)
    return value
