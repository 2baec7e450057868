"""Columns of a tensor are the same as of its Slice, and depend on no node that computes the others."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxray
import pytest
from by_hand import Array, model, normal
from detector_nets import NETS, SIDE
from onnx.reference import ReferenceEvaluator
from onnx_ir.passes.common import TopologicalSortPass
from onnxray.detection.columns import columns
from onnxray.graph.builder import GraphBuilder
from onnxray.graph.traversal import ancestors
from onnxray.scores import Box

HEAD = "net (float[N, 3, 4, 5] x) => (float[N, {}] y) {{ e = Exp(x) c = Concat <axis = 1> (e, x, x) {} }}"
BODIES = {
    "joined": ("9, 4, 5", "y = Identity(c)", 1),
    "moved": ("4, 9, 5", "y = Transpose <perm = [0, 2, 1, 3]> (c)", 2),
    "reshaped": ("9, 20", "y = Reshape(c, flat)", 1),
    "behind": ("20, 9", "t = Transpose <perm = [0, 2, 3, 1]> (c) y = Reshape(t, rows)", 2),
    "levels": ("40, 9", "t = Transpose <perm = [0, 2, 3, 1]> (c) r = Reshape(t, rows) y = Concat <axis = 1> (r, r)", 2),
    "cast": ("9, 4, 5", "y = Cast <to = 1> (c)", 1),
    "other": ("9, 4, 5", "y = Neg(c)", 1),
}
HALVES = {"halves": np.array([-1, 6, 4])}
SHAPES = {"flat": np.array([0, 9, -1]), "rows": np.array([0, -1, 9])}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize(("start", "stop"), [(0, 3), (3, 9), (2, 7), (4, 6), (0, 9)])
def test_columns_are_those_of_a_slice(name: str, start: int, stop: int) -> None:
    shape, body, axis = BODIES[name]
    proto, x = model(HEAD.format(shape, body), SHAPES), normal(2, 3, 4, 5)
    loaded = onnxray.load(proto).copy()
    g = GraphBuilder(loaded.graph, prefix="t")
    found = g.output(columns(g, loaded.outputs[0], axis, start, stop), "found")
    assert ("Exp" in {node.op_type for value in ancestors([found]) for node in [value.producer()] if node}) == (
        start < 3 or name == "other"
    )
    TopologicalSortPass()(loaded.program)
    whole, part = run(ir.to_proto(loaded.program), x)
    np.testing.assert_array_equal(part, whole.take(range(start, stop), axis))


def test_open_sizes_without_a_name_are_not_taken_for_equal() -> None:
    """Here the examples and a half of each column become one axis, in front of columns that are others."""
    proto, x = model("net (float[?, 6, 8] x) => (float[?, 6, 4] y) { y = Reshape(x, halves) }", HALVES), normal(2, 6, 8)
    loaded = onnxray.load(proto).copy()
    y = loaded.outputs[0]
    y.shape = ir.Shape([None, 6, 4])
    g = GraphBuilder(loaded.graph, prefix="t")
    g.output(columns(g, y, 1, 1, 3), "found")
    TopologicalSortPass()(loaded.program)
    whole, part = run(ir.to_proto(loaded.program), x)
    np.testing.assert_array_equal(part, whole[:, 1:3])


def run(proto: onnx.ModelProto, x: Array) -> list[Array]:
    return ReferenceEvaluator(proto).run(None, {"x": x})


@pytest.mark.parametrize("net", [net for net in NETS if net.name.startswith("yolo")], ids=lambda net: net.name)
def test_the_relevance_of_a_box_asks_for_no_rule_of_its_place(net) -> None:
    found = onnxray.explain(net.proto(), normal(1, 3, SIDE, SIDE), "lrp", target=Box(0))
    assert np.abs(found.values).max() > 0
