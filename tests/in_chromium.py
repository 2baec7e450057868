"""A saved explainer on onnxruntime-web in a headless Chromium."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driven_browser import driven
from onnxray.errors import RuntimeUnavailable
from onnxray.webpage import runtime_files
from served_page import served

__all__ = ["Chromium", "chromium"]

RUN = """const [file, inputs, outputs] = arguments, done = arguments[arguments.length - 1];
const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer;
async function run() {
  const ort = await import("./onnxruntime-web.js"), kinds = { float32: Float32Array, int64: BigInt64Array };
  const whole = async (name) => (await fetch(name, { cache: "no-store" })).arrayBuffer();
  Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: await whole("onnxruntime-web.wasm") });
  const model = new Uint8Array(await whole(file)), options = { executionProviders: ["wasm"], logSeverityLevel: 3 };
  const session = await ort.InferenceSession.create(model, options);
  const tensor = ([name, type, dims, text]) => [name, new ort.Tensor(type, new kinds[type](bytes(text)), dims)];
  const found = await session.run(Object.fromEntries(inputs.map(tensor)), outputs);
  return Object.fromEntries(outputs.map((name) => [name, [...found[name].data].map(Number)]));
}
run().then((found) => done(found), (error) => done(String(error)));"""


@dataclass(frozen=True)
class Chromium:
    """A browser, the folder that it is served, and its address."""

    driver: Any
    folder: Path
    address: str

    def run(self, file: Path, feeds: Mapping[str, np.ndarray], outputs: Sequence[str]) -> dict[str, np.ndarray]:
        """The outputs of a file of the folder, flat."""
        given = [
            [name, x.dtype.name, list(x.shape), base64.b64encode(x.tobytes()).decode()] for name, x in feeds.items()
        ]
        self.driver.get(self.address)
        found = self.driver.execute_async_script(RUN, file.name, given, list(outputs))
        assert isinstance(found, dict), found
        return {name: np.array(numbers, np.float32) for name, numbers in found.items()}


@contextmanager
def chromium(folder: Path) -> Iterator[Chromium]:
    """Opens the browser on a folder, into which onnxruntime-web comes; skips where that is not here."""
    pytest.importorskip("selenium", reason="selenium is not installed")
    try:
        runtime = runtime_files()
    except RuntimeUnavailable as error:
        pytest.skip(str(error))
    for name, content in runtime.items():
        (folder / name).write_bytes(content)
    (folder / "index.html").write_text("<!doctype html><title>runs</title>")
    with served(folder) as (address, _), driven(folder) as driver:
        yield Chromium(driver, folder, address)
