"""Both pages in a real browser, as wide as a phone and as a desk: nothing is cut off, and no picture is broken."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnxray
import pytest
from browsing import DESK, PHONE, browse, needs_browser, seen
from held_out import digits
from onnxray import compare, evaluate, models
from onnxray.gate.layers.randomise import randomised
from PIL import Image

pytestmark = [pytest.mark.slow, needs_browser]
DIGITS = models.path("digits.onnx")
X = digits().unseen[:6, None].astype(np.float32) / 255
TABLE = """
    head: at(page.querySelector("#summary tr")).height,
    cells: [...page.querySelectorAll("#summary tr:nth-child(2) td")].map(one => one.innerText.trim().split(/\\s+/)),
    before: this.contentWindow.getComputedStyle(page.querySelector("#summary td + td"), "::before").content,
    columns: new Set([...page.querySelectorAll("#summary tr:nth-child(2) td")].map(one => Math.round(at(one).left)))
      .size,
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of both pages, with four methods, a skipped sample, layers and a calibration."""
    folder, bad = tmp_path_factory.mktemp("pages"), np.concatenate([X, X[:1] * np.nan])
    compare(DIGITS, randomised(onnxray.load(DIGITS), 0, share=0.2), bad, calibrate=True, threads=1, steps=8).report(
        folder
    )
    evaluate(DIGITS, bad, threads=1, steps=8).report(folder)
    return folder


@pytest.mark.parametrize("page", ["report", "evaluation"])
def test_a_phone_shows_all_without_a_swipe(page: str, pages: Path, tmp_path: Path) -> None:
    found = seen(pages / f"{page}.html", PHONE, tmp_path, TABLE)
    assert (found["wide"], found["over"], found["swiped"]) == (PHONE, [], 0)
    assert found["head"] == 0  # its names stand above the numbers
    assert found["before"] == '"saliency"'
    assert found["columns"] == 2
    assert found["smallest"] >= 12
    assert found["broken"] == 0
    assert found["images"] >= 5


@pytest.mark.parametrize("page", ["report", "evaluation"])
def test_a_desk_has_one_table(page: str, pages: Path, tmp_path: Path) -> None:
    found = seen(pages / f"{page}.html", DESK, tmp_path, TABLE)
    assert (found["wide"], found["over"], found["swiped"], found["broken"]) == (DESK, [], 0, 0)
    assert found["head"] > 10
    assert found["before"] == "none"
    assert found["columns"] == 5
    assert all(re.fullmatch(r"−?\d\.\d{3}", cell[0]) for cell in found["cells"][1:])


def test_the_verdict_is_on_top(pages: Path, tmp_path: Path) -> None:
    found = seen(pages / "report.html", PHONE, tmp_path, TABLE)
    assert found["verdict"].startswith("FAIL")
    assert 0 < found["top"] < 200


@pytest.mark.parametrize("page", ["report", "evaluation"])
def test_it_is_drawn(page: str, pages: Path, tmp_path: Path) -> None:
    shot = tmp_path / "page.png"
    browse(f"--screenshot={shot}", "--window-size=1280,2000", (pages / f"{page}.html").as_uri(), profile=tmp_path)
    assert len(np.unique(np.asarray(Image.open(shot).convert("RGB")).reshape(-1, 3), axis=0)) > 50
