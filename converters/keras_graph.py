"""The graph that tf2onnx made, put in order: weights as initializers, real names, an open batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

from .quiet import converting

__all__ = ["distinct", "fold_weights", "name_axes", "put_weights", "rename_tensors"]

FOLDED = {"Transpose", "Reshape", "Squeeze", "Unsqueeze", "Identity", "Cast"}


def rename_tensors(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    """Give tensors other names, in subgraphs too."""
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        for tensors in (node.input, node.output):
            for index, name in enumerate(tensors):
                tensors[index] = names.get(name, name)
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                rename_tensors(attribute.g, names)


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


def put_weights(model: onnx.ModelProto, weights: Mapping[str, np.ndarray]) -> None:
    """Turn the graph inputs that stand for weights into initializers."""
    graph = model.graph
    for index in reversed(range(len(graph.input))):
        name = graph.input[index].name
        if name in weights:
            add_weight(graph, name, weights[name])
            del graph.input[index]


def add_weight(graph: onnx.GraphProto, name: str, value: np.ndarray) -> None:
    """Add an initializer in place: every copy of large weights costs seconds."""
    kind = ir.DataType.from_numpy(value.dtype)
    graph.initializer.add(name=name, data_type=kind, dims=value.shape, raw_data=np.ascontiguousarray(value).tobytes())


def fold_weights(model: onnx.ModelProto) -> dict[str, str]:
    """Compute what only rearranges weights, once and for all; returns the weight behind each new constant."""
    origins: dict[str, str] = {}
    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    results = {value.name for value in graph.output}
    for node in list(graph.node):
        if node.op_type in FOLDED and set(node.input) <= set(constants) and node.output[0] not in results:
            add_weight(graph, node.output[0], evaluate(node, constants))
            constants[node.output[0]] = graph.initializer[-1]
            origins[node.output[0]] = origins.get(node.input[0], node.input[0])
            graph.node.remove(node)
    used = {name for node in graph.node for name in node.input} | results | inner_reads(graph)
    for index in reversed(range(len(graph.initializer))):
        if graph.initializer[index].name not in used:
            del graph.initializer[index]
    return origins


def evaluate(node: onnx.NodeProto, constants: Mapping[str, onnx.TensorProto]) -> np.ndarray:
    """The value of a node whose inputs are constants."""
    feed = {name: onnx.numpy_helper.to_array(constants[name]) for name in node.input}
    with converting(f"{node.op_type} {node.name} cannot be folded", "report this as a fault of onnxray"):
        results: Any = ReferenceEvaluator(node).run(None, feed)
        return results[0]


def inner_reads(graph: onnx.GraphProto) -> set[str]:
    """What the subgraphs of a graph read, from outside them or not."""
    inner = [a.g for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    reads = {name for sub in inner for node in sub.node for name in node.input}
    results = {value.name for sub in inner for value in sub.output}
    return reads.union(results, *(inner_reads(sub) for sub in inner))


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
