"""The files of a comparison: the HTML page, opened in a real browser, and JSON."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnxray
import pytest
from onnxray import Comparison, compare, models
from onnxray.gate.randomise import randomised
from onnxray.models.data import digits
from PIL import Image

DIGITS, CANCER = models.path("digits.onnx"), models.path("breast_cancer.onnx")
X = digits().unseen[:6, None].astype(np.float32) / 255
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FRAME = """<iframe id="f" src="report.html" style="width:360px;height:900px"></iframe><script>
document.getElementById("f").onload = function () {
  const page = this.contentDocument, broken = [...page.images].filter(i => !i.complete || !i.naturalWidth).length;
  document.title = JSON.stringify({wide: page.documentElement.scrollWidth, images: page.images.length, broken: broken,
    verdict: page.getElementById("verdict").innerText,
    top: page.getElementById("verdict").getBoundingClientRect().top});
};</script>"""


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
    assert f'"broken">{found.layers.breaks}' in text


@pytest.mark.skipif(BROWSER is None, reason="no chromium here to open the page with")
def test_a_browser_shows_it_on_a_phone(page: Path, tmp_path: Path) -> None:
    (page.parent / "frame.html").write_text(FRAME)
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--allow-file-access-from-files",
        f"--user-data-dir={tmp_path}",
    ]
    done = subprocess.run(
        [str(BROWSER), *options, "--virtual-time-budget=5000", "--dump-dom", f"file://{page.parent}/frame.html"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    title = re.search("<title>(.*?)</title>", done.stdout)
    assert title, done.stderr[-2000:]
    seen = json.loads(title[1])
    assert seen["wide"] <= 360
    assert seen["images"] >= 10
    assert seen["broken"] == 0
    assert seen["verdict"].startswith("FAIL")
    assert 0 < seen["top"] < 200
    shot = tmp_path / "page.png"
    subprocess.run(
        [str(BROWSER), *options, f"--screenshot={shot}", page.as_uri()], capture_output=True, timeout=120, check=True
    )
    assert len(np.unique(np.asarray(Image.open(shot).convert("RGB")).reshape(-1, 3), axis=0)) > 50


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
