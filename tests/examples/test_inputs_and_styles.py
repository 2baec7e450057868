"""examples/inputs_and_styles.py runs, its pictures show the evidence that is known, and docs/inputs.md shows them."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np
import pytest
from onnxray.drawing.series import LEFT, WIDTH
from PIL import Image

ROOT = Path(__file__).parents[2]
PAGES = {"series", "volume", "several_inputs", "styles", "grid"}


def pixels(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        return np.asarray(image.convert("RGB")).astype(int)


@pytest.mark.filterwarnings("ignore")
def test_the_script_draws_the_pictures_of_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(ROOT / "examples" / "inputs_and_styles.py"))["main"](tmp_path)
    assert capsys.readouterr().out.count("wrote ") == 5
    assert {file.stem for file in tmp_path.iterdir()} == PAGES
    for file in tmp_path.iterdir():
        assert pixels(file).shape == pixels(ROOT / "docs" / file.name).shape
    series = pixels(tmp_path / "series.png")
    rows, columns = np.nonzero((series[..., 0] > 200) & (series[..., 2] < 120))
    start = 8 + LEFT  # the margin of a page, and that of a series
    assert start + 127 * WIDTH / 240 <= columns.min() < columns.max() <= start + 134 * WIDTH / 240
    assert series.shape[0] / 3 < rows.min() < rows.max() < 2 * series.shape[0] / 3


def test_the_page_shows_every_picture_and_none_is_large() -> None:
    shown = re.findall(r"!\[.+\]\((\w+)\.png\)", (ROOT / "docs" / "inputs.md").read_text())
    assert set(shown) == PAGES
    assert all((ROOT / "docs" / f"{name}.png").stat().st_size < 60_000 for name in shown)
