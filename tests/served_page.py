"""The page of `onnxray page` at an address of this machine, and what a browser shows and downloads of it."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
from driven_browser import DESK, of, soon, wide
from PIL import Image

__all__ = ["drawn", "explained", "given", "numbers", "opened", "served"]

READY = "The model is ready: give it a picture."


@contextmanager
def served(folder: Path, **headers: str) -> Iterator[tuple[str, list[str]]]:
    """A folder at an address of this machine, and the paths that are asked for."""
    asked: list[str] = []

    class Files(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            for name, value in headers.items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, *_: Any) -> None:
            asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, directory=str(folder))) as server:
        threading.Thread(target=partial(server.serve_forever, 0.01), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", asked
        server.shutdown()


def opened(chrome: Any, address: str) -> Any:
    wide(chrome, DESK)
    chrome.get(address)
    soon(lambda: of(chrome, "status").text == READY or of(chrome, "error").text)
    assert of(chrome, "error").text == ""
    return chrome


def explained(page: Any, words: str) -> None:
    soon(lambda: words in of(page, "status").text or of(page, "error").text)
    assert of(page, "error").text == ""


def given(page: Any, picture: Path, words: str) -> Any:
    of(page, "file").send_keys(str(picture))
    explained(page, words)
    return page


def numbers(page: Any, downloads: Path) -> tuple[dict[str, Any], np.ndarray]:
    """What is downloaded of the map that is shown."""
    for old in downloads.glob("*.json"):
        old.unlink()
    of(page, "json").click()
    file = soon(lambda: next((file for file in downloads.glob("*.json") if file.stat().st_size), None))
    held = json.loads(file.read_text())
    return held, np.array(held["values"], np.float32).reshape(held["dims"])


def drawn(page: Any, name: str) -> np.ndarray:
    address = of(page, name).get_attribute("src").partition(",")[2]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(address))).convert("RGB"), np.int64)
