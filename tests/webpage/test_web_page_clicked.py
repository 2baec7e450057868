"""The page of `onnxray page`, clicked in a headless Chromium: its pixels and maps are those of Python."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import PIL
import pytest
from driven_browser import DESK, OVER, PHONE, needs_driver, of, soon, tab_to, wide
from late import late
from measures import distance
from onnxray import models
from PIL import Image
from served_page import drawn, explained, given, numbers, opened

late("selenium", "jinja2")
pytestmark = [pytest.mark.slow, needs_driver]
DIGITS, PICTURE = models.path("digits.onnx"), models.path("digit.png")
PILLOW = int(PIL.__version__.partition(".")[0])  # older ones go across first, always


@pytest.mark.parametrize(("place", "method"), [("", "saliency"), ("cam/", "grad-cam")])
def test_classes_and_maps_are_those_of_python(
    place: str, method: str, chrome: Any, site: tuple[str, list[str]], downloads: Path
) -> None:
    page = given(opened(chrome, site[0] + place), PICTURE, f"{method} of class 6, score 19.9")
    ranked = [one.text.split() for one in page.find_elements("css selector", "#top label")]
    assert len(ranked) == 5
    explainer = onnxray.Explainer(DIGITS, method)
    for k, target in enumerate([6, int(ranked[1][0])]):
        page.find_elements("css selector", "#top input")[k].click()
        explained(page, f"{method} of class {target}, score {float(ranked[k][1]):.3g}"[:-1])
        expected, (held, values) = explainer(PICTURE, target), numbers(page, downloads)
        assert held["score"] == pytest.approx(float(expected.score[0]), rel=1e-4)
        assert distance(values, expected.values) < 1e-3
        shown, whole = drawn(page, "map"), np.asarray(expected.image(style="map").convert("RGB"), np.int64)
        factor = whole.shape[0] // shown.shape[0]
        assert np.abs(shown.repeat(factor, 0).repeat(factor, 1) - whole).mean() < 1
    assert np.array_equal(drawn(page, "seen"), np.asarray(Image.open(PICTURE).convert("RGB")))
    assert "onnxruntime-web 1.30.0, WebAssembly, 1 thread" in of(page, "status").text


SIZES = [(57, 91), (300, 200), (20, 33), (224, 224), (640, 7), (7, 640), (36, 28), (36, 60), (50, 28)]  # width, height
PREPROCESSES = [
    {"size": (28, 36), "fit": fit, "channels": channels, "layout": layout, "mean": mean, "std": std, "range": ends}
    for fit in ("resize", "crop", "letterbox")
    for channels, layout, mean, std, ends in [
        ("RGB", "NCHW", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (0, 1)),
        ("BGR", "NHWC", (103.939, 116.779, 123.68), (1,), (0, 255)),
        ("L", "NCHW", (0,), (1,), (1, 0)),
        ("RGB", "NHWC", (0,), (1,), (-1, 1)),
    ]
]
INPUTS = """const [pixels, size, all] = arguments, done = arguments[arguments.length - 1];
const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
const text = (array) => {
  let out = "";
  for (const one of new Uint8Array(array.buffer)) out += String.fromCharCode(one);
  return btoa(out);
};
import("./picture_input.js").then(({ seenOf, inputOf }) => done(all.map((one) => {
  const seen = seenOf(bytes(pixels), size, [one.size[1], one.size[0]], one.fit);
  return text(inputOf(seen, one));
})));"""


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_inputs_are_those_of_python_to_the_bit(size: tuple[int, int], page: Any) -> None:
    """All ways that a picture becomes an input, of pictures larger, smaller and narrower than it."""
    width, height = size
    drawn = np.random.default_rng(size).integers(0, 256, (height, width, 3), np.uint8)
    pixels = np.concatenate([drawn, np.full((height, width, 1), 255, np.uint8)], -1)
    found = page.execute_async_script(INPUTS, base64.b64encode(pixels.tobytes()).decode(), size, PREPROCESSES)
    for settings, text in zip(PREPROCESSES, found, strict=True):
        expected = onnxray.Preprocess(**settings)(Image.fromarray(drawn))
        values = np.frombuffer(base64.b64decode(text), np.float32).reshape(expected.shape)
        assert np.array_equal(values, expected) or PILLOW < 13, settings
        level = (settings["range"][1] - settings["range"][0]) / 255 / np.min(settings["std"])
        assert np.abs(values - expected).max() <= 1.01 * abs(level), settings


def test_overlay_and_picture(page: Any, downloads: Path) -> None:
    given(page, PICTURE, "saliency of class 6")
    of(page, "overlay").send_keys("\ue010")  # End
    assert float(of(page, "map").value_of_css_property("opacity")) == 1
    assert of(page, "overlay").get_attribute("aria-valuetext") == "100 percent map"
    of(page, "png").click()
    file = soon(lambda: next((f for f in downloads.glob("saliency-6*.png") if f.stat().st_size), None))
    assert np.array_equal(np.asarray(Image.open(file).convert("RGB"), np.int64), drawn(page, "map"))


def test_a_picture_of_the_camera(page: Any) -> None:
    of(page, "camera").click()
    soon(lambda: page.execute_script("return document.getElementById('video').videoWidth"))
    assert page.switch_to.active_element.get_attribute("id") == "shutter"
    of(page, "shutter").click()
    explained(page, "saliency of class ")
    assert not of(page, "viewfinder").is_displayed()
    assert of(page, "given").get_attribute("alt") == "The given picture, taken by the camera"


def test_dropped_pasted_and_transparent_pictures(page: Any, tmp_path: Path, downloads: Path) -> None:
    """A picture that is half seen through lies on white, as in Python; it is dropped."""
    digit = Image.open(PICTURE).convert("RGBA")
    digit.putalpha(Image.fromarray(np.where(np.arange(28)[:, None] < 14, 255, 0).astype(np.uint8).repeat(28, 1)))
    digit.save(tmp_path / "half.png")
    content = base64.b64encode((tmp_path / "half.png").read_bytes()).decode()
    page.execute_script(
        "const bytes = Uint8Array.from(atob(arguments[0]), (one) => one.charCodeAt(0)), held = new DataTransfer();"
        "held.items.add(new File([bytes], 'half.png', { type: 'image/png' }));"
        "document.getElementById('drop').dispatchEvent(new DragEvent('drop', { dataTransfer: held, bubbles: true }));",
        content,
    )
    expected = onnxray.explain(DIGITS, tmp_path / "half.png")
    explained(page, f"saliency of class {expected.target[0]}")
    assert distance(numbers(page, downloads)[1], expected.values) < 1e-3


def test_what_is_no_picture_is_said(page: Any, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no picture")
    of(page, "file").send_keys(str(tmp_path / "x.png"))
    soon(lambda: of(page, "error").text == "x.png cannot be read as a picture.")
    assert of(page, "error").get_attribute("role") == "alert"
    assert not of(page, "result").is_displayed()
    given(page, PICTURE, "saliency of class 6")


def test_all_of_the_page_by_the_keyboard(page: Any) -> None:
    given(page, PICTURE, "saliency of class 6")
    seen = tab_to(page, "json")
    wanted = ["file", "camera", "input", "overlay", "summary", "png", "json"]
    assert [name for name in seen if name in wanted] == wanted
    assert of(page, "status").get_attribute("role") == "status"
    page.find_element("css selector", "#top input:checked").send_keys("\ue015")  # down: the next class
    explained(page, "saliency of class 8")
    assert of(page, "map").get_attribute("alt").startswith("Map of class 8; the strongest part is ")


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_nothing_of_the_page_is_cut_off(page: Any, width: int) -> None:
    given(page, PICTURE, "saliency of class 6")
    of(page, "camera").click()
    page.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    wide(page, width)
    assert page.execute_script("return document.documentElement.scrollWidth") == width
    assert page.execute_script(OVER, width) == []
    left = [one.rect["x"] for one in page.find_elements("css selector", "main > section")]
    assert (left[1] - left[0] > 300) == (width == DESK)
