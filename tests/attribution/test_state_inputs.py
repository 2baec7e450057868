"""State inputs that are left out start at zero, and a line says so: initial states, and caches."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import model, normal
from onnxray.attribution.state_inputs import carried_states, state_inputs

X = normal(2, 5, 3)


def recurrent(size: str = "4", middle: str = "h1 = Identity(h0)", tail: str = "y = Identity(z)") -> onnx.ModelProto:
    """An LSTM of four units over (N, T, 3), whose initial h is an input on axis 1 of which examples are counted."""
    return model(
        f"""net (float[N, T, 3] x, float[1, N, {size}] h0, float[1, N, 4] c0) => (float[1, N, 4] y) {{
            t = Transpose<perm=[1, 0, 2]>(x) {middle}
            every, z, cell = LSTM<hidden_size=4>(t, W, R, "", "", h1, c0) {tail} }}""",
        {"W": normal(1, 16, 3), "R": normal(1, 16, 4)},
    )


def cached(cache: str = "cache", update: str = "cache_out") -> onnx.ModelProto:
    return model(
        f"""net (float[N, 3] x, float[N, 3] {cache}) => (float[N, 3] y, float[N, 3] {update}) {{
            {update} = Add(x, {cache}) y = Mul({update}, {update}) }}"""
    )


@pytest.mark.parametrize("left_out", [["h0"], ["c0"], ["h0", "c0"]])
def test_initial_states_left_out_are_zeros(left_out: list[str]) -> None:
    given = {"h0": np.zeros((1, 2, 4), np.float32), "c0": np.zeros((1, 2, 4), np.float32)}
    whole = onnxray.explain(recurrent(), {"x": X, **given}, target=1)
    few = {"x": X, **{name: array for name, array in given.items() if name not in left_out}}
    with pytest.warns(UserWarning, match=f"{', '.join(map(repr, left_out))}, which w.* left out, starts? at zero"):
        found = onnxray.explain(recurrent(), few, target=1)
    np.testing.assert_array_equal(found.values["x"], whole.values["x"])
    assert found.provenance["zero_states"] == left_out
    assert "zero_states" not in whole.provenance


def test_an_array_alone_is_that_of_the_only_input_beside_states() -> None:
    with pytest.warns(UserWarning, match="left out"):
        found = onnxray.explain(cached(), np.full((2, 3), 5, np.float32), target=1)
    np.testing.assert_array_equal(found.values["x"], [[0, 10, 0]] * 2)  # d x**2 / dx


def test_nothing_is_said_where_all_is_given() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = onnxray.explain(cached(), {"x": np.ones((1, 3), np.float32), "cache": np.ones((1, 3))}, target=0)
    np.testing.assert_array_equal(found.values["cache"], [[4, 0, 0]])


@pytest.mark.parametrize(
    "proto",
    [
        cached("other", "other_out"),  # no state by its name
        cached("cache", "y2"),  # nothing has its new value
        recurrent(middle="d = ReduceMean<keepdims=1>(x, k) e = Squeeze(d) h1 = Mul(h0, e)"),  # depends on data, too
        recurrent(tail="y = Add(z, h0)"),  # is read elsewhere, too
    ],
    ids=["name", "output", "data", "elsewhere"],
)
def test_what_is_no_state_must_be_given(proto: onnx.ModelProto) -> None:
    if any(node.op_type == "LSTM" for node in proto.graph.node):
        proto.graph.initializer.append(onnx.numpy_helper.from_array(np.array([1, 2]), "k"))
    assert state_inputs(onnxray.load(proto)) <= {"c0"}
    with pytest.raises(onnxray.InputError, match=r"no array for input|give a dict"):
        onnxray.explain(proto, {"x": X if "c0" in str(proto.graph.input) else normal(2, 3)}, target=0)


def test_a_state_of_open_size_must_be_given() -> None:
    with pytest.raises(onnxray.InputError, match=r"no array for input 'h0', a state of open size .*; give zeros"):
        onnxray.explain(recurrent("H"), {"x": X}, target=0)


def test_a_state_takes_the_sizes_that_other_inputs_name() -> None:
    """Of a net over (T, N, C), where the file calls the axis of examples N in both."""
    net = model(
        """net (float[T, N, 3] x, float[1, N, 4] h0) => (float[N, 4] y) {
            every, last = GRU<hidden_size=4>(x, W, R, "", "", h0) y = Squeeze(last, axes) }""",
        {"W": normal(1, 12, 3), "R": normal(1, 12, 4), "axes": np.array([0])},
    )
    x = normal(6, 1, 3)
    with pytest.warns(UserWarning, match="state 'h0', which was left out, starts at zero"):
        found = onnxray.explain(net, x, target=2)
    whole = onnxray.explain(net, {"x": x, "h0": np.zeros((1, 1, 4), np.float32)}, target=2)
    np.testing.assert_array_equal(found.values["x"], whole.values["x"])
    assert found.values["x"].any()


def test_a_state_is_carried_to_the_output_with_its_new_value() -> None:
    """Names that differ by in and out, too; of several outputs the one with the least added."""
    assert carried_states(onnxray.load(cached("in_cache0", "out_cache0"))) == {"in_cache0": "out_cache0"}
    assert carried_states(onnxray.load(cached("cache", "cache_out"))) == {"cache": "cache_out"}
    assert carried_states(onnxray.load(recurrent())) == {}


def test_the_only_open_size_of_a_state_is_the_number_of_examples() -> None:
    """Without names of dimensions, as silero-vad has its state (2, ?, 128)."""
    proto = recurrent()
    for value in proto.graph.input:
        for dim in value.type.tensor_type.shape.dim:
            dim.ClearField("dim_param")
    with pytest.warns(UserWarning, match="start at zero"):
        found = onnxray.explain(proto, {"x": X[:1]}, target=1)
    with pytest.warns(UserWarning, match="start at zero"):
        expected = onnxray.explain(recurrent(), {"x": X[:1]}, target=1)
    np.testing.assert_allclose(found.values["x"], expected.values["x"])


def test_a_quantised_lstm_has_states() -> None:
    """As onnxruntime's dynamic quantisation writes it."""
    proto = recurrent()
    node = next(one for one in proto.graph.node if one.op_type == "LSTM")
    node.op_type, node.domain = "DynamicQuantizeLSTM", "com.microsoft"
    node.input.extend(["", "s", "zero", "s", "zero"])
    proto.opset_import.append(onnx.helper.make_opsetid("com.microsoft", 1))
    del proto.graph.initializer[:]
    held = {"W": np.ones((1, 3, 16), np.int8), "R": np.ones((1, 4, 16), np.int8), "s": np.ones(1, np.float32)}
    held["zero"] = np.zeros(1, np.int8)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in held.items())
    assert state_inputs(onnxray.load(proto)) == {"h0", "c0"}
    with pytest.warns(UserWarning, match="'h0', 'c0', which were left out, start at zero"):
        assert onnxray.explain(proto, {"x": X[:1]}, target=1).values["x"].any()
