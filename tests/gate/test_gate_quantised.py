"""The real case: a float model quantised three ways, and a real int8 classifier against its own float form."""

from __future__ import annotations

import logging
import runpy
from pathlib import Path
from typing import Any

import onnxray
import pytest
from kernels import exact_products
from onnxray.gate.layers.dequantise import dequantised
from PIL import Image

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
QDQ = DATA / "onnx" / "mobilenetv2like_qdq_244.onnx"
RECIPE = onnxray.Preprocess.preset("imagenet", size=(244, 244))


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "examples" / "int8_gate.py"))


@pytest.fixture(scope="module")
def found(example: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, onnxray.Comparison]:
    logging.disable(logging.WARNING)
    files = example["build"](tmp_path_factory.mktemp("int8"))
    logging.disable(logging.NOTSET)
    return {name: example["gate"](file, 8) for name, file in files.items()}


def test_the_gate_passes_the_good_and_fails_the_damaged(found: dict[str, onnxray.Comparison]) -> None:
    assert {name: one.verdict for name, one in found.items()} == {"good": "pass", "poor": "fail", "damaged": "fail"}
    assert {name: one.exit_code for name, one in found.items()} == {"good": 0, "poor": 1, "damaged": 1}


def test_the_report_names_the_damaged_layer(
    found: dict[str, onnxray.Comparison], example: dict[str, Any], tmp_path: Path
) -> None:
    breaks = {name: one.layers.breaks for name, one in found.items() if one.layers}
    assert breaks == {"good": None, "poor": "relu1", "damaged": example["DAMAGED"]}
    text = found["damaged"].report(tmp_path, worst=1).read_text()
    assert f'Evidence breaks first at layer <span class="broken">{example["DAMAGED"]}</span>' in text


def test_the_loss_of_quantised_tensors(found: dict[str, onnxray.Comparison]) -> None:
    good, damaged = found["good"].layers, found["damaged"].layers
    assert good is not None
    assert damaged is not None
    assert {one.kind for one in good.tensors} == {"weights", "activation"}
    assert max(one.loss for one in good.tensors) < 0.03
    assert (damaged.tensors[0].layer, damaged.tensors[0].kind) == ("conv3", "weights")


def test_the_calibration_tells_drift_of_evidence_from_noise(found: dict[str, onnxray.Comparison]) -> None:
    calibration = found["good"].calibration
    assert calibration is not None
    assert min(calibration.scores.values()) > 0.8


@pytest.mark.skipif(not QDQ.is_file(), reason="the real int8 classifier of shared/data is not here")
def test_a_real_int8_classifier_against_its_float_form(capsys: pytest.CaptureFixture[str]) -> None:
    deployed = exact_products(QDQ)
    photographs = [file for file in sorted((DATA / "images").iterdir()) if min(Image.open(file).size) > 100]
    assert len(photographs) >= 8
    found = onnxray.compare(
        dequantised(deployed), deployed, photographs, preprocess=RECIPE, calibrate=True,
        methods=["saliency", "input-x-gradient", "grad-cam"],
    )  # fmt: skip
    assert (len(found.rows), found.failed) == (len(photographs), ())
    assert found.passed, [str(check) for check in found.checks]
    assert found.exit_code == 0
    assert found.calibration is not None
    assert min(found.calibration.scores.values()) > 0.6
    assert found.value("outputs", "top1") > 0.8
    assert found.value("grad-cam", "cosine") > 0.95
    assert found.layers is not None
    assert found.layers.breaks is None
    assert len(found.layers.layers) > 90
    assert {one.kind for one in found.layers.tensors} == {"weights", "activation"}
