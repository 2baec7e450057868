"""examples/web is what `onnxray page` writes for the digits, but for the files of onnxruntime-web."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxray
from measures import distance
from onnxray import models
from onnxray.runtime import open_session
from onnxray.webpage import PINNED, write_page

EXAMPLE = Path(__file__).parents[2] / "examples" / "web"
REMEDY = "run: onnxray page examples/web/explainer.onnx -o examples/web --download"


def test_the_files_are_what_the_command_writes(tmp_path: Path) -> None:
    file, later = EXAMPLE / "explainer.onnx", {name for name, _ in PINNED.files.values()}
    size = json.loads((EXAMPLE / "settings.json").read_text())["bytes"] - file.stat().st_size
    write_page(file, tmp_path, lambda: {"onnxruntime-web.wasm": bytes(size)})
    (tmp_path / "onnxruntime-web.wasm").unlink()
    committed = {one.name for one in EXAMPLE.iterdir()} - later - {"README.md"}
    assert committed == {one.name for one in tmp_path.iterdir()}
    assert [name for name in committed if (EXAMPLE / name).read_bytes() != (tmp_path / name).read_bytes()] == [], REMEDY


def test_its_explainer_is_that_of_the_digits() -> None:
    pixels = np.random.default_rng(0).random((2, 1, 28, 28), np.float32)
    session = open_session(EXAMPLE / "explainer.onnx", threads=1)
    found = session.run({"image": pixels, "target": np.array([6, -1])}, ["attribution"])["attribution"]
    expected = [onnxray.explain(models.path("digits.onnx"), x[None], target=target, threads=1).values
                for x, target in zip(pixels, (6, "top1"), strict=True)]  # fmt: skip
    assert distance(found, np.concatenate(expected)) < 1e-4
