"""Model files that contradict themselves: one line that names the file and the place, before onnxruntime sees them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import CONV, DENSE, model, normal
from failing import fails
from onnx import TensorProto
from onnxray import ExecutionError, ModelError
from onnxray.data.labels import labels_of
from onnxray.diagnostics.inspection import inspect


def noted(key: str, value: Any) -> onnx.ModelProto:
    proto = CONV.proto()
    proto.metadata_props.add(key=key, value=value if isinstance(value, str) else json.dumps(value))
    return proto


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("onnxray.layers", ["conv"], "object"),
        ("onnxray.layers", {"conv": "h"}, "object"),
        ("onnxray.layers", {"conv": {"layout": "NCHW"}}, "tensor"),
        ("onnxray.layers", {"conv": {"tensor": 3}}, "str"),
        ("onnxray.layers", "{", "JSON"),
        ("onnxray.layers", "[" * 100_000, "nested"),
        ("onnxray.labels", 7, "int"),
        ("onnxray.labels", {"a": "cat"}, "int"),
        ("onnxray.labels", [{"a": 1}], "object"),
        ("onnxray.features", {"a": 1}, "array"),
        ("onnxray.features", [1], "str"),
    ],
)
def test_metadata_of_another_type(tmp_path: Path, key: str, value: Any, word: str) -> None:
    onnx.save(noted(key, value), tmp_path / "noted.onnx")
    with fails(ModelError, "noted.onnx", key, word):
        onnxray.load(tmp_path / "noted.onnx")


@pytest.mark.parametrize("value", [[1], "[" * 100_000, {"size": 3}, {"channels": ["B"]}, {"mean": {}}])
def test_preprocess_of_another_type(value: Any) -> None:
    with fails(ModelError, "onnxray.preprocess"):
        inspect(onnxray.load(noted("onnxray.preprocess", value)))


def test_layer_without_its_tensor() -> None:
    loaded = onnxray.load(noted("onnxray.layers", {"conv": {"tensor": "ghost"}}))
    for use in (inspect, lambda m: m.value("conv"), lambda m: onnxray.activations(m, CONV.x(1), "conv")):
        with fails(ModelError, "conv", "ghost"):
            use(loaded)


def test_labels_that_are_numbers_or_pairs() -> None:
    assert labels_of(onnxray.load(noted("onnxray.labels", [1, "dog"]))) == {0: "1", 1: "dog"}
    assert labels_of(onnxray.load(noted("onnxray.labels", {"3": "dog"}))) == {3: "dog"}


def weights(**fields: Any) -> onnx.ModelProto:
    proto = model("net (float[N, 2] x) => (float[N, 3] y) { y = MatMul(x, W) }")
    proto.graph.initializer.append(TensorProto(name="W", **fields))
    return proto


@pytest.mark.parametrize(
    "fields",
    [
        {"dims": [2, 3], "data_type": 1, "raw_data": bytes(20)},
        {"dims": [2, 3], "data_type": 1, "raw_data": bytes(28)},
        {"dims": [2, 300], "data_type": 1, "raw_data": bytes(100_000)},
        {"dims": [2, 3], "data_type": 1, "float_data": [1.0, 2.0]},
        {"dims": [2, 3], "data_type": 1, "float_data": [1.0] * 7},
        {"dims": [2, 3], "data_type": 1},
        {"dims": [2, -3], "data_type": 1, "raw_data": bytes(24)},
        {"dims": [2, 3], "data_type": 0, "raw_data": bytes(24)},
        {"dims": [2, 3], "data_type": 77, "raw_data": bytes(24)},
        {"dims": [2**62, 3], "data_type": 1, "raw_data": bytes(24)},
        {"dims": [2**40], "data_type": 1},
        {"dims": [0, 2**62, 2**62], "data_type": 1},
        {"dims": [2, 3], "data_type": 7, "float_data": [1.0] * 6},
    ],
    ids=str,
)
def test_weights_that_contradict_themselves(fields: dict[str, Any]) -> None:
    with fails(ModelError, "'W'"):
        onnxray.load(weights(**fields))
    inner = model("net (float[N, 2] x) => (float[N, 3] y) { y = Relu(x) }")
    inner.graph.node[0].attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(
        TensorProto(name="W", **fields)
    )
    with fails(ModelError, "'W'"):
        onnxray.load(inner)


CALL = """<ir_version: 8, opset_import: ["" : 18, "own" : 1]>
net (float[N, 4] x) => (float[N, 4] y) { y = own.f(INPUTS) }
<domain: "own", opset_import: ["" : 18]> f (a, b) => (c) { c = Add(a, b) }"""


def test_call_with_another_number_of_inputs() -> None:
    with fails(ModelError, "'f'", "3 inputs"):
        onnxray.load(onnx.parser.parse_model(CALL.replace("INPUTS", "x, x, x")))


def test_function_that_calls_itself() -> None:
    text = (
        CALL.replace("INPUTS", "x, x")
        .replace("c = Add(a, b)", "c = own.f(a, b)")
        .replace('"own", opset_import: ["" : 18]', '"own", opset_import: ["" : 18, "own" : 1]')
    )
    with fails(ModelError, "'f'", "itself"):
        onnxray.load(onnx.parser.parse_model(text))


@pytest.mark.parametrize("depth", [25, 41])
def test_functions_that_multiply(depth: int) -> None:
    """Each calls the next one twice: 2^41 nodes."""
    head = '<domain: "own", opset_import: ["" : 18, "own" : 1]>'
    bodies = [f"{head} f{k} (a) => (c) {{ b = own.f{k + 1}(a)  c = own.f{k + 1}(b) }}" for k in range(depth)]
    text = "\n".join(
        [
            '<ir_version: 8, opset_import: ["" : 18, "own" : 1]>',
            "net (float[N, 4] x) => (float[N, 4] y) { y = own.f0(x) }",
            *bodies,
            f"{head} f{depth} (a) => (c) {{ c = Relu(a) }}",
        ]
    )
    proto, start = onnx.parser.parse_model(text), time.process_time()
    with fails(ModelError, "functions", "1,000,000"):
        onnxray.load(proto)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("version", [2**31, 2**62, -1])
@pytest.mark.parametrize("domain", ["ai.onnx.ml", "own"])
def test_opset_that_is_no_version(version: int, domain: str) -> None:
    proto = DENSE.proto()
    proto.opset_import.add(domain=domain, version=version)
    with fails(ModelError, "opset", str(version), domain):
        onnxray.load(proto)


def test_text_that_is_not_utf8() -> None:
    proto = CONV.proto()
    proto.graph.node[0].attribute.add(name="auto_pad", type=onnx.AttributeProto.STRING, s=b"SAME\xff\xfe")
    with fails(ModelError, "UTF-8"):
        onnxray.load(proto)


def external(folder: Path, location: str) -> Path:
    proto = weights(dims=[2, 3], data_type=1, data_location=TensorProto.EXTERNAL)
    proto.graph.initializer[0].external_data.add(key="location", value=location)
    (folder / "model.onnx").write_bytes(proto.SerializeToString())
    return folder / "model.onnx"


@pytest.mark.parametrize("location", ["a\0b", "w" * 300, "w/" * 3000], ids=["NUL", "long name", "long path"])
def test_external_location_that_is_no_name(tmp_path: Path, location: str) -> None:
    with fails(ModelError, "model.onnx", "'W'", "name"):
        onnxray.load(external(tmp_path, location))


@pytest.mark.skipif(os.name != "posix", reason="hard links are made by POSIX here")
def test_hard_link(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(normal(2, 3).tobytes())
    (tmp_path / "weights").hardlink_to(tmp_path / "secret")
    with fails(ModelError, "'W'", "hard link"):
        onnxray.load(external(tmp_path, "weights"))


def test_declared_size_of_minus_one() -> None:
    """The standard's shape inference aborts the process where a Slice reads such a size."""
    proto = model(
        """net (float[2, 3] x) => (float[A, 3] y) { u = Relu(x)  y = Slice(u, zero, one, zero) }""",
        {"zero": np.array([0]), "one": np.array([1])},
    )
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_value = -1
    found = onnxray.explain(proto, np.ones((1, 3), np.float32), target=1)
    np.testing.assert_array_equal(found.values, [[0, 1, 0]])


