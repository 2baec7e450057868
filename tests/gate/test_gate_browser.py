"""Both pages in a real browser, as wide as a phone and as a desk: nothing is cut off, and no picture is broken."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import pytest
from held_out import digits
from onnxray import compare, evaluate, models
from onnxray.gate.layers.randomise import randomised
from PIL import Image

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="no chromium here to open the pages with")]
DIGITS = models.path("digits.onnx")
X = digits().unseen[:6, None].astype(np.float32) / 255
PHONE, DESK = 390, 1280
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files"]
FRAME = """<iframe id="f" src="PAGE.html" style="border:0;width:WIDTHpx;height:900px"></iframe><script>
document.getElementById("f").onload = function () {
  const page = this.contentDocument, style = one => this.contentWindow.getComputedStyle(one);
  const at = one => one.getBoundingClientRect();
  page.querySelectorAll("details").forEach(one => one.open = true);
  const row = [...page.querySelectorAll("#summary tr:nth-child(2) td")];
  const all = [...page.body.querySelectorAll("*")].filter(one => at(one).width > 0);
  document.title = JSON.stringify({
    wide: page.documentElement.scrollWidth,
    over: all.filter(one => at(one).right > WIDTH + 0.5 || at(one).left < -0.5).map(one => one.outerHTML.slice(0, 80)),
    swiped: all.filter(one => one.scrollWidth > one.clientWidth + 1 && style(one).overflowX !== "visible").length,
    images: page.images.length,
    broken: [...page.images].filter(one => !one.complete || !one.naturalWidth).length,
    smallest: Math.min(...all.filter(one => one.innerText).map(one => parseFloat(style(one).fontSize))),
    head: at(page.querySelector("#summary tr")).height,
    cells: row.map(one => one.innerText.trim().split(/\\s+/)),
    before: this.contentWindow.getComputedStyle(row[1], "::before").content,
    columns: new Set(row.map(one => Math.round(at(one).left))).size,
    verdict: (page.getElementById("verdict") || page.querySelector("h1")).innerText,
    top: at(page.getElementById("verdict") || page.querySelector("h1")).top,
  });
};</script>"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of both pages, with four methods, a skipped sample, layers and a calibration."""
    folder, bad = tmp_path_factory.mktemp("pages"), np.concatenate([X, X[:1] * np.nan])
    compare(DIGITS, randomised(onnxray.load(DIGITS), 0, share=0.2), bad, calibrate=True, threads=1, steps=8).report(
        folder
    )
    evaluate(DIGITS, bad, threads=1, steps=8).report(folder)
    return folder


def browse(*arguments: str, profile: Path) -> str:
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout


def seen(pages: Path, page: str, width: int, profile: Path) -> dict[str, Any]:
    """The sizes that a browser measures of a page in a frame of a width."""
    (pages / "frame.html").write_text(FRAME.replace("PAGE", page).replace("WIDTH", str(width)))
    dom = browse("--virtual-time-budget=5000", "--dump-dom", f"file://{pages}/frame.html", profile=profile)
    title = re.search("<title>(.*?)</title>", dom)
    assert title, dom[-2000:]
    return json.loads(title[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


@pytest.mark.parametrize("page", ["report", "evaluation"])
def test_a_phone_shows_all_without_a_swipe(page: str, pages: Path, tmp_path: Path) -> None:
    found = seen(pages, page, PHONE, tmp_path)
    assert (found["wide"], found["over"], found["swiped"]) == (PHONE, [], 0)
    assert found["head"] == 0  # its names stand above the numbers
    assert found["before"] == '"saliency"'
    assert found["columns"] == 2
    assert found["smallest"] >= 12
    assert found["broken"] == 0
    assert found["images"] >= 5


@pytest.mark.parametrize("page", ["report", "evaluation"])
def test_a_desk_has_one_table(page: str, pages: Path, tmp_path: Path) -> None:
    found = seen(pages, page, DESK, tmp_path)
    assert (found["wide"], found["over"], found["swiped"], found["broken"]) == (DESK, [], 0, 0)
    assert found["head"] > 10
    assert found["before"] == "none"
    assert found["columns"] == 5
    assert all(re.fullmatch(r"−?\d\.\d{3}", cell[0]) for cell in found["cells"][1:])


def test_the_verdict_is_on_top(pages: Path, tmp_path: Path) -> None:
    found = seen(pages, "report", PHONE, tmp_path)
    assert found["verdict"].startswith("FAIL")
    assert 0 < found["top"] < 200


@pytest.mark.parametrize("page", ["report", "evaluation"])
def test_it_is_drawn(page: str, pages: Path, tmp_path: Path) -> None:
    shot = tmp_path / "page.png"
    browse(f"--screenshot={shot}", "--window-size=1280,2000", (pages / f"{page}.html").as_uri(), profile=tmp_path)
    assert len(np.unique(np.asarray(Image.open(shot).convert("RGB")).reshape(-1, 3), axis=0)) > 50
