"""A headless Chromium that tests click in."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

__all__ = ["DESK", "OVER", "PHONE", "driven", "needs_driver", "of", "soon", "tab_to", "wide"]

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
needs_driver = pytest.mark.skipif(None in (BROWSER, DRIVER), reason="no chromium with its driver here to click with")
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-prefers-reduced-motion"]
PHONE, DESK = 390, 1280
OVER = """const all = [...document.body.querySelectorAll("*")].filter(one => one.getBoundingClientRect().width > 0);
const over = all.filter(one => one.getBoundingClientRect().right > arguments[0] + 0.5);
return over.map(one => one.outerHTML.slice(0, 80));"""


@contextmanager
def driven(downloads: Path, *flags: str) -> Iterator[Any]:
    """A browser with its driver, which keeps what the console says; what it downloads comes into a folder."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for flag in (*FLAGS, *flags):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    driver = webdriver.Chrome(options, webdriver.ChromeService(str(DRIVER)))
    driver.set_script_timeout(300)  # the default of 30 s is too short on a crowded machine
    try:
        yield driver
    finally:
        driver.quit()


def wide(chrome: Any, width: int) -> None:
    """Makes the window as wide as a phone or a desk."""
    chrome.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width == PHONE},
    )


def soon(whether: Callable[[], Any]) -> Any:
    """What a function gives as soon as it gives anything."""
    until = time.monotonic() + 120
    while not (found := whether()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


def of(page: Any, name: str) -> Any:
    """The element of an id."""
    return page.find_element("id", name)


def tab_to(page: Any, last: str) -> list[str]:
    """What the key Tab reaches from the start of a page to the element of an id; each has a name for who hears it."""
    from selenium.webdriver import ActionChains

    seen: list[str] = []
    page.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    while not seen or seen[-1] != last:
        ActionChains(page).send_keys("\ue004").perform()
        one = page.switch_to.active_element
        seen.append(one.get_attribute("id") or one.tag_name)
        assert one.accessible_name.strip(), seen
        assert len(seen) < 100, seen
    return seen
