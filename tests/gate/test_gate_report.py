"""The files of a comparison: the HTML page and JSON."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnxray
import pytest
from held_out import digits
from onnxray import Comparison, compare, models
from onnxray.gate.layers.randomise import randomised

DIGITS, CANCER = models.path("digits.onnx"), models.path("breast_cancer.onnx")
X = digits().unseen[:6, None].astype(np.float32) / 255


@pytest.fixture(scope="module")
def found() -> Comparison:
    bad = np.concatenate([X, X[:1] * np.nan])
    other = randomised(onnxray.load(DIGITS), 0, share=0.2)
    return compare(DIGITS, other, bad, calibrate=True, threads=1, steps=8)


@pytest.fixture(scope="module")
def page(found: Comparison, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return found.report(tmp_path_factory.mktemp("report"))


def test_the_page_needs_no_network(page: Path, found: Comparison) -> None:
    text = page.read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", text)
    assert not re.findall(r"url\((?!data:)|@import|<link|<script", text)
    assert len(text) < 3_000_000
    assert text.index("FAIL") < text.index("Distribution") < text.index("Worst samples") < text.index("Provenance")
    assert found.layers is not None
    assert "sample:6" in text
    assert ">saliency, input-x-gradient, integrated-gradients, grad-cam</td>" in text
    assert re.search(r">onnxray [\d.]+, onnxruntime", text)
    assert "None" not in text
    assert f'"broken">{found.layers.breaks}' in text


def test_names_are_escaped(tmp_path: Path) -> None:
    names = tmp_path / "<b>&.png"
    shutil.copy(models.path("digit.png"), names)
    text = compare(DIGITS, DIGITS, [names], methods="saliency").report(tmp_path).read_text()
    assert "&lt;b&gt;&amp;.png" in text
    assert "<b>&.png" not in text


def test_a_table_has_a_page_too(tmp_path: Path) -> None:
    page = compare(CANCER, CANCER, models.path("breast_cancer.csv"), methods=["saliency"]).report(
        tmp_path / "new" / "folder"
    )
    assert "PASS" in page.read_text()


def test_json(found: Comparison) -> None:
    record = json.loads(found.json_text())
    assert (record["verdict"], len(record["samples"]), len(record["failed"])) == ("fail", 6, 1)
    assert {"versions", "reference", "candidate", "seed", "methods"} <= set(record["provenance"])