def at_once(loaded: onnxray.Model) -> None:
    """Its scores are counted by a run of the model, so that an Explainer builds nothing before it has an input."""
    onnxray.explain(loaded, np.ones((2, 3), np.float32), target=1)


@pytest.mark.parametrize("use", [inspect, at_once, onnxray.differentiate], ids=lambda use: use.__name__)
def test_what_trips_a_rule_is_asked_of_onnxruntime(use: Callable[[Any], Any]) -> None:
    """Starts of a Slice are a vector, which no checker knows."""
    numbers = {"start": np.array(0), "end": np.array(2)}
    proto = model("net (float[2, 3] x) => (float[2, 3] y) { y = Slice(x, start, end) }", numbers)
    runs = use is at_once
    with fails(ExecutionError if runs else ModelError, "1-D array" if runs else "not a valid ONNX model", "Slice"):
        use(onnxray.load(proto))


def test_a_bug_of_ours_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise IndexError("a bug")

    monkeypatch.setattr("onnxray.diagnostics.differentiability.backward", broken)
    with pytest.raises(IndexError, match="a bug"):
        inspect(onnxray.load(DENSE.proto()))


CRASHES = {  # what onnxruntime reads without looking whether it is there
    "trip count": "m = Constant<value = int64[0] {}>() c = Constant<value = bool {1}>() " + "LOOP",
    "first condition": "m = Constant<value = int64 {2}>() c = Constant<value = bool[0] {}>() " + "LOOP",
    "position": """m = Constant<value = int64[0] {}>() s = SequenceConstruct(x, x) y = SequenceAt(s, m) }""",
    "condition of the body": "m = Constant<value = int64 {2}>() c = Constant<value = bool {1}>() " + "LOOP",
}
LOOP = """y = Loop<body = step (int64 i, bool ci, float[2] a) => (bool co, float[2] ao)
    { BODY  ao = Add(a, a) }>(m, c, x) }"""


