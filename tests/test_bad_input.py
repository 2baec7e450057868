"""Bad input: one clear line each, of the right kind, saying what, where and what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxray import (
    InputError,
    ModelError,
    NoGradientPath,
    OnnxrayError,
    RuntimeUnavailable,
    UnsupportedOperator,
)
from PIL import Image
from test_methods import CONV, DENSE, model, normal


@contextmanager
def fails(kind: type[OnnxrayError], *words: str) -> Iterator[None]:
    """Expects exactly this error, of one line, with these words."""
    with pytest.raises(OnnxrayError) as caught:
        yield
    message = str(caught.value)
    assert type(caught.value) is kind, f"{type(caught.value).__name__}: {message}"
    assert "\n" not in message.strip()
    assert len(message) < 400, message
    missing = [word for word in words if word.lower() not in message.lower()]
    assert not missing, f"{missing} not in: {message}"


# Files --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_file(tmp_path: Path, share: float) -> None:
    whole = CONV.proto().SerializeToString()
    file = tmp_path / "cut.onnx"
    file.write_bytes(whole[: int(share * len(whole))])
    with fails(ModelError, str(file)):
        onnxray.load(file)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.onnx", b"This is no model.\n" * 20),
        ("page.onnx", b"<!DOCTYPE html><html><body>404</body></html>"),
        ("pointer.onnx", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"),
        ("empty.onnx", b""),
        ("zeros.onnx", bytes(1000)),
        ("picture.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256))),
    ],
)
def test_no_model(tmp_path: Path, name: str, content: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with fails(ModelError, str(file), "not an ONNX model"):
        onnxray.load(file)
    with fails(ModelError, "not an ONNX model"):
        onnxray.load(content)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with fails(ModelError, "nothing.onnx", "No such file", ".onnx file"):
        onnxray.load(tmp_path / "nothing.onnx")
    with fails(ModelError, str(tmp_path), "directory"):
        onnxray.load(str(tmp_path))


@pytest.mark.parametrize("source", [None, 3, ["a.onnx"], np.zeros(3)], ids=repr)
def test_no_source(source: Any) -> None:
    with fails(ModelError, type(source).__name__):
        onnxray.load(source)


@pytest.mark.parametrize("version", [3, 6, 999])
def test_opset_out_of_reach(version: int) -> None:
    proto = DENSE.proto()
    proto.opset_import[0].version = version
    with fails(ModelError, str(version), "opset", "7"):
        onnxray.load(proto)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("net (float[N, 3] x) => (float[N, 3] y) { y = Add(x, ghost) }", "ghost"),
        ("net (float[N, 3] x) => (float[N, 3] y) { y = Relu(x)  y = Abs(x) }", "y"),
        ("net (float[N, 3] x) => (float[N, 3] y) { a = Add(x, b)  b = Relu(a)  y = Relu(b) }", "b"),
        ("net (float[N, 3] x) => (float[N, 3] y) { z = Relu(x) }", "y"),
        ("net (float[N, 3] x) => (float[N, 3] y) { y = Relu(x, x) }", "Relu"),
        ("net (float[N, 3] x) => (float[N, 3] y) { y = Concat(x, x) }", "Concat"),
    ],
    ids=["reads what nobody makes", "two makers", "cycle", "output nobody makes", "arity", "attribute missing"],
)
def test_invalid_graph(tmp_path: Path, text: str, word: str) -> None:
    file = tmp_path / "invalid.onnx"
    onnx.save(model(text), file)
    with fails(ModelError, str(file), word):
        onnxray.load(file)


# External data ------------------------------------------------------------------------------------------------


def external(folder: Path, location: str, length: int = 4 * 5 * 3) -> Path:
    """A linear model with its weights in another file, 5 x 3."""
    proto = model("net (float[N, 5] x) => (float[N, 3] y) { y = MatMul(x, W) }")
    tensor = TensorProto(name="W", dims=[5, 3], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", "0"), ("length", str(length))):
        tensor.external_data.add(key=key, value=value)
    proto.graph.initializer.append(tensor)
    folder.mkdir(exist_ok=True)
    file = folder / "model.onnx"
    file.write_bytes(proto.SerializeToString())
    return file


def test_external_data_beside_the_model_is_read(tmp_path: Path) -> None:
    weights = normal(5, 3)
    file = external(tmp_path / "model", "weights.bin")
    (file.parent / "weights.bin").write_bytes(weights.tobytes())
    a = onnxray.explain(file, normal(1, 5), target=2)
    np.testing.assert_array_equal(a.values, weights.T[2:])


@pytest.mark.parametrize("way", ["parent", "absolute", "around", "link", "linked folder"])
def test_external_data_outside_of_the_folder(tmp_path: Path, way: str) -> None:
    secret = tmp_path / "elsewhere" / "secret.bin"
    secret.parent.mkdir()
    secret.write_bytes(normal(5, 3).tobytes())
    folder = tmp_path / "model"
    location = {
        "parent": "../elsewhere/secret.bin",
        "absolute": str(secret),
        "around": "sub/../../elsewhere/secret.bin",
        "link": "weights.bin",
        "linked folder": "data/secret.bin",
    }[way]
    file = external(folder, location)
    if way == "link":
        (folder / "weights.bin").symlink_to(secret)
    if way == "linked folder":
        (folder / "data").symlink_to(secret.parent)
    with fails(ModelError, str(file), location, "'W'", "folder"):
        onnxray.load(file)


def test_external_data_of_a_subgraph_outside_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.bin").write_bytes(normal(5, 3).tobytes())
    outer = onnx.load(external(tmp_path / "model", "../secret.bin"), load_external_data=False)
    hidden = outer.graph.initializer.pop()
    branch = helper.make_graph(
        [helper.make_node("Identity", ["W"], ["z"])],
        "branch",
        [],
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [5, 3])],
        [hidden],
    )
    condition = numpy_helper.from_array(np.array(True), "condition")
    outer.graph.initializer.append(condition)
    outer.graph.node.insert(0, helper.make_node("If", ["condition"], ["W"], then_branch=branch, else_branch=branch))
    file = tmp_path / "model" / "model.onnx"
    file.write_bytes(outer.SerializeToString())
    with fails(ModelError, "../secret.bin", "folder"):
        onnxray.load(file)


def test_external_data_missing_or_short(tmp_path: Path) -> None:
    file = external(tmp_path / "model", "weights.bin")
    with fails(ModelError, str(file), "weights.bin", "'W'", "missing"):
        onnxray.load(file)
    (file.parent / "weights.bin").write_bytes(b"1234")
    with fails(ModelError, "weights.bin", "'W'", "short"):
        onnxray.load(file)


def test_external_data_whose_length_belies_the_shape(tmp_path: Path) -> None:
    file = external(tmp_path / "model", "weights.bin", length=8)
    (file.parent / "weights.bin").write_bytes(normal(5, 3).tobytes()[:8])
    with fails(ModelError, "weights.bin", "'W'"):
        onnxray.explain(file, normal(1, 5))


def test_external_data_of_bytes(tmp_path: Path) -> None:
    with fails(ModelError, "weights.bin", "path"):
        onnxray.load(external(tmp_path / "model", "weights.bin").read_bytes())


# Inputs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (normal(1, 3, 6, 5), ["'x'", "(1, 3, 6, 5)", "(N, 2, 6, 5)"]),
        (normal(2, 6, 5), ["'x'", "(2, 6, 5)", "(N, 2, 6, 5)"]),
        (normal(0, 2, 6, 5), ["'x'", "(0, 2, 6, 5)"]),
        (np.ones((1, 2, 6, 5), np.uint8), ["'x'", "uint8", "float32"]),
        (np.ones((1, 2, 6, 5), np.complex64), ["'x'", "complex64", "float32"]),
        (np.full((1, 2, 6, 5), "a"), ["'x'", "float32"]),
        (np.full((1, 2, 6, 5), None), ["'x'", "object"]),
        ([[1.0], [1.0, 2.0]], ["'x'"]),
        (None, ["'x'"]),
        ({"image": normal(1, 2, 6, 5)}, ["x"]),
        ({"x": normal(1, 2, 6, 5), "y": normal(1)}, ["y", "x"]),
        ({}, ["x"]),
    ],
    ids=lambda value: str(getattr(value, "shape", type(value).__name__)) if not isinstance(value, list) else "",
)
def test_wrong_shapes_and_types(x: Any, words: list[str]) -> None:
    with fails(InputError, *(word.strip("'") for word in words)):
        onnxray.explain(CONV.proto(), x, target=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(bad: float) -> None:
    x = CONV.x()
    x[1, 0, 3, 2] = bad
    with fails(InputError, "'x'", "[1, 0, 3, 2]", "NaN or infinity"):
        onnxray.explain(CONV.proto(), x, target=0)


def test_beyond_the_range_of_the_type() -> None:
    with fails(InputError, "'x'", "infinity"):
        onnxray.explain(DENSE.proto(), np.full((1, 6), 1e300), target=0)


def test_inputs_that_differ_in_batch() -> None:
    two = model("net (float[N, 3] u, float[N, 3] v) => (float[N, 3] y) { y = Add(u, v) }")
    with fails(InputError, "u", "v", "2", "4"):
        onnxray.explain(two, {"u": normal(2, 3), "v": normal(4, 3)})
    with fails(InputError, "dict", "u", "v"):
        onnxray.explain(two, normal(2, 3))


def test_integers_where_the_model_takes_integers() -> None:
    lookup = model("net (float[N, 3] u, int64[N] i) => (float[N, 3] y) { e = Gather(E, i)  y = Mul(u, e) }")
    lookup.graph.initializer.append(numpy_helper.from_array(normal(4, 3), "E"))
    with fails(InputError, "'i'", "int64", "float"):
        onnxray.explain(lookup, {"u": normal(2, 3), "i": normal(2)})


def test_pictures(tmp_path: Path) -> None:
    """A path that is no picture, one that is not there, a model that takes none."""
    proto = CONV.proto(size=(8, 8))
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3
    rgb = model(
        "net (float[N, 3, 8, 8] x) => (float[N, 3] y) { p = GlobalAveragePool(x)  y = Flatten(p) }",
    )
    text = tmp_path / "note.png"
    text.write_text("no picture")
    with fails(InputError, str(text)):
        onnxray.explain(rgb, text)
    with fails(InputError, "nothing.png"):
        onnxray.explain(rgb, str(tmp_path / "nothing.png"))
    with fails(InputError, "picture"):
        onnxray.explain(DENSE.proto(), Image.new("RGB", (8, 8)))


# Targets, methods, options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (4, ["4", "0 to 3"]),
        (-1, ["-1", "0 to 3"]),
        ([0, 1, 99], ["99", "0 to 3"]),
        ([0, 1], ["3"]),
        ([[0], [1], [2]], ["(3, 1)"]),
        ("cat", ["cat", "top1"]),
        ((1, 2), ["(1, 2)", "(4,)"]),
        ((4,), ["(4,)"]),
        (normal(3, 5), ["(3, 5)", "(3, 4)"]),
        (normal(2, 4), ["(2, 4)", "(3, 4)"]),
        (1.5, []),
        (True, ["bool"]),
        (None, []),
        (np.full((3, 4), np.nan, np.float32), ["NaN"]),
    ],
    ids=str,
)
def test_target(target: Any, words: list[str]) -> None:
    with fails(InputError, "target", *words):
        onnxray.explain(DENSE.proto(), DENSE.x(), target=target)


@pytest.mark.parametrize("method", [m for m in onnxray.METHODS if m != "grad-cam"])
def test_class_out_of_range_with_every_method(method: str) -> None:
    with fails(InputError, "target", "10", "0 to 3"):
        onnxray.explain(DENSE.proto(), DENSE.x(), method, target=10)


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("saliencey", {}, ["saliencey", "saliency", "grad-cam"]),
        ("saliency", {"steps": 3}, ["saliency", "steps", "none"]),
        ("integrated-gradients", {"step": 3}, ["step", "steps", "baseline", "rule"]),
        ("integrated-gradients", {"steps": 0}, ["steps", "0"]),
        ("integrated-gradients", {"steps": 1, "rule": "inclusive"}, ["steps", "2"]),
        ("integrated-gradients", {"steps": "many"}, ["steps", "many"]),
        ("integrated-gradients", {"steps": 2.5}, ["steps", "2.5"]),
        ("integrated-gradients", {"rule": "simpson"}, ["simpson", "gauss-legendre", "inclusive"]),
        ("integrated-gradients", {"baseline": np.nan}, ["baseline", "finite"]),
        ("integrated-gradients", {"baseline": [0.0, 0.0, 0.0]}, ["baseline", "(3,)", "(2, 6, 5)"]),
        ("integrated-gradients", {"baseline": normal(6, 5)}, ["baseline", "(6, 5)"]),
        ("integrated-gradients", {"baseline": "black"}, ["baseline", "black"]),
        ("integrated-gradients", {"baseline": {"image": 0.0}}, ["baseline", "image", "x"]),
        ("smoothgrad", {"samples": 0}, ["samples", "0"]),
        ("smoothgrad", {"noise": -1.0}, ["noise", "-1"]),
        ("smoothgrad", {"noise": np.nan}, ["noise", "nan"]),
        ("smoothgrad", {"seed": -1}, ["seed", "-1"]),
        ("occlusion", {"window": 0}, ["window", "0"]),
        ("occlusion", {"window": (2, 3)}, ["window", "(2, 3)", "3"]),
        ("occlusion", {"stride": 0}, ["stride", "0"]),
        ("occlusion", {"window": 2.5}, ["window", "2.5"]),
        ("occlusion", {"window": "wide"}, ["window", "wide"]),
        ("occlusion", {"overlap": "max"}, ["overlap", "max", "mean", "sum"]),
        ("saliency", {"layer": "conv"}, ["saliency", "layer", "grad-cam"]),
        ("saliency", {"memory": "lots"}, ["memory", "lots", "512MB"]),
        ("saliency", {"memory": "-1GB"}, ["memory", "-1GB"]),
        ("saliency", {"builder": "fast"}, ["builder", "fast", "portable"]),
    ],
    ids=str,
)
def test_method_and_options(method: str, options: dict[str, Any], words: list[str]) -> None:
    with fails(InputError, *words):
        onnxray.Explainer(CONV.proto(), method, **options)(CONV.x(), 0)


def test_threads() -> None:
    with fails(InputError, "threads", "-3"):
        onnxray.Explainer(CONV.proto(), threads=-3)(CONV.x(), 0)


# Layers and scores --------------------------------------------------------------------------------------------


def test_unknown_layer() -> None:
    with fails(ModelError, "'convv'", "did you mean", "'conv'"):
        onnxray.explain(CONV.proto(), CONV.x(), "grad-cam", layer="convv")
    with fails(ModelError, "'blk'", "inspect"):
        onnxray.activations(CONV.proto(), CONV.x(), ["blk"])
    with fails(ModelError, "'nothing'"):
        onnxray.differentiate(CONV.proto(), of=["nothing"])
    with fails(ModelError, "'hh'"):
        onnxray.differentiate(CONV.proto(), wrt=["hh"])
    with fails(ModelError, "'logits'"):
        onnxray.explain(CONV.proto(), CONV.x(), score="logits")


def test_layer_without_maps() -> None:
    with fails(ModelError, "grad-cam", "head", "feature maps"):
        onnxray.explain(CONV.proto(), CONV.x(), "grad-cam", layer="head")
    with fails(ModelError, "grad-cam", "no convolution", "layer"):
        onnxray.explain(DENSE.proto(), DENSE.x(), "grad-cam")


def test_relu_policy() -> None:
    with fails(InputError, "'lrp'", "exact", "guided", "deconvnet"):
        onnxray.differentiate(CONV.proto(), relu="lrp")


# No gradient --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["Floor", "Round", "Sign"])
@pytest.mark.parametrize("method", ["saliency", "guided-backprop", "integrated-gradients", "smoothgrad"])
def test_no_differentiable_path(op: str, method: str) -> None:
    stepped = model(f"net (float[N, 3] x) => (float[N, 3] y) {{ [steps] s = {op}(x)  y = Mul(s, s) }}")
    with fails(NoGradientPath, "'x'", op, "'steps'", "occlusion"):
        onnxray.explain(stepped, normal(2, 3), method)
    assert np.asarray(onnxray.explain(stepped, normal(2, 3), "occlusion").values).shape == (2, 3)
    with fails(NoGradientPath, "'x'", "'y'", op, "'steps'"):
        onnxray.differentiate(stepped)


def test_argmax_as_the_output() -> None:
    label = model("net (float[N, 3] x) => (int64[N] y) { y = ArgMax<axis=1, keepdims=0>(x) }")
    with fails(ModelError, "output", "score"):
        onnxray.explain(label, normal(2, 3))
    with fails(ModelError, "output"):
        onnxray.differentiate(label)


def test_gradient_through_argmax() -> None:
    text = """net (float[N, 3] x) => (float[N, 1] y) {
        [best] i = ArgMax<axis=1, keepdims=1>(x)
        y = Cast<to=1>(i)
    }"""
    with fails(NoGradientPath, "'x'", "ArgMax", "'best'"):
        onnxray.explain(model(text), normal(2, 3))


def test_score_that_does_not_depend_on_the_input() -> None:
    constant = model("net (float[N, 3] x) => (float[N, 3] y) { s = Shape(x)  y = ConstantOfShape(s) }")
    with fails(NoGradientPath, "'x'"):
        onnxray.explain(constant, normal(2, 3))


def test_operator_that_nobody_knows() -> None:
    with fails(UnsupportedOperator, "Frobnicate", "'odd'"):
        onnxray.explain(model("net (float[N, 3] x) => (float[N, 3] y) { [odd] y = Frobnicate(x) }"), normal(2, 3))


def test_operator_of_another_domain() -> None:
    proto = parser_with_domain()
    with fails(UnsupportedOperator, "com.acme", "Spin", "'odd'"):
        onnxray.explain(proto, normal(2, 3))


def parser_with_domain() -> onnx.ModelProto:
    text = """<ir_version: 8, opset_import: ["" : 18, "com.acme" : 1]>
    net (float[N, 3] x) => (float[N, 3] y) { [odd] y = com.acme.Spin(x) }"""
    return onnx.parser.parse_model(text)


def test_no_float_input() -> None:
    sizes = model("net (int64[N, 3] x) => (float[2] y) { s = Shape(x) y = Cast<to=1>(s) }")
    with fails(ModelError, "nothing in the model is a floating-point number that depends on its inputs"):
        onnxray.explain(sizes, np.ones((2, 3), np.int64))
    integers = model("net (int64[N, 3] x) => (float[N, 3] y) { y = Cast<to=1>(x) }")
    with fails(InputError, "'x'", "INT64"):
        onnxray.differentiate(integers, wrt=["x"])


# Runtime ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["cuda", "CUDAExecutionProvider", ("cuda", {"device_id": 0})], ids=str)
def test_cuda_is_not_here(provider: Any) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with fails(RuntimeUnavailable, "cuda", "cpu", "onnxray[gpu]"):
        onnxray.explain(DENSE.proto(), DENSE.x(), providers=provider)


@pytest.mark.parametrize("providers", ["nonsense", ["cpu", "nonsense"], [("nonsense", {})]], ids=str)
def test_provider_that_nobody_knows(providers: Any) -> None:
    with fails(RuntimeUnavailable, "nonsense", "cpu"):
        onnxray.Explainer(DENSE.proto(), providers=providers)
    with fails(RuntimeUnavailable, "nonsense", "cpu"):
        onnxray.activations(DENSE.proto(), DENSE.x(), ["h"], providers=providers)


@pytest.mark.parametrize("providers", [[], 3, [None]], ids=str)
def test_no_provider(providers: Any) -> None:
    with fails(InputError, "provider"):
        onnxray.Explainer(DENSE.proto(), providers=providers)


WITHOUT_RUNTIME = """
import sys
sys.modules["onnxruntime"] = None
import numpy as np, onnxray
proto = onnxray.load(sys.argv[1])
print(len(onnxray.differentiate(proto).model.graph.node) > 3)
try:
    onnxray.explain(proto, np.zeros((1, 6), np.float32))
except onnxray.RuntimeUnavailable as error:
    print(error)
"""


def test_missing_runtime(tmp_path: Path) -> None:
    """Importing, loading and differentiating need no runtime; running does, and says which to install."""
    onnx.save(DENSE.proto(), tmp_path / "model.onnx")
    command = [sys.executable, "-c", WITHOUT_RUNTIME, str(tmp_path / "model.onnx")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    differentiated, message = done.stdout.splitlines()
    assert differentiated == "True"
    for word in ("onnxruntime", "pip install", "onnxray[cpu]", "onnxray[gpu]"):
        assert word in message


# Files written ------------------------------------------------------------------------------------------------


def test_save_where_nothing_can_be_written(tmp_path: Path) -> None:
    ex = onnxray.Explainer(DENSE.proto())
    with fails(InputError, "nowhere", "written"):
        ex.save(tmp_path / "nowhere" / "explainer.onnx")
    with fails(InputError, str(tmp_path), "written"):
        ex.save(tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_file_without_permission(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    onnx.save(DENSE.proto(), file)
    file.chmod(0)
    with fails(ModelError, str(file), "Permission denied"):
        onnxray.load(file)
