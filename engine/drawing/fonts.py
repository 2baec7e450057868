"""The font of texts in pictures: Pillow's own, or one of the system where that lacks a letter."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache

from PIL import Image, ImageDraw, ImageFont

__all__ = ["Font", "font_of"]

Font = ImageFont.ImageFont | ImageFont.FreeTypeFont
# With the letters of many languages, as Linux, Windows and macOS call their files.
SYSTEM = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "wqy-microhei.ttc",
    "arial.ttf",
    "msyh.ttc",
    "Arial Unicode.ttf",
    "PingFang.ttc",
)
NOWHERE = "\uffff"  # a letter that no font has


def font_of(size: float, text: str) -> Font:
    """A font of a size in pixels that has the letters of a text; where none has all, the one that lacks the fewest."""
    own = ImageFont.load_default(size)
    letters = {letter for letter in text if not letter.isspace() and not letter.isascii()}
    if not letters or isinstance(own, ImageFont.ImageFont) or not _lacking(own, letters):
        return own
    fonts = [own, *(font for name in SYSTEM if (font := _named(name, size)) is not None)]
    return min(fonts, key=lambda font: _lacking(font, letters))


@cache
def _named(name: str, size: float) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


def _lacking(font: ImageFont.FreeTypeFont, letters: Collection[str]) -> int:
    """How many letters a font draws as the one that no font has."""
    nothing = _drawn(font, NOWHERE)
    return sum(_drawn(font, letter) == nothing for letter in letters)


def _drawn(font: ImageFont.FreeTypeFont, letter: str) -> bytes:
    picture = Image.new("L", (round(3 * font.size), round(3 * font.size)))
    ImageDraw.Draw(picture).text((font.size, font.size), letter, 255, font)
    return picture.tobytes()
