"""Weights beside a model: read from its own folder alone, whole and of the right size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxray
import onnxruntime
import pytest
from by_hand import model, normal
from failing import fails
from onnx import TensorProto, helper, numpy_helper
from onnxray import ModelError


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


def called(folder: Path, location: str, as_list: bool = False) -> Path:
    """y = f(x), where f is a function of the model with its weights, 5 x 3, in another file."""
    outer = onnx.load(external(folder, location), load_external_data=False)
    weights = outer.graph.initializer.pop()
    constant = helper.make_node("Constant", [], ["W"], value=weights)
    if as_list:  # no operator of the standard reads a list; what is in it may be no file of others either
        constant = helper.make_node("Both", [], ["W"], domain="local", both=[weights, weights])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("local", 1)]
    product = helper.make_node("MatMul", ["x", "W"], ["y"])
    outer.functions.append(helper.make_function("local", "f", ["x"], ["y"], [constant, product], opsets))
    outer.graph.node[0].CopyFrom(helper.make_node("f", ["x"], ["y"], domain="local"))
    outer.opset_import.append(opsets[1])
    file = folder / "model.onnx"
    file.write_bytes(outer.SerializeToString())
    return file


def test_external_data_of_a_function_is_read_from_the_models_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights, others = normal(5, 3), normal(5, 3, seed=1)
    file = called(tmp_path / "model", "weights.bin")
    (file.parent / "weights.bin").write_bytes(weights.tobytes())
    (tmp_path / "weights.bin").write_bytes(others.tobytes())
    monkeypatch.chdir(tmp_path)
    explainer = onnxray.Explainer(file)
    np.testing.assert_array_equal(explainer(normal(1, 5), target=2).values, weights.T[2:])
    saved = explainer.save(tmp_path / "explainer.onnx")
    (file.parent / "weights.bin").unlink()
    feeds = {"x": normal(1, 5), "target": np.array([2])}
    names = ["y", "attribution"]
    y, attribution = onnxruntime.InferenceSession(saved).run(names, feeds)
    np.testing.assert_array_equal(attribution, weights.T[2:])
    np.testing.assert_allclose(y, normal(1, 5) @ weights, rtol=1e-5)


@pytest.mark.parametrize("as_list", [False, True])
def test_external_data_of_a_function_outside_of_the_folder(tmp_path: Path, as_list: bool) -> None:
    (tmp_path / "secret.bin").write_bytes(normal(5, 3).tobytes())
    with fails(ModelError, "../secret.bin", "'W'", "folder"):
        onnxray.load(called(tmp_path / "model", "../secret.bin", as_list))


def test_large_external_data_of_a_branch(tmp_path: Path) -> None:
    """The checker would look for it in the current folder, and so would who runs the gradient."""
    weights = normal(5, 4000)
    proto = model(
        """net (float[N, 5] x, bool c) => (float[N, 4000] y) {
            y = If(c) < then_branch = a () => (float[N, 4000] z) { z = MatMul(x, W) },
                        else_branch = b () => (float[N, 4000] v) { v = Tile(s, r) } >
        }""",
        {"s": np.zeros((1, 4000), np.float32), "r": np.array([2, 1])},
    )
    tensor = TensorProto(name="W", dims=[5, 4000], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="weights.bin")
    proto.graph.node[0].attribute[0].g.initializer.append(tensor)
    (tmp_path / "weights.bin").write_bytes(weights.tobytes())
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    found = onnxray.differentiate(tmp_path / "model.onnx")
    x, seed = normal(2, 5), normal(2, 4000)
    feeds = {"x": x, "c": np.array(True), found.seeds["y"]: seed}
    (dx,) = onnxruntime.InferenceSession(found.model.SerializeToString()).run([found.gradients["x"]], feeds)
    np.testing.assert_allclose(dx, seed @ weights.T, rtol=1e-3, atol=1e-3)
