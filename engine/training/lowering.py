"""The library's training-only operators as standard ones, by the rules of the portable builder.

Each row tells which forward operator's rule computes what a training operator does, and where that operator holds the
forward values which the rule reads. The rule is then called on a stand-in forward node with these values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx_ir as ir

from ..autodiff.registry import emitted, rule_for
from ..errors import BuilderError
from ..graph.builder import GraphBuilder

__all__ = ["LOWERINGS", "ForwardNode", "Lowering", "lower"]


@dataclass(frozen=True)
class ForwardNode:
    """What a rule reads of a forward node, given in place of the node."""

    op_type: str
    inputs: Sequence[ir.Value | None]
    outputs: Sequence[ir.Value | None]
    attributes: Any
    name: str = ""
    domain: str = ""


@dataclass(frozen=True)
class Lowering:
    """Where a training operator has what the rule of a forward operator reads.

    A number is the place of an input of the training operator, "x0" that of the forward node's input 0, "y0" that of
    its output 0. Attributes are those of both nodes, with these changes; ``broadcasts``: broadcasting is to be undone.
    """

    op: str
    inputs: tuple[int | str, ...] = ()
    outputs: tuple[int | str, ...] = ()
    dy: int = 0
    attributes: Mapping[str, Any] = field(default_factory=dict)
    broadcasts: bool = False


LOWERINGS: Mapping[str, Lowering] = {
    "AveragePoolGrad": Lowering("AveragePool", ("x0",), ("y0",)),
    "ConvGrad": Lowering("Conv", (1, 2)),
    "ConvTransposeGrad": Lowering("ConvTranspose", (1, 2), ("y0",)),
    "DivGrad": Lowering("Div", (1, 2), ("y0",), broadcasts=True),
    "FastGeluGrad": Lowering("Gelu", (1,), attributes={"approximate": "tanh"}),
    "GatherElementsGrad": Lowering("GatherElements", ("x0", 2)),
    "GatherGrad": Lowering("Gather", ("x0", 1), dy=2),
    "GatherNDGrad": Lowering("GatherND", ("x0", 1), dy=2),
    "GeluGrad": Lowering("Gelu", (1,)),
    "LayerNormalizationGrad": Lowering("LayerNormalization", (1, 2, "x2")),
    "LeakyReluGrad": Lowering("LeakyRelu", (1,)),
    "LogSoftmaxGrad_13": Lowering("LogSoftmax", outputs=(1,)),
    "MaxPoolGrad": Lowering("MaxPool", ("x0",), ("y0",)),
    "QuickGeluGrad": Lowering("Swish", (1,), ("y0",)),
    "ReluGrad": Lowering("Relu", outputs=(1,)),
    "ResizeGrad": Lowering("Resize", ("x0", "x1", "x2", "x3"), ("y0",)),
    "SigmoidGrad": Lowering("Sigmoid", outputs=(1,)),
    "SliceGrad": Lowering("Slice", ("x0", 2, 3, 4, 5)),
    "SoftmaxGrad_13": Lowering("Softmax", outputs=(1,)),
    "TanhGrad": Lowering("Tanh", outputs=(1,)),
}


def lower(g: GraphBuilder, node: ir.Node, inputs: Sequence[ir.Value | None], forward: ForwardNode) -> Sequence[Any]:
    """The outputs of a training operator; ``forward`` is the node whose gradient it belongs to."""
    row = LOWERINGS[node.op_type]
    places = {f"x{k}": value for k, value in enumerate(forward.inputs)}
    places |= {f"y{k}": value for k, value in enumerate(forward.outputs)}
    places |= {k: value for k, value in enumerate(inputs) if value is not None}
    reads = [places.get(place) for place in row.inputs]
    while reads and reads[-1] is None:
        reads.pop()
    changes = {name: ir.convenience.convert_attribute(name, value) for name, value in row.attributes.items()}
    attributes = forward.attributes.copy()
    attributes.update({**node.attributes, **changes})
    forward_node = ForwardNode(row.op, reads, [places.get(place) for place in row.outputs], attributes, forward.name)
    rule = rule_for(forward_node)  # type: ignore[arg-type]
    if rule is None:
        raise BuilderError(f"no rule for {row.op}, which {node.op_type} (node {node.name!r}) is lowered to")
    found = emitted(rule.function(g, forward_node, inputs[row.dy]), [bool(one.name) for one in node.outputs])
    return [g.sum_to(dx, x) for dx, x in zip(found, reads, strict=True)] if row.broadcasts else found  # type: ignore[arg-type]
