"""Weights beside a model: read from its own folder alone, whole and of the right size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxray
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
