"""`onnxray save --check`: what each runtime makes of a saved file, and what a file says of itself."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from driven_browser import needs_driver
from in_chromium import Chromium, chromium
from onnxray import models
from onnxray.cli.app import run
from onnxray.diagnostics import other_runtimes
from onnxray.diagnostics.other_runtimes import RUNTIMES, Run, run_on
from onnxray.diagnostics.portability import portability, truth_of
from onnxray.errors import ExecutionError

DIGITS = str(models.path("digits.onnx"))
PAGE = Path(__file__).parents[2] / "docs" / "portability.md"
FEEDS = {"image": np.random.default_rng(0).random((1, 1, 28, 28), np.float32), "target": np.array([3])}


@pytest.fixture
def only_onnxruntime(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No other runtime is installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(other_runtimes, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    return tmp_path


def test_metadata_name_all_that_a_reader_needs(tmp_path: Path) -> None:
    file, labels = tmp_path / "explainer.onnx", tmp_path / "labels.txt"
    labels.write_text("\n".join(f"digit {k}" for k in range(10)))
    command = ["save", DIGITS, str(file), "--method", "grad-cam", "--preprocess", "unit,channels=L,size=28x28"]
    assert run([*command, "--labels", str(labels)]) == 0
    held = {one.key: one.value for one in onnx.load(file).metadata_props}
    assert held["onnxray.method"].startswith("GradCam(")
    assert (held["onnxray.score"], held["onnxray.target"]) == ("logit", "target")
    assert held["onnxray.layer"] in {node.output[0] for node in onnx.load(DIGITS).graph.node}
    assert held["onnxray.model"] == onnxray.load(DIGITS).digest
    assert held["onnxray.version"] == importlib.metadata.version("onnxray")
    again = onnxray.load(file)
    assert onnxray.Preprocess.from_metadata(again.metadata) == onnxray.Preprocess.preset(
        "unit", channels="L", size=(28, 28)
    )
    assert again.labels is not None
    assert again.labels[3] == "digit 3"


def test_what_is_not_installed_is_named(only_onnxruntime: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["save", DIGITS, str(only_onnxruntime / "explainer.onnx"), "--check"]) == 0
    told = capsys.readouterr().out
    assert told.count(" ok") == 1
    assert "not installed; pip install openvino" in told
    assert told.count("Node is not installed") == 2


def test_a_runtime_that_gives_other_maps_fails(
    only_onnxruntime: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = RUNTIMES["onnxruntime"]

    def wrong(*given: Any) -> Run:
        found = real(*given)
        return Run(found.outputs | {"attribution": found.outputs["attribution"] * 1.01}, found.seconds, "9")

    monkeypatch.setattr(other_runtimes, "RUNTIMES", {**RUNTIMES, "OpenVINO": wrong})
    assert run(["save", DIGITS, str(only_onnxruntime / "explainer.onnx"), "--check"]) == 1
    assert "1.0e-02" in (told := capsys.readouterr().out)
    assert "WRONG" in told


def test_an_input_without_evidence_is_said(tmp_path: Path) -> None:
    file = onnxray.Explainer(DIGITS, "input-x-gradient").save(tmp_path / "explainer.onnx")
    (one,) = portability(file, FEEDS | {"image": np.zeros((1, 1, 28, 28), np.float32)}, runtimes=["onnxruntime"])
    assert "zero everywhere" in one.note


def test_saved_files_gate_images_without_where(tmp_path: Path) -> None:
    """onnxruntime's Where takes half of the time of a file that has it."""
    file = onnxray.Explainer(DIGITS, "saliency").save(tmp_path / "explainer.onnx")
    gradient = [node.op_type for node in onnx.load(file).graph.node if node.name.startswith("grad/")]
    assert "Where" not in gradient
    assert gradient.count("Greater") == sum(node.op_type == "Relu" for node in onnx.load(DIGITS).graph.node)


