"""The graph that tf2onnx made, put in order: weights as initializers, real names, an open batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator
from onnxray.graph.moving_operators import CASTING

from .quiet import converting
from .subgraphs import reads, subgraphs

__all__ = ["distinct", "name_axes", "put_weights", "rename_tensors"]


def rename_tensors(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Give tensors other names, in subgraphs too."""
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for tensors in (node.input, node.output):
            for index, name in enumerate(tensors):
                tensors[index] = names.get(name, name)
        for inner in subgraphs(node):
            rename_tensors(inner, names)


def distinct(names: Mapping[str, str]) -> dict[str, str]:
    """The same table with no new name given twice."""
    taken: set[str] = set()
    found: dict[str, str] = {}
    for old, new in names.items():
        free = new
        while free in taken:
            free = f"{free}_"
        taken.add(free)
        found[old] = free
    return found


def put_weights(model: onnx.ModelProto, weights: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Turn the graph inputs that stand for weights into initializers.

    What only rearranges weights is computed once and for all, and before any becomes a tensor of the graph: protobuf
    frees nothing of a message until all of it goes. Returns the weight behind each constant made so.
    """
    graph = model.graph
    inputs = {value.name for value in graph.input} & set(weights)
    for index in reversed(range(len(graph.input))):
        if graph.input[index].name in inputs:
            del graph.input[index]
    made = {name: weights[name] for name in inputs}
    origins = fold(graph, made)
    used = {value.name for value in graph.output}.union(*(reads(node) for node in graph.node))
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in used:
            del graph.initializer[index]
    for name in [name for name in made if name in used]:
        add_weight(graph, name, made.pop(name))
    return origins


def fold(graph: onnx.GraphProto, made: dict[str, np.ndarray]) -> dict[str, str]:
    """Replace nodes that only rearrange constants by their values, which join `made`; returns their origins."""
    origins: dict[str, str] = {}
    small = {tensor.name: tensor for tensor in graph.initializer}
    results = {value.name for value in graph.output}
    for node in list(graph.node):
        known = set(node.input) <= made.keys() | small.keys()
        if node.op_type in CASTING and known and node.output[0] not in results:
            feed = {n: made[n] if n in made else onnx.numpy_helper.to_array(small[n]) for n in node.input}
            made[node.output[0]] = evaluate(node, feed)
            origins[node.output[0]] = origins.get(node.input[0], node.input[0])
            graph.node.remove(node)
    return origins


def add_weight(graph: onnx.GraphProto, name: str, value: np.ndarray) -> None:
    """Add an initializer in place: every copy of large weights costs seconds."""
    kind = ir.DataType.from_numpy(value.dtype)
    graph.initializer.add(name=name, data_type=kind, dims=value.shape, raw_data=value.tobytes())


def evaluate(node: onnx.NodeProto, feed: Mapping[str, np.ndarray]) -> np.ndarray:
    """The value of a node whose inputs are constants; the evaluator stays around, and may not hold all of the graph."""
    alone = onnx.NodeProto()
    alone.CopyFrom(node)
    with converting(f"{node.op_type} {node.name} cannot be folded", "report this as a fault of onnxray"):
        results: Any = ReferenceEvaluator(alone).run(None, dict(feed))
        return results[0]


def name_axes(values: Sequence[onnx.ValueInfoProto], batch: int | None) -> None:
    """Call open first axes "batch", or fix them; other open axes get a name of their own."""
    for value in values:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.dim_value > 0:
                continue
            if axis == 0 and batch:
                dim.dim_value = batch
            else:
                dim.dim_param = f"{value.name}_{axis}" if axis else "batch"
