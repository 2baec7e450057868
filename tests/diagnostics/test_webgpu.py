"""Saved explainers on onnxruntime-web's WebGPU, by Chromium's adapter in software."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxray
import pytest
from driven_browser import driven, needs_driver
from measures import distance
from onnxray import models
from onnxray.diagnostics.portability import truth_of
from served_page import served

DIGITS = str(models.path("digits.onnx"))
FLAGS = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
FILES = ["ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm"]
ADAPTER = """const done = arguments[arguments.length - 1];
(navigator.gpu?.requestAdapter() ?? Promise.resolve(null)).then((one) => done(one !== null), () => done(false));"""
RUN = """const [image, dims, target] = arguments, done = arguments[arguments.length - 1];
async function run() {
  const ort = await import("./ort.webgpu.min.mjs");
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create("./explainer.onnx", { executionProviders: ["webgpu"] });
  const pixels = new Float32Array(Uint8Array.from(atob(image), (one) => one.charCodeAt(0)).buffer);
  const feeds = { image: new ort.Tensor("float32", pixels, dims) };
  feeds.target = new ort.Tensor("int64", BigInt64Array.from([BigInt(target)]), [1]);
  return [...(await session.run(feeds)).attribution.data];
}
run().then(done, (error) => done(String(error)));"""


def test_no_group_gives_one_channel_of_an_even_number(tmp_path: Path) -> None:
    """onnxruntime-web 1.30 on WebGPU computes such a ConvTranspose wrongly, silently."""
    proto = onnx.load(onnxray.Explainer(DIGITS, "saliency").save(tmp_path / "explainer.onnx"))
    shapes = {one.name: tuple(one.dims) for one in proto.graph.initializer}
    kernels = [shapes[node.input[1]] for node in proto.graph.node if node.op_type == "ConvTranspose"]
    assert [one[1] for one in kernels] == [2, 2]


@pytest.mark.slow
@needs_driver
def test_webgpu_gives_the_same(tmp_path: Path) -> None:
    pytest.importorskip("selenium", reason="selenium is not installed")
    package = Path("node_modules/onnxruntime-web/dist")
    if not package.is_dir():
        pytest.skip("onnxruntime-web is not in node_modules of this folder")
    for name in ("ort.webgpu.min.mjs", *FILES):
        shutil.copy(package / name, tmp_path)
    (tmp_path / "index.html").write_text("<!doctype html><title>runs</title>")
    file = onnxray.Explainer(DIGITS, "saliency").save(tmp_path / "explainer.onnx")
    image = np.random.default_rng(0).random((1, 1, 28, 28), np.float32)
    _, truth = truth_of(file, {"image": image, "target": np.array([3])})
    with served(tmp_path) as (address, _), driven(tmp_path, *FLAGS) as driver:
        driver.get(address)
        if not driver.execute_async_script(ADAPTER):
            pytest.skip("this Chromium gives no WebGPU adapter")
        found = driver.execute_async_script(RUN, base64.b64encode(image.tobytes()).decode(), list(image.shape), 3)
    assert isinstance(found, list), found
    assert distance(np.array(found).reshape(image.shape), truth["attribution"]) < 1e-3
