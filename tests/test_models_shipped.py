"""The files under models/ are what their README says."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnxray.data.preprocess import Preprocess
from onnxray.errors import InputError
from onnxray.models import FILES, path

README = Path(__file__).parents[1] / "models" / "README.md"
MODELS = ("digits.onnx", "breast_cancer.onnx")


def row(name: str) -> list[str]:
    """The cells of a file's row in the README."""
    line = re.search(rf"^\| {re.escape(name)} \|.*$", README.read_text(), re.MULTILINE)
    assert line, f"models/README.md has no row for {name}"
    return [cell.strip() for cell in line[0].strip("|").split("|")]


def metadata(name: str) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(path(name)).metadata_props}


def logits(name: str, inputs: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path(name), providers=["CPUExecutionProvider"])
    (outputs,) = session.run(["logits"], {session.get_inputs()[0].name: inputs.astype(np.float32)})
    return np.asarray(outputs)


def labels(name: str) -> list[str]:
    return json.loads(metadata(name)["onnxray.labels"])


def rows() -> tuple[list[str], np.ndarray]:
    header, *values = csv.reader(path("breast_cancer.csv").read_text().splitlines())
    return header, np.array(values, dtype=np.float64)


def all_in(table: np.ndarray, values: np.ndarray) -> bool:
    return all((table == one).all(1).any() for one in values)


@pytest.mark.parametrize("name", FILES)
def test_the_file_is_the_one_in_the_readme(name):
    content = path(name).read_bytes()
    assert row(name)[-1] == f"`{hashlib.sha256(content).hexdigest()}`"
    assert len(content) < 200_000


def test_every_data_file_ships():
    kept = {file.name for file in README.parent.iterdir() if file.suffix in (".onnx", ".png", ".csv", ".txt")}
    assert kept == set(FILES)


def test_a_file_that_does_not_ship_is_refused():
    with pytest.raises(InputError, match=r"'resnet\.onnx' does not ship with onnxray; choose from"):
        path("resnet.onnx")


@pytest.mark.parametrize("name", MODELS)
def test_the_accuracy_is_the_one_in_the_readme(name):
    pytest.importorskip("sklearn")
    from onnxray.models import data

    split = data.digits() if name == "digits.onnx" else data.breast_cancer()
    inputs = split.unseen[:, None] / 255 if name == "digits.onnx" else split.unseen
    right = int((logits(name, inputs).argmax(1) == split.unseen_labels).sum())
    count = len(split.unseen_labels)
    assert row(name)[3] == f"{right / count:.4f} ({right} of {count})"


@pytest.mark.parametrize("name", MODELS)
def test_the_models_are_plain(name):
    model = onnx.load(path(name))
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == 10
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert [node.name for node in model.graph.node[:-1]] == [node.output[0] for node in model.graph.node[:-1]]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


def test_layers_have_the_names_of_their_kind():
    names = {node.name: node.op_type for node in onnx.load(path("digits.onnx")).graph.node}
    assert names["conv4"] == "Conv"
    assert names["relu4"] == "Relu"
    assert names["pool2"] == "MaxPool"
    assert names["fc"] == "Gemm"


def test_the_metadata_of_the_digits_leads_from_the_sample_to_its_label():
    preprocess = Preprocess.from_metadata(metadata("digits.onnx"))
    assert preprocess is not None
    assert preprocess == Preprocess(size=(28, 28), layout="NCHW", channels="L", range=(0, 1))
    batch = preprocess(path("digit.png"))
    assert batch.max() > 0.9
    assert batch[0, 0, 0].max() == 0  # white on black
    assert labels("digits.onnx") == path("digits.txt").read_text().split() == list("0123456789")
    assert labels("digits.onnx")[logits("digits.onnx", batch).argmax()] == "6"


def test_the_rows_of_the_table_are_told_apart():
    header, values = rows()
    assert header == json.loads(metadata("breast_cancer.onnx")["onnxray.features"])
    assert values.shape == (2, 30)
    found = [labels("breast_cancer.onnx")[k] for k in logits("breast_cancer.onnx", values).argmax(1)]
    assert found == ["malignant", "benign"]


def test_the_samples_were_held_out():
    pytest.importorskip("sklearn")
    from onnxray.models import data

    _, values = rows()
    table = data.breast_cancer()
    assert all_in(table.unseen, values)
    assert not all_in(table.inputs, values)
    picture = Preprocess(channels="L", range=(0, 255))(path("digit.png"))[0, 0]
    assert (data.digits().unseen == picture).all((1, 2)).sum() == 1
    assert rows()[0] == data.feature_names()