def test_all_runtimes_explain_the_class_that_is_the_truths(tmp_path: Path) -> None:
    """Scores that are close may change places on another runtime; a class that was asked for stays."""
    file = onnxray.Explainer(DIGITS, "saliency").save(tmp_path / "explainer.onnx")
    feeds, truth = truth_of(file, FEEDS | {"target": np.array([-1])})
    scores = next(array for name, array in truth.items() if array.shape == (1, 10))
    assert feeds["target"].tolist() == [int(scores.argmax())]
    assert truth_of(file, FEEDS)[0]["target"].tolist() == [3]


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients"])
def test_openvino_gives_the_same(method: str, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    options = {"steps": 3} if method == "integrated-gradients" else {}
    file = onnxray.Explainer(DIGITS, method, **options).save(tmp_path / "explainer.onnx")
    found = portability(file, FEEDS, runs=1, runtimes=["onnxruntime", "OpenVINO"])
    assert [one.agrees for one in found] == [True, True]
    assert max(one.attribution or 0 for one in found) < 1e-4


def test_what_openvino_refuses_is_one_line(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]> net (float[2, 3] x, int64[N] axes) => (float[A, B] y)'
        "{ y = ReduceSum(x, axes) }"
    )
    onnx.save(model, tmp_path / "open.onnx")
    with pytest.raises(ExecutionError, match=r"^refuses ReduceSum-18$"):
        run_on("OpenVINO", tmp_path / "open.onnx", {"x": np.zeros((2, 3), np.float32)}, ["y"])


def row_of(architecture: str, method: str) -> list[str]:
    """The cells of a row of the page: the method, then the runtimes in the order of its columns."""
    part = PAGE.read_text().partition(f"## {architecture}\n")[2].partition("\n## ")[0]
    row = next(line for line in part.splitlines() if line.startswith(f"| {method} |"))
    return [one.strip() for one in row.strip("|").split("|")]


def agrees(cell: str) -> bool:
    """Whether a cell is a number without the mark of one that is too large."""
    return re.fullmatch(r"\de[+-]\d\d|zero", cell) is not None


EVERY_CELL = [
    pytest.mark.slow,
    pytest.mark.parametrize(
        "architecture", ["CNN (ResNet)", "MobileNetV2", "ViT", "detector (YOLOv8)", "LSTM", "int8 CNN (QDQ)"]
    ),
    pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "grad-cam", "occlusion"]),
]


def test_the_page_has_every_cell_and_the_words_of_its_generator() -> None:
    import portability_table

    page = PAGE.read_text(encoding="utf-8")
    assert page.startswith(portability_table.HEAD)
    assert page.endswith(portability_table.TAIL + "\n")
    for architecture in portability_table.ARCHITECTURES:
        for method in portability_table.METHODS:
            assert len(row_of(architecture, method)) == 1 + len(portability_table.COLUMNS)


class TestEveryCell:
    """Method by net, in one browser with one page; each file is made once for all runtimes."""

    pytestmark = EVERY_CELL

    @needs_driver
    def test_chromium_gives_the_same(self, architecture: str, method: str, browser: Chromium) -> None:
        import portability_table

        cell, made = row_of(architecture, method)[-1], portability_table.saved(architecture, method, browser.folder)
        if made is None:
            assert cell == "-"
            return
        found = browser.checked(*made)
        assert found.agrees, found
        assert agrees(cell)

    def test_the_page_says_which_files_openvino_runs(self, architecture: str, method: str, tmp_path: Path) -> None:
        pytest.importorskip("openvino", reason="OpenVINO is not installed")
        import portability_table

        cell, made = row_of(architecture, method)[2], portability_table.saved(architecture, method, tmp_path)
        if made is None:
            assert cell == "-"
            return
        found = portability(*made, runs=1, runtimes=("onnxruntime", "OpenVINO"))
        assert found[0].agrees
        assert agrees(cell) == found[1].agrees, (cell, found)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with chromium(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.mark.slow
@pytest.mark.parametrize("package", ["onnxruntime-node", "onnxruntime-web"])
def test_node_gives_the_same(package: str, tmp_path: Path) -> None:
    """In a folder with node_modules, as the page says."""
    if shutil.which("node") is None or not (Path.cwd() / "node_modules" / package).is_dir():
        pytest.skip(f"{package} is not in node_modules of this folder")
    file = onnxray.Explainer(DIGITS, "integrated-gradients", steps=3).save(tmp_path / "explainer.onnx")
    (one,) = portability(file, FEEDS, runs=1, runtimes=[package])
    assert one.agrees, json.dumps(one.__dict__)
