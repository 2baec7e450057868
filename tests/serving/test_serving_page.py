"""The page of the service, clicked in a headless Chromium: classes, methods, overlay, downloads, keys, widths."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import pytest
from driven_browser import DESK, OVER, PHONE, driven, needs_driver, of, soon, tab_to, wide
from late import late
from onnxray import models
from PIL import Image
from started_service import Started, started

late("selenium", "httpx2", "fastapi", "fastapi_offline", "uvicorn", "prometheus_client")
pytestmark = [pytest.mark.slow, needs_driver]
DIGITS, TABLE, PICTURE = models.path("digits.onnx"), models.path("breast_cancer.onnx"), models.path("digit.png")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    options = [f"table={TABLE}", "-m", "saliency", "-m", "integrated-gradients", "--threads", "1"]
    with started(tmp_path_factory.mktemp("service"), *options, file=f"digits={DIGITS}") as found:
        yield found


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def chrome(downloads: Path) -> Iterator[Any]:
    with driven(downloads) as driver:
        yield driver


@pytest.fixture
def page(chrome: Any, service: Started) -> Any:
    """The page, opened anew, as wide as a desk."""
    wide(chrome, DESK)
    chrome.get(service.url)
    soon(lambda: len(chrome.find_elements("css selector", "#method option")) == 2)
    return chrome


def explained(page: Any, words: str) -> None:
    soon(lambda: words in of(page, "status").text)


def uploaded(page: Any) -> Any:
    of(page, "file").send_keys(str(PICTURE))
    explained(page, "saliency of class 6, score 19.9")
    return page


def downloaded(folder: Path, name: str) -> Path:
    return soon(lambda: next((file for file in folder.glob(name) if file.stat().st_size), None))


def test_a_picture_its_classes_and_methods(page: Any) -> None:
    uploaded(page)
    names = [one.text.split()[0] for one in page.find_elements("css selector", "#top label")]
    predicted = onnxray.explain(DIGITS, PICTURE)
    assert (len(names), names[0], predicted.target.tolist()) == (5, "6", [6])
    page.find_elements("css selector", "#top input")[1].click()
    explained(page, f"saliency of class {names[1]}, score")
    of(page, "method").send_keys("integrated-gradients")
    explained(page, f"integrated-gradients of class {names[1]}, score")
    target = of(page, "target")
    target.send_keys("6-8\t")
    explained(page, "integrated-gradients of 6 against 8, score")
    assert of(page, "map").get_attribute("alt").startswith("Map of 6 against 8; the strongest part is ")
    assert page.execute_script("return [document.images.length, [...document.images].every(one => one.complete)]")[1]


def test_the_overlay_and_the_downloads(page: Any, downloads: Path) -> None:
    uploaded(page)
    slider = of(page, "overlay")
    slider.send_keys("\ue010")  # End
    assert float(of(page, "map").value_of_css_property("opacity")) == 1
    assert slider.get_attribute("aria-valuetext") == "100 percent map"
    of(page, "png").click()
    shown = Image.open(downloaded(downloads, "digits-saliency*.png")).convert("RGB")
    slider.send_keys("\ue011")  # Home
    assert float(of(page, "map").value_of_css_property("opacity")) == 0
    of(page, "json").click()
    said = json.loads(downloaded(downloads, "digits-saliency*.json").read_text())
    values = onnxray.explain(DIGITS, PICTURE, threads=1).values[0]
    assert np.array_equal(np.array(said["values"], np.float32), values)
    whole = (
        onnxray.explain(DIGITS, PICTURE, threads=1)
        .image(style="map")
        .convert("RGB")
        .resize(shown.size, Image.Resampling.NEAREST)
    )
    assert np.abs(np.asarray(shown, np.int64) - np.asarray(whole, np.int64)).mean() < 1


def test_all_of_it_by_the_keyboard(page: Any) -> None:
    """Tab reaches each control in the order that it is seen, and each has a name."""
    uploaded(page)
    seen = tab_to(page, "json")
    wanted = ["a", "model", "file", "method", "explain", "input", "target", "overlay", "summary", "png", "json"]
    assert [name for name in seen if name in wanted][: len(wanted)] == wanted
    page.find_element("css selector", "#top input:checked").send_keys("\ue015")  # down: the next class
    soon(lambda: page.find_elements("css selector", "#top input")[1].is_selected())
    explained(page, "saliency of ")


def test_a_row_of_a_table(page: Any) -> None:
    of(page, "model").send_keys("table")
    soon(lambda: of(page, "numbers").is_displayed())
    names = soon(lambda: of(page, "columns").text)
    assert "mean radius" in names
    of(page, "numbers").send_keys("1, 2, x")
    of(page, "explain").click()
    soon(lambda: of(page, "error").text == "Give numbers between commas.")
    rows = np.loadtxt(models.path("breast_cancer.csv"), delimiter=",", skiprows=1, max_rows=1)
    width = onnxray.load(TABLE).inputs[0].shape[1]  # type: ignore[index]
    of(page, "numbers").clear()
    of(page, "numbers").send_keys(", ".join(map(str, rows[: int(width)])))  # type: ignore[arg-type]
    of(page, "explain").click()
    explained(page, "saliency of ")
    assert of(page, "error").text == ""
    assert of(page, "chart").is_displayed()
    of(page, "strongest").click()
    first = page.find_elements("css selector", "#values tr")[0].text
    assert any(name in first for name in names.split(", "))


def test_what_goes_wrong_is_said(page: Any, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"no picture")
    of(page, "file").send_keys(str(tmp_path / "x.png"))
    soon(lambda: "a picture cannot be read" in of(page, "error").text)
    assert of(page, "error").get_attribute("role") == "alert"
    assert not of(page, "result").is_displayed()
    assert of(page, "explain").is_enabled()


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_nothing_is_cut_off(page: Any, width: int) -> None:
    uploaded(page)
    wide(page, width)
    assert page.execute_script("return document.documentElement.scrollWidth") == width
    assert page.execute_script(OVER, width) == []
    left = [of(page, name).rect["x"] for name in ("form", "found")]
    assert (left[1] - left[0] > 300) == (width == DESK)


def test_nothing_is_asked_of_elsewhere(page: Any, service: Started) -> None:
    page.get_log("browser")  # that of the tests before
    page.refresh()
    soon(lambda: len(page.find_elements("css selector", "#method option")) == 2)
    uploaded(page)
    asked = page.execute_script("return performance.getEntriesByType('resource').map(one => one.name)")
    assert {one for one in asked if not one.startswith((service.url, "data:", "blob:"))} == set()
    assert page.get_log("browser") == []
