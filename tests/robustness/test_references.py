"""Attributes that refer to those of a function, where there is none: onnxruntime and onnx-ir read them differently."""

from __future__ import annotations

from collections.abc import Callable

import onnx
import onnxray
import pytest
from by_hand import CONV, model
from failing import fails
from onnxray import ModelError

BRANCH = """net (float[N, 2] x, bool c) => (float[N, 2] y) {
    y = If<then_branch = yes () => (float[N, 2] p) { p = LeakyRelu<alpha = 0.5>(x) },
           else_branch = no () => (float[N, 2] q) { q = Abs(x) }>(c) }"""


def in_graph() -> tuple[onnx.ModelProto, onnx.NodeProto]:
    proto = CONV.proto()
    return proto, proto.graph.node[0]


def in_branch() -> tuple[onnx.ModelProto, onnx.NodeProto]:
    proto = model(BRANCH)
    return proto, next(a for a in proto.graph.node[0].attribute if a.name == "then_branch").g.node[0]


@pytest.mark.parametrize("made", [in_graph, in_branch])
def test_reference_outside_of_a_function(made: Callable[[], tuple[onnx.ModelProto, onnx.NodeProto]]) -> None:
    """The value stands beside it: the pads of a Conv would be lost."""
    proto, node = made()
    node.attribute[-1].ref_attr_name = "ghost"
    with fails(ModelError, f"'{node.attribute[-1].name}'", "'ghost'", "function"):
        onnxray.load(proto)
