"""Files that hold no model, or an invalid one, and places where nothing can be written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import CONV, DENSE, model
from failing import fails
from onnxray import ModelError, OutputError


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


def test_save_where_nothing_can_be_written(tmp_path: Path) -> None:
    ex = onnxray.Explainer(DENSE.proto())
    with fails(OutputError, "nowhere", "written"):
        ex.save(tmp_path / "nowhere" / "explainer.onnx")
    with fails(OutputError, str(tmp_path), "written"):
        ex.save(tmp_path)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_file_without_permission(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    onnx.save(DENSE.proto(), file)
    file.chmod(0)
    with fails(ModelError, str(file), "Permission denied"):
        onnxray.load(file)