@pytest.mark.parametrize("what", CRASHES)
def test_one_number_that_is_none(what: str) -> None:
    body = "co = Constant<value = bool[0] {}>()" if what == "condition of the body" else "co = Identity(ci)"
    text = CRASHES[what].replace("LOOP", LOOP.replace("BODY", body))
    with fails(ModelError, "one number", "[0]"):
        onnxray.load(model(f"net (float[2] x) => (float[2] y) {{ {text}"))


def test_one_number_that_only_the_data_tell() -> None:
    """As many trip counts as there are numbers that are not zero: plain onnxruntime dies of none."""
    text = """net (float[1, 2] x) => (float[1, 2] y) {
        n = NonZero(x)  k = Slice(n, zero, one, zero)  p = Reshape(k, minus)  m = Add(p, two)
        c = Constant<value = bool {1}>()
        y = Loop<body = step (int64 i, bool ci, float[1, 2] a) => (bool co, float[1, 2] ao)
            { co = Identity(ci)  ao = Add(a, a) }>(m, c, x) }"""
    numbers = {"zero": np.array([0]), "one": np.array([1]), "minus": np.array([-1]), "two": np.array([2])}
    loaded = onnxray.load(model(text, numbers))
    found = onnxray.explain(loaded, np.array([[3, 0]], np.float32), target=0)
    np.testing.assert_array_equal(found.values, [[4, 0]])
    with fails(ExecutionError, "onnxruntime"):
        onnxray.explain(loaded, np.zeros((1, 2), np.float32), target=0)


def test_attribute_that_a_call_leaves_out() -> None:
    """It has the default of the operator that refers to it."""
    proto = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 18, "own" : 1]>
        net (float[N, 2] x) => (float[N, 2] y) { y = own.leaky(x) }
        <domain: "own", opset_import: ["" : 18]> leaky <slope> (a) => (b) { b = LeakyRelu<alpha: float = @slope>(a) }"""
    )
    found = onnxray.explain(proto, np.array([[-3, 2]], np.float32), target=0)
    np.testing.assert_allclose(found.values, [[0.01, 0]], rtol=1e-6)


@pytest.mark.parametrize("axis", [2, 0])
def test_scales_that_do_not_fit(axis: int) -> None:
    numbers = {"W": np.ones((3, 4), np.int8), "s": np.full(4, 0.1, np.float32)}
    text = f"""net (float[N, 3] x) => (float[N, 4] y) {{
        w = DequantizeLinear<axis = {axis}>(W, s)  y = MatMul(x, w) }}"""
    with fails(ModelError, "DequantizeLinear"):
        onnxray.Explainer(model(text, numbers), score="output")


def test_quantised_model_that_hands_on_its_input() -> None:
    numbers = {"W": np.ones((3, 4), np.int8), "s": np.full(4, 0.5, np.float32)}
    proto = model("net (float[N, 3] x) => (float[N, 4] y) { w = DequantizeLinear(W, s)  y = MatMul(x, w) }", numbers)
    proto.graph.output.add().CopyFrom(proto.graph.input[0])
    inspect(onnxray.load(proto))
    np.testing.assert_array_equal(onnxray.explain(proto, np.ones((1, 3), np.float32), target=1).values, [[0.5] * 3])


@pytest.mark.parametrize("kind", [onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS])
def test_graph_that_refers_to_an_attribute(kind: int) -> None:
    text = """net (float[2] x) => (float[2] y) { c = Constant<value = bool {1}>()
        y = If<then_branch = a () => (float[2] p) { p = Exp(x) },
               else_branch = b () => (float[2] q) { q = Abs(x) }>(c) }"""
    proto = model(text)
    proto.graph.node[1].attribute[0].ref_attr_name = "branch"
    proto.graph.node[1].attribute[0].type = kind
    with fails(ModelError, "then_branch", "empty"):
        onnxray.load(proto)


def test_weight_of_a_declared_type_that_is_none() -> None:
    """Its size is asked for where several rows are run."""
    proto = CONV.proto()
    weight = next(w for w in proto.graph.initializer if w.name == proto.graph.node[0].input[2])
    proto.graph.value_info.append(onnx.helper.make_tensor_value_info(weight.name, 0, list(weight.dims)))
    found = onnxray.explain(proto, CONV.x(2), target=0)
    np.testing.assert_array_equal(found.values, onnxray.explain(CONV.proto(), CONV.x(2), target=0).values)
