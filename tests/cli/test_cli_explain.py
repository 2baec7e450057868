"""`onnxray explain`: what it prints and writes for pictures, tables and arrays."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import onnx
import pytest
from cli_tools import CANCER, DIGIT, DIGITS, ROWS, last_convolution, one_line, records
from onnxray import Attribution, Explainer
from onnxray.cli.app import run
from onnxray.drawing.styles import STYLES
from PIL import Image

pytestmark = pytest.mark.usefixtures("elsewhere")


def table() -> list[list[str]]:
    return list(csv.reader(Path(ROWS).read_text().splitlines()))


def test_explain_prints_one_record_per_image(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", DIGITS, DIGIT, DIGIT, "--json", "--npz", "--out", "o"]) == 0
    first, second = records(capsys.readouterr().out)
    assert list(first) == ["image", "method", "target", "label", "explained", "score", "files", "scale"]
    assert (first["image"], first["method"], first["label"]) == (DIGIT, "saliency", str(first["target"]))
    assert first["files"] == ["o/digit-saliency.png", "o/digit-saliency.npz"]
    assert second["files"] == ["o/digit-2-saliency.png", "o/digit-2-saliency.npz"]
    kept, direct = Attribution.load(first["files"][1]), Explainer(DIGITS)(DIGIT)
    np.testing.assert_array_equal(np.asarray(kept.values), np.asarray(direct.values))
    assert first["score"] == pytest.approx(float(direct.score[0]))


def test_explain_prints_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", DIGITS, DIGIT, "-m", "grad-cam", "--target", "3"]) == 0
    out, err = capsys.readouterr()
    assert "class 3, score " in out
    assert "-> out/digit-grad-cam.png" in out
    assert err == ""


def test_methods_options_reach_the_method(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["-m", "integrated-gradients", "--steps", "7", "--rule", "inclusive", "--baseline", "0.5", "--json"]
    assert run(["explain", DIGITS, DIGIT, *arguments]) == 0
    (record,) = records(capsys.readouterr().out)
    direct = Explainer(DIGITS, "integrated-gradients", steps=7, rule="inclusive", baseline=0.5)(DIGIT)
    assert direct.delta is not None
    assert record["delta"] == pytest.approx(float(direct.delta[0]), abs=1e-5)


@pytest.mark.parametrize("method", ["occlusion", "smoothgrad", "smoothgrad of another", "grad-cam", "lrp"])
def test_options_with_lists_switches_and_defaults(method: str) -> None:
    options = {
        "occlusion": ["--window", "1,9,9", "--stride", "5", "--overlap", "sum"],
        "smoothgrad": ["--samples", "3", "--noise", "0.1", "--seed", "1", "--memory", "10MB", "--threads", "1"],
        "smoothgrad of another": ["--samples", "2", "--of", "input-x-gradient", "--statistic", "variance"],
        "lrp": ["--composite", "epsilon-gamma-box"],
        "grad-cam": ["--layer", last_convolution(), "--no-relu"],
    }[method]
    assert run(["explain", DIGITS, DIGIT, "-m", method.split()[0], *options]) == 0


@pytest.mark.parametrize("style", STYLES)
def test_styles(style: str) -> None:
    assert run(["explain", DIGITS, DIGIT, "--style", style, "--palette", "bwr", "--reduce", "sum"]) == 0
    width, height = Image.open("out/digit-saliency.png").size
    assert width > 2 * height if style in ("figure", "grid") else width == height == 224


def test_table_rows_are_ranked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", CANCER, ROWS, "-m", "integrated-gradients", "--json"]) == 0
    found = records(capsys.readouterr().out)
    assert [record["row"] for record in found] == [0, 1]
    assert [record["label"] for record in found] == ["malignant", "benign"]
    sizes = [abs(feature["attribution"]) for feature in found[0]["features"]]
    assert sizes == sorted(sizes, reverse=True)
    assert {feature["name"] for feature in found[0]["features"]} == set(table()[0])
    assert all(Path(file).is_file() for record in found for file in record["files"])


def test_table_text_names_the_strongest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", CANCER, ROWS, "--target", "benign"]) == 0
    text = capsys.readouterr().out
    assert text.count("and 20 smaller ones") == 2
    assert text.count("benign (1)") == 2


def test_table_columns_go_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    rows = table()
    with Path("turned.csv").open("w", newline="") as file:
        csv.writer(file).writerows([*row[::-1], "label" if k == 0 else "text"] for k, row in enumerate(rows))
    assert run(["explain", CANCER, ROWS, "turned.csv", "--json"]) == 0
    found = records(capsys.readouterr().out)
    assert [record["score"] for record in found[:2]] == [record["score"] for record in found[2:]]


def test_arrays_single_and_batch(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    np.save("one.npy", rng.random((1, 28, 28), np.float32))
    np.savez("two.npz", image=rng.random((2, 1, 28, 28)))
    assert run(["explain", DIGITS, "one.npy", "two.npz", "--json"]) == 0
    files = [file for record in records(capsys.readouterr().out) for file in record["files"]]
    assert files == ["out/one-saliency.png", "out/two-row0-saliency.png", "out/two-row1-saliency.png"]


def test_several_inputs_are_on_one_page(capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [
        onnx.helper.make_node("ReduceMean", ["a"], ["m"], keepdims=0, axes=[1, 2, 3]),
        onnx.helper.make_node("ReduceSum", ["b"], ["s"], keepdims=0, axes=[1]),
        onnx.helper.make_node("Mul", ["m", "s"], ["p"]),
        onnx.helper.make_node("Unsqueeze", ["p"], ["y"], axes=[1]),
    ]
    shapes = {"a": ["N", 3, 8, 8], "b": ["N", 5], "y": ["N", 1]}
    a, b, y = (onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items())
    graph = onnx.helper.make_graph(nodes, "two", [a, b], [y])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)], ir_version=8), "two.onnx")
    rng = np.random.default_rng(0)
    np.savez("both.npz", a=rng.random((2, 3, 8, 8)), b=rng.random((2, 5)))
    assert run(["explain", "two.onnx", "both.npz", "--json", "--npz"]) == 0
    first, _ = records(capsys.readouterr().out)
    names = ["both-row0-saliency.png", "both-row0-saliency.npz"]
    assert first["files"] == [f"out/{name}" for name in names]
    np.savez("one.npz", a=rng.random((2, 3, 8, 8)))
    assert "no array for input b" in one_line(["explain", "two.onnx", "one.npz"], capsys)
