"""Gradient nodes: the operator that the ONNX standard has for gradients and that no runtime computes, is lowered here.

``ai.onnx.preview.training.Gradient`` names, by attributes, a tensor y and the tensors xs and zs that determine it; its
inputs are the values of xs and zs at which dy/dx is evaluated (onnx/docs/Operators.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import TopologicalSortPass

from .autodiff.backward import backward, connected
from .autodiff.expand_functions import expand_functions
from .autodiff.overlays import EXACT
from .autodiff.streams import add_stream
from .errors import ModelError
from .graph.builder import GraphBuilder
from .graph.model import Model, Source, infer_shapes, is_float
from .graph.traversal import ancestors
from .loading.load import load

__all__ = ["lower_gradients"]

DOMAIN = "ai.onnx.preview.training"


def lower_gradients(model: Source) -> onnx.ModelProto:
    """Replaces every Gradient node of a model by standard operators, which any runtime runs.

    Each node ``ai.onnx.preview.training.Gradient`` gives dy/dx for the tensors x that it names
    (onnx/docs/Operators.md); of a y with several numbers, the gradient of their sum. Gradients of gradients are
    replaced, too.

    Args:
        model: Path, bytes, ModelProto or ``Model``.

    Returns:
        onnx.ModelProto: The model with the same inputs and outputs and without Gradient nodes.

    Raises:
        ModelError: A model that cannot be read, or a Gradient node that is in a subgraph, names a tensor that the model
            has not or that holds no floats, or depends on itself.
        NoGradientPath: A y that does not depend differentiably on an x.
        UnsupportedOperator: An operator between them that has no gradient rule.

    Example:
        >>> import numpy as np, onnx, onnxray
        >>> from onnx.reference import ReferenceEvaluator
        >>> square = onnx.parser.parse_model('''
        ... <ir_version: 8, opset_import: ["": 17, "ai.onnx.preview.training": 1]>
        ... square (float[N] x) => (float[N] dx) {
        ...     y = Mul(x, x)
        ...     dx = ai.onnx.preview.training.Gradient <xs = ["x"], y = "y"> (x)
        ... }''')
        >>> lowered = onnxray.lower_gradients(square)
        >>> ReferenceEvaluator(lowered).run(None, {"x": np.array([1, 2, 3], np.float32)})[0].tolist()
        [2.0, 4.0, 6.0]
    """
    program = load(model).copy()
    waiting = [node for node in program.graph.all_nodes() if _is_gradient(node)]
    while waiting:
        node = _next(program, waiting)
        _lower(program, node)
        TopologicalSortPass()(program.program)
        infer_shapes(program.program)
        waiting.remove(node)
    program.graph.opset_imports.pop(DOMAIN, None)
    return program.proto()


@dataclass(frozen=True)
class _Request:
    """The request of a Gradient node: dy/dx for each of xs, at the given values of xs and zs."""

    xs: Sequence[ir.Value]
    zs: Sequence[ir.Value]
    y: ir.Value
    given: Sequence[ir.Value]

    @property
    def in_place(self) -> bool:
        """Whether the values are those that the graph has anyway."""
        return all(value is named for value, named in zip(self.given, (*self.xs, *self.zs), strict=True))


def _is_gradient(node: ir.Node) -> bool:
    return (node.domain, node.op_type) == (DOMAIN, "Gradient")


def _request(model: Model, node: ir.Node) -> _Request:
    known = ir.convenience.create_value_mapping(model.graph)
    names = {name: list(node.attributes.get_strings(name, ())) for name in ("xs", "zs")}
    names["y"] = [node.attributes.get_string("y", "")]
    for attribute, listed in names.items():
        if missing := [name for name in listed if name not in known]:
            raise ModelError(f"{_name(node)}: {attribute} names {missing[0]!r}, but the graph has no such tensor")
    xs, zs, (y,) = ([known[name] for name in names[key]] for key in ("xs", "zs", "y"))
    given = [value for value in node.inputs if value is not None]
    if not xs or len(given) != len(xs) + len(zs) or len(node.outputs) > len(xs):
        counts = f"{len(xs)} xs, {len(zs)} zs, {len(given)} inputs and {len(node.outputs)} outputs"
        raise ModelError(f"{_name(node)} has {counts}; it takes one input for each of xs and zs and gives dy/dx")
    for value in (*xs, y):
        if not is_float(value):
            raise ModelError(f"{_name(node)}: tensor {value.name!r} is {value.dtype}, which has no gradient")
    return _Request(xs, zs, y, given)


def _name(node: ir.Node) -> str:
    return f"the Gradient node {node.name or node.outputs[0].name!r}"


def _next(model: Model, waiting: Sequence[ir.Node]) -> ir.Node:
    """A node whose y depends on no other that waits."""
    for node in waiting:
        if node.graph is not model.graph:
            raise ModelError(f"{_name(node)} is in a subgraph; only those of the main graph can be lowered")
        if not _makers(_request(model, node).y).intersection(waiting):
            return node
    raise ModelError(f"{_name(waiting[0])} is a gradient of itself")


def _lower(model: Model, node: ir.Node) -> None:
    request = _request(model, node)
    g = GraphBuilder(model.graph, prefix=node.name or "Gradient")
    xs, y = (request.xs, request.y) if request.in_place else _at_given(g, request)
    names, end = [str(x.name) for x in xs], str(y.name)
    if expand_functions(model, end, names):
        g = GraphBuilder(model.graph, prefix=node.name or "Gradient")
    xs, y = model.values(names), model.values(end)[0]
    found = backward(g, {y: g.expand_like(g.constant(1, y.dtype), y)}, xs, EXACT)
    for output, x in zip(list(node.outputs), xs, strict=False):
        if output.name:
            _take_over(output, g.Identity(connected(found, x, [y])))
    model.graph.remove(node, safe=True)


def _take_over(old: ir.Value, new: ir.Value) -> None:
    name, old.name = old.name, f"{old.name}/before"
    old.replace_all_uses_with(new, replace_graph_outputs=True)
    new.name = name


def _at_given(g: GraphBuilder, request: _Request) -> tuple[list[ir.Value], ir.Value]:
    """The part of the graph between, once more, where the given values stand for xs and zs."""
    starts = [g.Identity(value) for value in request.given]
    stream = add_stream(g, dict(zip((*request.xs, *request.zs), starts, strict=True)), [request.y])
    return starts[: len(request.xs)], stream(request.y)


def _makers(y: ir.Value) -> set[ir.Node]:
    """The nodes that a value depends on."""
    return {node for value in ancestors([y]) if (node := value.producer()) is not None}
