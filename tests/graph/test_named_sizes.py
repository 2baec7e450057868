"""Sizes have one name each, so that gradients are summed along axes that are known before the run."""

from __future__ import annotations

import onnx
import onnxray
import pytest
from by_hand import model

# the keys of an attention as PyTorch exports them: their last axes exchanged, at sizes cut out of a Shape
ATTENTION = """net (float[N, 2, 5, 3] q, float[N, 2, 5, 3] k) => (float[N, 2, 5, 5] y) {
    s = Shape(k)
    minus_one = Constant<value_ints = [-1]>()
    minus_two = Constant<value_ints = [-2]>()
    least = Constant<value_ints = [-9223372036854775808]>()
    most = Constant<value_ints = [9223372036854775807]>()
    outer = Slice(s, least, minus_two)
    length = Slice(s, minus_two, minus_one)
    size = Slice(s, minus_one, most)
    merged = Concat<axis = 0>(minus_one, length, size)
    a = Reshape(k, merged)
    b = Transpose<perm = [0, 2, 1]>(a)
    parted = Concat<axis = 0>(outer, size, length)
    t = Reshape(b, parted)
    y = MatMul(q, t)
}"""


PARTED = """net (float[N, 2, 5, 3] q, float[N, 30] k) => (float[N, 2, 5, 5] y) {{
    {size}
    a = Reshape(k, size)
    e = Neg(a)
    t = Transpose<perm = [0, 1, 3, 2]>(e)
    y = MatMul(q, t)
}}"""
RUNTIME = {"NonZero", "ReduceSum"}  # what sums along axes that only a run tells


def runtime_sums(proto: onnx.ModelProto) -> list[str]:
    gradient = onnxray.differentiate(proto, wrt="k", of="y").model
    return [node.op_type for node in gradient.graph.node if node.op_type in RUNTIME]


def test_the_examples_of_keys_and_queries_have_one_name() -> None:
    proto = model(ATTENTION)
    assert str(onnxray.load(proto).value("t").shape) == "[N,2,3,5]"
    assert not runtime_sums(proto)


@pytest.mark.parametrize("size", ["size = Constant<value_ints = [-1, 2, 5, 3]>()", "s = Shape(q) size = Abs(s)"])
def test_the_name_behind_a_reshape_is_known(size: str) -> None:
    """From the elements that it keeps, or from the file, where inference has made up another name before."""
    proto = model(PARTED.format(size=size))
    if "Abs" in size:
        proto.graph.value_info.append(onnx.helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, ["N", 2, 5, 3]))
    assert str(onnxray.load(proto).value("e").shape) == "[N,2,5,3]"
    assert not runtime_sums(proto)


@pytest.mark.parametrize(
    ("given", "size", "found"),
    [
        ("N, 6", "-1, 2, 3", "[N,2,3]"),
        ("N, 6", "2, -1, 3", "[2,N,3]"),
        ("6, N", "-1, 6", "[N,6]"),
        ("N, 6", "-1, 3", "[unk__0,3]"),
        ("N, M, 6", "-1, 6", "[unk__0,6]"),
        ("N, 0, 2", "-1, 2", "[unk__0,2]"),
    ],
)
def test_the_name_is_that_of_the_only_open_size(given: str, size: str, found: str) -> None:
    """Where the others hold as many elements before and behind the Reshape."""
    text = "net (float[%s] x) => (float[%s] y) { s = Constant<value_ints = [%s]>() r = Reshape(x, s) y = Neg(r) }"
    loaded = onnxray.load(model(text % (given, ", ".join("ABC"[: size.count(",") + 1]), size)))
    assert str(loaded.value("r").shape) == found


def test_a_sum_of_values_of_one_size_has_its_name() -> None:
    """And what follows it, such as the Reshapes of the next layer."""
    proto = model("""net (float[N, 6] x, float[N, 2, 3] k) => (float[A, 2, 3] y) {
        flat = Constant<value_ints = [-1, 6]>()
        size = Constant<value_ints = [-1, 2, 3]>()
        a = Reshape(k, flat)
        s = Add(a, x)
        r = Reshape(s, size)
        y = Neg(r)
    }""")
    assert [str(onnxray.load(proto).value(name).shape) for name in "sr"] == ["[N,6]", "[N,2,3]"]
