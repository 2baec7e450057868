"""References and declarations that contradict the file: what onnxruntime computes counts, or an error says so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
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


@pytest.mark.parametrize(("dtype", "shape"), [(1, [7]), (1, [3, 2, 1, 1]), (11, [5]), (7, [2, 2])])
def test_declared_shape_of_a_weight_that_it_has_not(dtype: int, shape: list[int]) -> None:
    """Shape inference stopped there, so that no rule knew a type."""
    proto = CONV.proto()
    for name in proto.graph.node[0].input[1:]:
        proto.graph.value_info.append(onnx.helper.make_tensor_value_info(name, dtype, shape))
    found = onnxray.explain(proto, CONV.x(2), target=1)
    np.testing.assert_allclose(found.values, CONV.gradient(CONV.x(2), 1), rtol=1e-4, atol=1e-5)
