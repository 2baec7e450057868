"""Elementwise nodes between two convolutions stay in onnxruntime's blocked layout, and compute the same bits."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from by_hand import Array, normal
from onnx import numpy_helper
from onnxray import blocked_session
from onnxray.passes.stay_in_blocks import late_order, stay_in_blocks

BLOCK = blocked_session.block_of_this_processor()
pytestmark = pytest.mark.skipif(BLOCK is None, reason="onnxruntime has no blocked layout on this processor")

CONSTANTS = {
    "full": normal(1, 32, 3, 4, seed=1),
    "batch": normal(2, 32, 3, 4, seed=2),
    "channel": normal(1, 32, 1, 1, seed=3),
    "scalar": np.float32(0.5),
    "zero": np.float32(0),
    "six": np.float32(6),
    "same": np.array([0, 0, 0, 0]),
    "flat": np.array([0, 32, 12, 1]),
}
IN_BLOCKS = {
    "a quotient of two images": "z = Div(n, m)",
    "constants of the image's size": "d = Sub(n, full) z = Div(d, batch)",
    "scalars and bounds": "c = Clip(n, zero, six) z = Mul(scalar, c)",
    "a Clip without an upper bound": "z = Clip(n, zero)",
    "a choice": "p = Greater(n, full) z = Where(p, n, m)",
    "a Reshape to its own shape": "r = Reshape(n, same) z = Div(m, r)",
    "a step": "s = Sub(n, m) z = HardSigmoid <alpha=2.0, beta=1.0> (s)",
    "an image that is read twice": "d = Sub(n, m) e = Abs(d) z = Div(d, e)",
}
OUTSIDE = {
    "one number per channel": "z = Div(n, channel)",
    "another shape": "r = Reshape(n, flat) s = Abs(r) z = Reshape(s, thirds)",
    "what is no elementwise node": "s = Softmax <axis=1> (n) z = Div(n, s)",
}


def graph(nodes: str, outputs: str = "", size: str = "[2, 32, 3, 4]") -> onnx.ModelProto:
    """Two images n and m that leave the blocks, nodes that compute z, and z back in blocks and out of them as y."""
    text = f"""<ir_version: 8, opset_import: ["": 17, "com.microsoft.nchwc": 1]>
    net (float{size} x, float{size} v) => (float{size} y{outputs})
    <float{size} n, float{size} m, float{size} z, float{size} e> {{
        bx = com.microsoft.nchwc.ReorderInput(x) n = com.microsoft.nchwc.ReorderOutput <channels=32> (bx)
        bv = com.microsoft.nchwc.ReorderInput(v) m = com.microsoft.nchwc.ReorderOutput <channels=32> (bv)
        {nodes}
        bz = com.microsoft.nchwc.ReorderInput(z) y = com.microsoft.nchwc.ReorderOutput <channels=32> (bz)
    }}"""
    proto = onnx.parser.parse_model(text)
    constants = CONSTANTS | {"thirds": np.array([0, 32, 3, 4])}
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in constants.items())
    return proto


def run(proto: onnx.ModelProto) -> list[Array]:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    feeds = {"x": normal(2, 32, 3, 4, seed=4), "v": normal(2, 32, 3, 4, seed=5)}
    return ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"]).run(None, feeds)


def assert_same(after: onnx.ModelProto, before: onnx.ModelProto) -> None:
    for found, truth in zip(run(after), run(before), strict=True):
        np.testing.assert_array_equal(found, truth)


def moved(proto: onnx.ModelProto) -> tuple[bool, onnx.ModelProto, Counter[str]]:
    program = ir.from_proto(proto)
    found = stay_in_blocks(program, BLOCK)
    return found, ir.to_proto(program), Counter(node.op_type for node in program.graph)


@pytest.mark.parametrize("nodes", IN_BLOCKS.values(), ids=IN_BLOCKS)
def test_nodes_that_stay_in_blocks(nodes: str) -> None:
    proto = graph(nodes)
    found, after, ops = moved(proto)
    assert found
    assert ops["ReorderOutput"] == 1  # of y
    assert ops["ReorderInput"] == len({name for name in "nm" if f"({name}" in nodes or f", {name}" in nodes})
    assert_same(after, proto)


@pytest.mark.parametrize("nodes", OUTSIDE.values(), ids=OUTSIDE)
def test_nodes_that_have_their_places_outside(nodes: str) -> None:
    proto = graph(nodes)
    found, after, _ = moved(proto)
    assert not found
    assert_same(after, proto)


def test_images_of_unknown_or_unfilled_size_stay_outside() -> None:
    assert not moved(graph("z = Div(n, m)", size="[2, 32, h, ?]"))[0]
    assert not moved(graph("z = Div(n, m)", size="[2, 31, 3, 4]"))[0]
    assert moved(graph("z = Div(n, m)", size="[b, 32, h, w]"))[0]


def test_channels_on_the_last_axis_are_another_layout() -> None:
    """A graph may read the axes of an image that leaves the blocks as others when it enters them."""
    proto = graph("z = Div(n, m)", size="[2, 32, 3, 4]")
    entry = next(node for node in proto.graph.node if node.output[0] == "bz")
    entry.attribute.append(onnx.helper.make_attribute("channels_last", 1))
    assert not moved(proto)[0]
    leaving = graph("z = Div(n, m)")
    for node in leaving.graph.node[:4]:
        if node.op_type == "ReorderOutput":
            node.attribute.append(onnx.helper.make_attribute("channels_last", 1))
    assert not moved(leaving)[0]


def test_what_others_read_leaves_the_blocks_once() -> None:
    proto = graph(
        "d = Div(n, m) e = Abs(d) z = Neg(e) t = Transpose(e) u = Softmax(e)", ", float[4,3,32,2] t, float[2,32,3,4] u"
    )
    found, after, ops = moved(proto)
    assert found
    assert (ops["Div"], ops["Abs"], ops["ReorderOutput"]) == (1, 1, 2)
    assert_same(after, proto)


def test_a_choice_that_others_read_is_made_twice() -> None:
    """Only float32 may leave the blocks by a node of its own."""
    proto = graph("p = Greater(n, m) z = Where(p, n, m) t = Not(p) u = Transpose(t)", ", bool[4, 3, 32, 2] u")
    found, after, ops = moved(proto)
    assert found
    assert ops["Greater"] == 2
    assert_same(after, proto)


def test_an_output_of_the_graph_is_what_it_was() -> None:
    proto = graph("z = Div(n, m)", ", float[2, 32, 3, 4] z")
    found, after, _ = moved(proto)
    assert found
    assert [value.name for value in after.graph.output] == ["y", "z"]
    assert_same(after, proto)


def test_the_longest_way_is_computed_first() -> None:
    text = """<ir_version: 8, opset_import: ["": 17]> net (float[N] x) => (float[N] y) {
        late = Neg(x) a = Abs(x) b = Exp(a) c = Sin(b) y = Mul(late, c) }"""
    program = ir.from_proto(onnx.parser.parse_model(text))
    late_order(program.graph)
    assert [node.op_type for node in program.graph] == ["Abs", "Exp", "Sin", "Neg", "Mul"]


def test_an_order_with_a_branch_and_nodes_that_nothing_reads() -> None:
    text = """<ir_version: 8, opset_import: ["": 17]> net (float[N] x, bool p) => (float[N] y) {
        a = Abs(x) unread = Neg(a)
        y = If(p) <then_branch = t () => (float[N] u) { u = Exp(a) }, else_branch = e () => (float[N] v) { v = Neg(a) }>
    }"""
    program = ir.from_proto(onnx.parser.parse_model(text))
    late_order(program.graph)
    assert [node.op_type for node in program.graph] == ["Abs", "If", "Neg"]
    onnx.checker.check_model(ir.to_proto(program))
