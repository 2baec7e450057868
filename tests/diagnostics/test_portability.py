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
from onnxray.diagnostics.portability import AGREES, ROUNDS, portability
from onnxray.errors import ExecutionError
from onnxray.runtime import open_session
from onnxray.support.distance import relative_l2

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


@pytest.mark.slow
@pytest.mark.parametrize(
    "architecture", ["CNN (ResNet)", "MobileNetV2", "ViT", "detector (YOLOv8)", "LSTM", "int8 CNN (QDQ)"]
)
@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "grad-cam", "occlusion"])
def test_the_page_says_which_files_openvino_runs(architecture: str, method: str, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    import portability_table

    assert architecture in portability_table.ARCHITECTURES
    found = portability_table.checked(architecture, method, tmp_path, ("onnxruntime", "OpenVINO"))
    part = PAGE.read_text().partition(f"## {architecture}\n")[2].partition("\n## ")[0]
    row = next(line for line in part.splitlines() if line.startswith(f"| {method} |")).split("|")
    if found is None:
        assert row[3].strip() == "-"
        return
    assert found[0].agrees
    listed = re.fullmatch(r" \de[+-]\d\d ", row[3]) is not None  # a number without the mark of one that is too large
    assert listed == found[1].agrees, (row, found)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with chromium(tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.mark.slow
@needs_driver
@pytest.mark.parametrize(
    "architecture", ["CNN (ResNet)", "MobileNetV2", "ViT", "detector (YOLOv8)", "LSTM", "int8 CNN (QDQ)"]
)
@pytest.mark.parametrize("method", ["saliency", "integrated-gradients"])
def test_chromium_gives_the_same(architecture: str, method: str, browser: Chromium) -> None:
    """The files of the page, by its rule, on onnxruntime-web in a browser."""
    import portability_table

    made = portability_table.saved(architecture, method, browser.folder)
    assert made is not None
    file, feeds = made
    names = [value.name for value in onnx.load(file).graph.output]
    truth = open_session(file, threads=1, optimization="off").run(feeds, names)
    found = browser.run(file, feeds, names)
    maps = [name for name in names if name.startswith("attribution")]
    own = [name for name in names if name not in (*maps, "score")]
    off, apart = (
        relative_l2([found[one] for one in some], [truth[one].ravel() for one in some]) for some in (maps, own)
    )
    assert off <= max(AGREES, ROUNDS * apart), (off, apart)


@pytest.mark.slow
@pytest.mark.parametrize("package", ["onnxruntime-node", "onnxruntime-web"])
def test_node_gives_the_same(package: str, tmp_path: Path) -> None:
    """In a folder with node_modules, as the page says."""
    if shutil.which("node") is None or not (Path.cwd() / "node_modules" / package).is_dir():
        pytest.skip(f"{package} is not in node_modules of this folder")
    file = onnxray.Explainer(DIGITS, "integrated-gradients", steps=3).save(tmp_path / "explainer.onnx")
    (one,) = portability(file, FEEDS, runs=1, runtimes=[package])
    assert one.agrees, json.dumps(one.__dict__)
