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
from onnxray.diagnostics.portability import Portability, compared, truth_of
from onnxray.errors import RuntimeUnavailable
from onnxray.webpage import runtime_files
from served_page import served

__all__ = ["Chromium", "chromium"]

RUN = """const [file, inputs, outputs] = arguments, done = arguments[arguments.length - 1];
const bytes = (text) => Uint8Array.from(atob(text), (one) => one.charCodeAt(0)).buffer;
const whole = async (name) => (await fetch(name, { cache: "no-store" })).arrayBuffer();
async function loaded() {
  const ort = await import("./onnxruntime-web.js");
  Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: await whole("onnxruntime-web.wasm") });
  return ort;
}
async function run() {
  const ort = await (window.runtime ??= loaded()), kinds = { float32: Float32Array, int64: BigInt64Array };
  const model = new Uint8Array(await whole(file)), options = { executionProviders: ["wasm"], logSeverityLevel: 3 };
  const session = await ort.InferenceSession.create(model, options);
  const tensor = ([name, type, dims, text]) => [name, new ort.Tensor(type, new kinds[type](bytes(text)), dims)];
  const found = await session.run(Object.fromEntries(inputs.map(tensor)), outputs);
  await session.release();
  return Object.fromEntries(outputs.map((name) => [name, [...found[name].data].map(Number)]));
}
run().then((found) => done(found), (error) => done(String(error)));"""


@dataclass(frozen=True)
class Chromium:
    """A browser on a page, which is left open, and the folder that it is served."""

    driver: Any
    folder: Path

    def run(self, file: Path, feeds: Mapping[str, np.ndarray], outputs: Sequence[str]) -> dict[str, np.ndarray]:
        """The outputs of a file of the folder, flat."""
        given = [
            [name, x.dtype.name, list(x.shape), base64.b64encode(x.tobytes()).decode()] for name, x in feeds.items()
        ]
        found = self.driver.execute_async_script(RUN, file.name, given, list(outputs))
        assert isinstance(found, dict), found
        return {name: np.array(numbers, np.float32) for name, numbers in found.items()}

    @property
    def version(self) -> str:
        """That of the browser."""
        return str(self.driver.capabilities["browserVersion"]).partition(".")[0]

    def checked(self, file: Path, feeds: Mapping[str, np.ndarray]) -> Portability:
        """A saved explainer of the folder beside the truth, by the rule of ``onnxray save --check``."""
        feeds, truth = truth_of(file, feeds)
        found = self.run(file, feeds, list(truth))
        shaped = {name: array.reshape(truth[name].shape) for name, array in found.items()}
        return compared("onnxruntime-web in Chromium", self.version, shaped, truth, None)


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
        driver.get(address)
        yield Chromium(driver, folder)
