"""Pages in a real browser: what it measures of one, and the picture that it draws."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

__all__ = ["DESK", "PHONE", "browse", "needs_browser", "seen"]

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium here to open the pages with")
PHONE, DESK = 390, 1280
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--allow-file-access-from-files"]
FRAME = """<iframe id="f" src="PAGE" style="border:0;width:WIDTHpx;height:900px"></iframe><script>
document.getElementById("f").onload = function () {
  const page = this.contentDocument, style = one => this.contentWindow.getComputedStyle(one);
  const at = one => one.getBoundingClientRect();
  page.querySelectorAll("details").forEach(one => one.open = true);
  const all = [...page.body.querySelectorAll("*")].filter(one => at(one).width > 0);
  document.title = JSON.stringify({
    wide: page.documentElement.scrollWidth,
    over: all.filter(one => at(one).right > WIDTH + 0.5 || at(one).left < -0.5).map(one => one.outerHTML.slice(0, 80)),
    swiped: all.filter(one => one.scrollWidth > one.clientWidth + 1 && style(one).overflowX !== "visible").length,
    images: page.images.length,
    broken: [...page.images].filter(one => !one.complete || !one.naturalWidth).length,
    smallest: Math.min(...all.filter(one => one.innerText).map(one => parseFloat(style(one).fontSize))),
    verdict: (page.getElementById("verdict") || page.querySelector("h1")).innerText,
    top: at(page.getElementById("verdict") || page.querySelector("h1")).top,
    MORE
  });
};</script>"""


def browse(*arguments: str, profile: Path) -> str:
    """What the browser prints."""
    command = [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout


def seen(page: Path, width: int, profile: Path, more: str = "") -> dict[str, Any]:
    """The sizes that a browser measures of a page in a frame of a width; ``more`` are further ones in JavaScript."""
    frame = page.with_name("frame.html")
    frame.write_text(FRAME.replace("PAGE", page.name).replace("WIDTH", str(width)).replace("MORE", more))
    dom = browse("--virtual-time-budget=5000", "--dump-dom", frame.as_uri(), profile=profile)
    title = re.search("<title>(.*?)</title>", dom)
    assert title, dom[-2000:]
    return json.loads(title[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
