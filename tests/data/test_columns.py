"""Tables are read by the names of their columns, which converted scikit-learn models keep."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxray
import onnxray.converters
import pytest
from by_hand import model
from onnxray.data.files import read_given
from onnxray.samples.sample_set import open_samples

NAMES = ["a", "b", "c"]


def table(names: list[str] | None) -> onnxray.Model:
    proto = model("net (float[N, 3] x) => (float[N, 3] y) { y = Identity(x) }")
    if names:
        proto.metadata_props.add(key="onnxray.features", value=json.dumps(names))
    return onnxray.load(proto)


def rows(net: onnxray.Model, file: Path, text: str) -> list[list[list[float]]]:
    """The inputs that `explain` and `compare` read."""
    file.write_text(text)
    compared = np.concatenate([sample.load() for sample in open_samples(file, net)])
    return [read_given(net, file).inputs.tolist(), compared.tolist()]


def test_columns_in_another_order(tmp_path: Path) -> None:
    for text in ("c,a,b\n3,1,2\n", "c, a ,b\n3,1,2\n", "label,c,a,b\n9,3,1,2\n"):
        assert rows(table(NAMES), tmp_path / "t.csv", text) == [[[1, 2, 3]]] * 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "has no column 'c', which the model takes"),
        ("a,b,c,d\n1,2,3,4\n", "has a column 'd', which the model does not take; remove it"),
        (",a,b,c\n0,1,2,3\n0,4,5,6\n", "has a column '', which the model does not take"),
        ("id,a,b,c\n0.5,1,2,3\n", "has a column 'id', which the model does not take"),
        ("a,b,c,b\n1,2,3,4\n", "has several columns 'b'"),
        ("1,2,3\n4,5,6\n", "has no column 'a', 'b', 'c'"),
    ],
)
def test_columns_that_the_model_does_not_take(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text(text)
    for read in (read_given, lambda net, path: open_samples(path, net)):
        with pytest.raises(onnxray.InputError, match=said):
            read(table(NAMES), file)


@pytest.mark.parametrize("name", ["", "id", "Index", "Unnamed: 0"])
@pytest.mark.parametrize("names", [NAMES, None])
def test_a_column_that_counts_the_rows_is_left_out(name: str, names: list[str] | None, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=f"t.csv: the column {name!r} counts the rows, and is left out"):
        found = rows(table(names), tmp_path / "t.csv", f"{name},a,b,c,label\n7,1,2,3,0\n8,4,5,6,1\n")
    assert found == [[[1, 2, 3], [4, 5, 6]]] * 2


def test_a_column_that_counts_the_rows_stays_if_the_model_takes_it(tmp_path: Path) -> None:
    assert rows(table(None), tmp_path / "t.csv", "id,b,c\n0,1,2\n1,3,4\n") == [[[0, 1, 2], [1, 3, 4]]] * 2
    assert rows(table(["id", "b", "c"]), tmp_path / "t.csv", "b,id,c\n0,1,2\n1,3,4\n") == [[[1, 0, 2], [3, 1, 4]]] * 2
    assert rows(table(None), tmp_path / "t.csv", "a,b,y\n0,1,2\n") == [[[0, 1, 2]]] * 2


def test_without_names_in_the_model(tmp_path: Path) -> None:
    for text in ("c,a,b\n3,1,2\n", "0,1,2\n3,1,2\n", "\nc,a,b\n\n3,1,2\n\n"):
        assert rows(table(None), tmp_path / "t.csv", text) == [[[3, 1, 2]]] * 2
    for text, said in (
        ("1.5,2,3\n4,5,6\n", "numbers in its first line, where the names"),
        ("1,1,3\n4,5,6\n", "numbers in its first line, where the names"),
        ("a;b;c\n1,5;2;3\n", "no commas between its columns but ';'; save it with commas"),
        ("a\tb\tc\n1\t2\t3\n", "no commas between its columns but '\\\\t'"),
    ):
        (tmp_path / "t.csv").write_text(text)
        for read in (read_given, lambda net, path: open_samples(path, net)):
            with pytest.raises(onnxray.InputError, match=said):
                read(table(None), tmp_path / "t.csv")


def test_a_column_of_classes_is_left_out_with_a_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,c,label\n1,2,3,0\n")
    with pytest.warns(UserWarning, match="t.csv: the column 'label' holds classes, and is left out"):
        assert read_given(table(None), tmp_path / "t.csv").inputs.tolist() == [[1, 2, 3]]


def test_scikit_learn_keeps_features_and_classes() -> None:
    """A fit on a data frame sets ``feature_names_in_``; of a pipeline it is that of the first step."""
    linear, pipeline = pytest.importorskip("sklearn.linear_model"), pytest.importorskip("sklearn.pipeline")
    x = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    fitted = linear.LogisticRegression().fit(x, np.where(x[:, 0] > 0, "yes", "no"))
    fitted.feature_names_in_ = np.array(NAMES, object)
    for estimator in (fitted, pipeline.make_pipeline(fitted)):
        net = onnxray.load(onnxray.converters.to_onnx(estimator))
        assert json.loads(net.metadata["onnxray.features"]) == NAMES
        assert net.labels == ["no", "yes"]
    bare = onnxray.load(onnxray.converters.to_onnx(linear.LinearRegression().fit(x, x[:, 0])))
    assert not {"onnxray.features", "onnxray.labels"} & set(bare.metadata)
