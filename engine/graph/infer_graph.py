"""The types and shapes of all values of a model, by the rules of the ONNX standard."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError, EncodeError
from onnx.checker import ValidationError
from onnx.shape_inference import InferenceError

from .shapes import dims_of
from .traversal import subgraphs

__all__ = ["infer_graph"]

_MOST = 1000  # bytes of a weight that inference may read
_FAILURES = (InferenceError, ValidationError, DecodeError, EncodeError, RuntimeError, ValueError)
_log = logging.getLogger(__name__)


def infer_graph(program: ir.Model) -> None:
    """Notes what the standard's inference tells, in place; where it fails as a whole, nothing changes.

    As onnx-ir's ``ShapeInferencePass``, which makes a second model of the answer first, in three times the time.
    """
    try:
        with _without_weights(program.graph):
            message = ir.to_proto(program)
        found = onnx.shape_inference.infer_shapes(message, check_type=False, strict_mode=False, data_prop=True)
    except _FAILURES as error:
        _log.warning("Shape inference failed: %s", error)
        return
    _note(program.graph, found.graph)


@contextmanager
def _without_weights(graph: ir.Graph) -> Iterator[None]:
    """The graph while its large weights are plain inputs: inference reads their types and shapes alone."""
    held = list(graph.initializers.items())
    large = [v for _, v in held if v.const_value is None or v.const_value.nbytes > _MOST]
    added = [value for value in large if not value.is_graph_input()]
    inputs = list(graph.inputs)
    for value in large:
        graph.initializers.pop(str(value.name))
    graph.inputs.extend(added)
    try:
        yield
    finally:
        graph.inputs.clear()
        graph.inputs.extend(inputs)
        graph.initializers.clear()
        graph.initializers.update(held)


def _note(graph: ir.Graph, message: onnx.GraphProto) -> None:
    """Takes the types and shapes of a message of the same graph, subgraph for subgraph."""
    told = {value.name: value.type for value in (*message.value_info, *message.output, *message.input)}
    for value in (*graph.inputs, *(y for node in graph for y in node.outputs)):
        if value.name and (kind := told.get(value.name)) is not None:
            _take(value, kind)
    for node, same in zip(graph, message.node, strict=True):
        for inner, attribute in zip(subgraphs(node), _graphs_of(same), strict=True):
            _note(inner, attribute)


def _take(value: ir.Value, kind: onnx.TypeProto) -> None:
    if kind.HasField("tensor_type"):
        dtype, dims = ir.DataType(kind.tensor_type.elem_type), dims_of(kind.tensor_type)
        shape = None if dims is None else ir.Shape(dims)
    else:
        found = ir.serde.deserialize_type_proto_for_type(kind)
        dtype, shape = None if found is None else found.dtype, ir.serde.deserialize_type_proto_for_shape(kind)
    if shape is not None and value.shape != shape:
        value.shape = shape
    if dtype and value.dtype != dtype:
        value.dtype = dtype


def _graphs_of(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs
