"""Large weights are read beside the message, and whatever a file does with them, the model is that of the message."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.helper import make_tensor
from onnxray.errors import ModelError
from onnxray.loading import weights_apart
from onnxray.loading.load import load
from onnxray.loading.weights_apart import parsed_apart

W = np.random.default_rng(0).normal(size=(300, 64)).astype(np.float32)  # 75 KB
TEXT = """<ir_version: 8, opset_import: ["" : 18]>
net (float[n, 64] x) => (float[n, 300] y) { t = Transpose <perm = [1, 0]> (w) y = MatMul (x, t) }"""


def model(*weights: onnx.TensorProto) -> onnx.ModelProto:
    proto = onnx.parser.parse_model(TEXT)
    proto.graph.initializer.extend(weights)
    return proto


def raw(array: np.ndarray = W, name: str = "w") -> onnx.TensorProto:
    return onnx.numpy_helper.from_array(array, name)


def told(tensor: onnx.TensorProto, **fields: object) -> onnx.TensorProto:
    for name, value in fields.items():
        setattr(tensor, name, value)
    return tensor


def with_branches() -> onnx.ModelProto:
    """A branch of an If that has a weight of the same name as the graph."""
    proto, branch = (
        model(raw()),
        onnx.parser.parse_graph("b () => (float[64, 300] z) { z = Transpose <perm = [1, 0]> (w) }"),
    )
    branch.initializer.append(raw(W + 1))
    choice = onnx.helper.make_node("If", ["c"], ["t"], then_branch=branch, else_branch=branch)
    proto.graph.node[0].CopyFrom(choice)
    proto.graph.initializer.append(raw(np.array(True), "c"))
    return proto


TAKEN = {
    "float32": model(raw()).SerializeToString(),
    "float64": model(raw(W.astype(np.float64), "v"), raw()).SerializeToString(),
    "beside small ones": model(raw(W[:2], "v"), raw(), raw(W[:1], "u")).SerializeToString(),
    "the graph in two pieces": model().SerializeToString()
    + onnx.ModelProto(graph=onnx.GraphProto(initializer=[raw(W + 1, "v"), raw()])).SerializeToString(),
    "unknown fields": model(raw()).SerializeToString() + b"\xf8\x07\x05" + b"\xfd\x07abcd" + b"\xf9\x07abcdefgh",
    "in a branch, too": with_branches().SerializeToString(),
}
LEFT = {
    "no large ones": model(raw(W[:200])).SerializeToString(),
    "not as bytes": model(make_tensor("w", 1, W.shape, W.reshape(-1))).SerializeToString(),
    "bfloat16": model(told(raw(W.astype(np.float16)), data_type=onnx.TensorProto.BFLOAT16)).SerializeToString(),
    "two of one name": model(raw(), raw(W + 1)).SerializeToString(),
    "too many numbers": model(told(raw(), raw_data=W.tobytes() + b"1234")).SerializeToString(),
    "in no file": model(told(raw(), data_location=onnx.TensorProto.EXTERNAL)).SerializeToString(),
    "no type": model(told(raw(), data_type=77)).SerializeToString(),
    "cut": model(raw()).SerializeToString()[:-9],
    "a length beyond the end": model(raw()).SerializeToString() + b"\x3a\xff\xff\xff\xff\x0f",
    "a number without an end": model(raw()).SerializeToString() + b"\xff" * 12,
    "a group": model(raw()).SerializeToString() + b"\x0b\x0c",
}


def result(source: bytes | onnx.ModelProto | str) -> str:
    """The digest of the model, or what is wrong with it."""
    try:
        return load(source).digest
    except ModelError as error:
        return str(error).partition(": ")[2]


@pytest.mark.parametrize("kind", TAKEN)
def test_large_weights_are_read_apart(kind: str, tmp_path: Path) -> None:
    content = TAKEN[kind]
    found = parsed_apart(io.BytesIO(content))
    assert found is not None
    message, weights = found
    assert np.array_equal(weights["w"].numpy(), W)
    assert weights["w"].numpy().flags.aligned
    assert message.ByteSize() < len(content) - sum(weight.nbytes for weight in weights.values()) + 200
    (tmp_path / "model.onnx").write_bytes(content)
    assert (
        load(content).digest == load(tmp_path / "model.onnx").digest == load(onnx.ModelProto.FromString(content)).digest
    )


@pytest.mark.filterwarnings("ignore:the file declares")
@pytest.mark.parametrize("kind", LEFT)
def test_others_are_left_to_the_parser(kind: str) -> None:
    found = parsed_apart(io.BytesIO(LEFT[kind]))
    assert found is None or found[1] == {}
    try:
        whole: onnx.ModelProto | None = onnx.ModelProto.FromString(LEFT[kind])
    except Exception:  # noqa: BLE001  protobuf's own, of any of its implementations
        whole = None
    assert result(LEFT[kind]) == (
        result(whole) if whole else f"not an ONNX model, or a truncated one ({len(LEFT[kind]):,} bytes)"
    )


def test_a_file_of_very_many_fields_is_left_to_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the model, of the graph and of a weight: each field takes Python a microsecond or more."""
    monkeypatch.setattr(weights_apart, "_MOST", 40)
    assert parsed_apart(io.BytesIO(TAKEN["unknown fields"])) is not None
    of_graph, of_weight = model(raw()), model(raw())
    of_graph.graph.value_info.extend(onnx.ValueInfoProto(name=str(k)) for k in range(50))
    of_weight.graph.initializer[0].external_data.extend(onnx.StringStringEntryProto(key=str(k)) for k in range(50))
    of_model = model(raw()).SerializeToString() + b"\xf8\x07\x05" * 50
    for content in (of_model, of_graph.SerializeToString(), of_weight.SerializeToString()):
        assert parsed_apart(io.BytesIO(content)) is None
