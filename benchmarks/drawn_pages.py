"""Pictures for detectors of letters and of parts of pages, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import skimage
from PIL import Image, ImageDraw, ImageFont

__all__ = ["letters_on_photographs", "page"]

PLACES = ((70, 80), (260, 90), (90, 270), (250, 260), (170, 170))  # of letters, in a picture of 344 by 384
WORDS = "The gradient of a score with respect to the input says how much each pixel changes the score. " * 40


def letters_on_photographs() -> list[Image.Image]:
    """Letters to click on, as some websites ask: in any colour, turned, on a photograph."""
    names, texts = ("coffee", "cat", "rocket"), ("A7KQ", "R3PM", "8FGH5")
    grounds = [Image.fromarray(getattr(skimage.data, name)()) for name in names]
    return [_lettered(*pair, k) for k, pair in enumerate(zip(grounds, texts, strict=True))]


def _lettered(ground: Image.Image, text: str, seed: int) -> Image.Image:
    rng, picture = np.random.default_rng(seed), ground.resize((344, 384))
    for letter, (x, y) in zip(text, PLACES, strict=False):
        tile = Image.new("L", (90, 90))
        ImageDraw.Draw(tile).text((45, 45), letter, 255, ImageFont.load_default(60), "mm", stroke_width=1)
        colour = tuple(int(part) for part in rng.integers(0, 255, 3))
        picture.paste(Image.new("RGB", tile.size, colour), (x - 45, y - 45), tile.rotate(float(rng.uniform(-30, 30))))
    return picture


def page() -> list[Image.Image]:
    """A page with a title, two paragraphs, a figure and a table with their captions."""
    sheet = Image.new("RGB", (608, 800), "white")
    pen = ImageDraw.Draw(sheet)
    _centred(pen, 50, "On the evidence for a decision", 26)
    _paragraph(pen, 90, 9)
    sheet.paste(Image.fromarray(skimage.data.astronaut()).resize((220, 180)), (190, 250))
    _centred(pen, 445, "Figure 1: An astronaut and her helmet", 11)
    _centred(pen, 485, "Table 1: Methods and their rows", 11)
    _table(pen)
    _paragraph(pen, 640, 8)
    return [sheet]


def _centred(pen: ImageDraw.ImageDraw, y: int, text: str, size: int, x: int = 304) -> None:
    pen.text((x, y), text, "black", ImageFont.load_default(size), "mm")


def _paragraph(pen: ImageDraw.ImageDraw, top: int, lines: int) -> None:
    for k, line in zip(range(lines), _lines(pen, 490), strict=False):
        pen.text((60, top + 15 * k), line, "black", ImageFont.load_default(11))


def _lines(pen: ImageDraw.ImageDraw, width: int) -> Iterator[str]:
    line, font = "", ImageFont.load_default(11)
    for word in WORDS.split():
        if pen.textlength(f"{line} {word}", font=font) > width:
            yield line
            line = ""
        line = f"{line} {word}".strip()


def _table(pen: ImageDraw.ImageDraw) -> None:
    for row in range(6):
        pen.line([(120, 500 + 22 * row), (488, 500 + 22 * row)], "black")
        for column in range(4 * (row < 5)):
            text = f"{7 * row + 3 * column}.{column}" if row else ("method", "rows", "time", "score")[column]
            _centred(pen, 511 + 22 * row, text, 11, 166 + 92 * column)
    for column in range(5):
        pen.line([(120 + 92 * column, 500), (120 + 92 * column, 610)], "black")
