"""Writes the folder of a page: its own files, the explainer, and the files of onnxruntime-web."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..drawing.html_page import render, script
from ..support.json_text import json_text
from ..support.writing import make_folder, replacing, write_bytes
from .page_facts import page_facts

__all__ = ["WrittenPage", "write_page"]

MODEL, RUNTIME = "explainer.onnx", "onnxruntime-web.wasm"
SCRIPTS = (
    "page.js", "explain_parts.js", "camera.js", "coloured_map.js", "resampling.js", "picture_input.js", "worker.js",
)  # fmt: skip
POLICY = (  # of any host but the page's own nothing is loaded, and nothing is sent there
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; connect-src 'self'; "
    "style-src 'unsafe-inline'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True)
class WrittenPage:
    """A page: its folder, the bytes of its files without the model's, and those of the model."""

    folder: Path
    files: Mapping[str, int]
    model: int


def write_page(file: Path, folder: Path, runtime: Callable[[], Mapping[str, bytes]]) -> WrittenPage:
    """Writes a page that explains pictures by a saved explainer.

    Args:
        file: What ``onnxray save`` wrote.
        folder: Where the page is written; made where it is missing. Files of other names stay.
        runtime: Gives the files of onnxruntime-web by name; called once the explainer is known to suit.

    Raises:
        InputError: The page cannot explain what the file explains.
        OutputError: A file cannot be written.
        RuntimeUnavailable: Without jinja2, and as ``runtime`` says.
    """
    facts = page_facts(file)
    page = render(__name__, "index.html", "page", about=facts.about, policy=POLICY)
    held = {**runtime(), **{name: script(__name__, name) for name in SCRIPTS}}
    size = file.stat().st_size
    settings = {**facts.settings, "model": MODEL, "runtime": RUNTIME, "bytes": size + len(held.get(RUNTIME, b""))}
    held |= {"settings.json": json_text(settings, ensure_ascii=False).encode(), "index.html": page.encode()}
    make_folder(folder)
    if not ((folder / MODEL).exists() and (folder / MODEL).samefile(file)):
        with replacing(folder / MODEL) as temporary:
            shutil.copyfile(file, temporary)
    for name, content in held.items():
        write_bytes(folder / name, content)
    return WrittenPage(folder, {name: len(content) for name, content in held.items()}, size)
