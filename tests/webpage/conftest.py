"""A browser, and the page of the digits at an address of this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnxray
import pytest
from driven_browser import driven
from onnxray import models
from onnxray.errors import RuntimeUnavailable
from onnxray.webpage import runtime_files, write_page
from served_page import opened, served

DIGITS = models.path("digits.onnx")
CAMERA = ("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@pytest.fixture(scope="module")
def runtime() -> dict[str, bytes]:
    try:
        return runtime_files()
    except RuntimeUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, runtime: dict[str, bytes]) -> Iterator[tuple[str, list[str]]]:
    """The page of the digits, with a model of a layer's maps beside it in cam/."""
    folder = tmp_path_factory.mktemp("site")
    for name, method in (("", "saliency"), ("cam", "grad-cam")):
        file = onnxray.Explainer(DIGITS, method).save(folder / f"{method}.onnx")
        write_page(file, folder / name, lambda: runtime)
    with served(folder) as found:
        yield found


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def chrome(downloads: Path) -> Iterator[Any]:
    with driven(downloads, *CAMERA) as driver:
        yield driver


@pytest.fixture
def page(chrome: Any, site: tuple[str, list[str]]) -> Any:
    return opened(chrome, site[0])
