"""The page of `onnxray page` in a browser: what it asks the network for, with threads, and with MobileNetV2."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import pytest
from driven_browser import driven, needs_driver, of, soon
from late import late
from measures import distance
from onnxray import models
from onnxray.webpage import write_page
from PIL import Image
from served_page import explained, given, numbers, opened, served

late("selenium", "jinja2")
pytestmark = [pytest.mark.slow, needs_driver]
DIGITS, PICTURE = models.path("digits.onnx"), models.path("digit.png")


def test_what_is_missing_is_said(chrome: Any, site: tuple[str, list[str]], tmp_path: Path, runtime: Any) -> None:
    folder = write_page(onnxray.Explainer(DIGITS).save(tmp_path / "x.onnx"), tmp_path / "page", lambda: runtime).folder
    assert sum(file.stat().st_size for file in folder.iterdir() if file.suffix != ".onnx") < 40e6
    (folder / "explainer.onnx").unlink()
    with served(folder) as (address, _):
        chrome.get(address)
        error = soon(lambda: of(chrome, "error").text)
    assert error == "The page cannot be used: explainer.onnx cannot be loaded (status 404)."
    chrome.get((folder / "index.html").as_uri())
    assert "the page was opened as a file" in of(chrome, "status").text


REACH = """const [address] = arguments, done = arguments[arguments.length - 1];
const work = `fetch("${address}").then(() => postMessage("reached"), () => postMessage("refused"))`;
const worker = new Worker(URL.createObjectURL(new Blob([work])));
worker.onmessage = ({ data }) =>
  fetch(address, { mode: "no-cors" }).then(() => done(["reached", data]), () => done(["refused", data]));"""


def test_another_host_cannot_be_reached(page: Any, tmp_path: Path) -> None:
    """Neither by the page nor by a worker that is begun as the page's own."""
    with served(tmp_path, **{"Access-Control-Allow-Origin": "*"}) as (other, asked):
        assert page.execute_async_script(REACH, other) == ["refused", "refused"]
        assert asked == []


def test_no_request_leaves_this_machine(site: tuple[str, list[str]], tmp_path: Path) -> None:
    """By the log of all that the browser asks the network for, where no other host has an address."""
    address, asked = site
    del asked[:]
    alone = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with driven(tmp_path, alone, f"--log-net-log={tmp_path / 'net.json'}") as driver:
        page = given(opened(driver, address), PICTURE, "saliency of class 6")
        page.find_elements("css selector", "#top input")[1].click()
        explained(page, "saliency of class 8")
        assert page.get_log("browser") == []
    log = json.loads((tmp_path / "net.json").read_text())
    start = log["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    begun = [event["params"] for event in log["events"] if event["type"] == start and "url" in event.get("params", {})]
    ours = {one["url"] for one in begun if one["initiator"] != "not an origin"}  # others are the browser's own
    assert {f"{address}{name}" for name in ("page.js", "explainer.onnx", "worker.js", "onnxruntime-web.wasm")} <= ours
    assert {url for url in ours if not url.startswith((address, "data:", "blob:"))} == set()


def test_threads_where_the_server_sends_the_headers_for_them(
    chrome: Any, runtime: Any, tmp_path: Path, downloads: Path
) -> None:
    headers = {"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp"}
    write_page(onnxray.Explainer(DIGITS).save(tmp_path / "x.onnx"), tmp_path / "page", lambda: runtime)
    with served(tmp_path / "page", **headers) as (address, _):
        page = given(opened(chrome, address), PICTURE, "saliency of class 6")
        cores = page.execute_script("return navigator.hardwareConcurrency")
        assert f"WebAssembly, {min(4, cores)} thread" in of(page, "status").text
        assert distance(numbers(page, downloads)[1], onnxray.explain(DIGITS, PICTURE).values) < 1e-3


def rounded(explainer: onnxray.Explainer, picture: Path, target: int) -> float:
    """The most by which a map moves when the nodes are not merged, or the picture moves by a rounding of float32."""
    assert explainer.preprocess is not None
    x, rng = explainer.preprocess([picture]), np.random.default_rng(1)
    others = [x * (1 + rng.uniform(-1e-6, 1e-6, x.shape)).astype(x.dtype) for _ in range(5)]
    plain = onnxray.Explainer(explainer.model, explainer.method, optimization="off")
    expected = explainer(x, target).values
    found = [plain(x, target), *(explainer(one, target) for one in others)]
    return max(distance(one.values, expected) for one in found)


@pytest.mark.parametrize("method", ["grad-cam", "saliency"])
def test_mobilenet(
    method: str, net: Callable[[str], Any], chrome: Any, runtime: Any, tmp_path: Path, downloads: Path, measured: Any
) -> None:
    """MobileNetV2 at 224 x 224, exported by PyTorch.

    Its weights are random, and its gradient has kinks, which every runtime rounds to its own side: by what a few ways
    of rounding differ in onnxruntime itself the page may differ, too, where that is more than 1e-3.
    """
    noise = np.random.default_rng(0).normal(128, 90, (260, 300, 1)).clip(0, 255).astype(np.uint8)
    Image.fromarray(noise.repeat(3, axis=2)).save(tmp_path / "noise.png")
    explainer = onnxray.Explainer(
        net("mobilenet").proto, method, preprocess=onnxray.Preprocess.preset("imagenet", size=(224, 224), fit="crop")
    )
    write_page(explainer.save(tmp_path / "x.onnx"), tmp_path / "page", lambda: runtime)
    with served(tmp_path / "page") as (address, _):
        page = opened(chrome, address)
        started = time.perf_counter()
        given(page, tmp_path / "noise.png", f"{method} of class ")
        first, target = time.perf_counter() - started, numbers(page, downloads)[0]["target"]
        _, values = numbers(page, downloads)
        second = page.find_elements("css selector", "#top input")[1]
        started = time.perf_counter()
        second.click()
        explained(page, f"{method} of class {second.get_attribute('value')},")
        click = time.perf_counter() - started
    expected = explainer(tmp_path / "noise.png", target).values
    off, own = distance(values, expected), rounded(explainer, tmp_path / "noise.png", target)
    measured(
        f"first map after {first:.2f} s, another class after {click:.2f} s; off by {off:.1e}, onnxruntime {own:.1e}"
    )
    assert off < max(1e-3, 3 * own)
    assert own < 1e-3 or method == "saliency"
