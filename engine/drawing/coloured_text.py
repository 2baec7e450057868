"""Words in colour: red speaks for the score, blue against it, the stronger the more; as parts of a line and as HTML."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..errors import InputError
from ..support.writing import write_text
from .bar_chart import AGAINST, FOR
from .html_page import render

__all__ = ["Part", "Word", "Words"]

FAINTEST = 0.04  # of the strongest word of the text, whose colour is full: what is weaker has no colour


@dataclass(frozen=True)
class Word:
    """A word of a text, or a special token of the tokenizer such as [CLS], and its attribution.

    Args:
        text: The letters of the word in the text; of a special token its name.
        attribution: Its attribution, in the unit of the score.
        start: Where it begins in its text, in characters; 0 of a special token.
        end: Where it ends, exclusive.
        sequence: 0 for the text, 1 for the second text of a pair, None for a special token.
        tokens: The places of its tokens in the model's input.
    """

    text: str
    attribution: float
    start: int
    end: int
    sequence: int | None
    tokens: tuple[int, ...]

    @property
    def special(self) -> bool:
        """Whether it is a token that the tokenizer added."""
        return self.sequence is None


@dataclass(frozen=True)
class Part:
    """A piece of a line: its letters, the colour behind them as #rrggbb, and that of the letters; None for none."""

    text: str
    colour: str | None = None
    ink: str | None = None
    attribution: float | None = None


@dataclass(frozen=True)
class Words(Sequence[Word]):
    """The words of a text in their order, each with its attribution; a notebook shows them in colour.

    Args:
        words: The words, and the special tokens between them.
        title: What a page says above them.
        least: The attribution that has no colour.
    """

    words: tuple[Word, ...]
    title: str = ""
    least: float = 0.0

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, index: int) -> Word:  # type: ignore[override]
        return self.words[index]

    def lines(self) -> Iterator[list[Part]]:
        """Each text as parts of one line; spaces are where the text has any."""
        for sequence in sorted({word.sequence for word in self if word.sequence is not None}):
            parts: list[Part] = []
            end = None
            for word in (word for word in self if word.sequence == sequence):
                parts += [Part(" ")] if end is not None and word.start > end else []
                parts.append(self.part(word))
                end = word.end
            yield parts

    def special(self) -> list[Part]:
        """The special tokens."""
        return [self.part(word) for word in self if word.special]

    def save(self, path: str | Path) -> Path:
        """Writes the words in colour as a page, .html, which needs no network."""
        path = Path(path)
        if path.suffix.lower() != ".html":
            raise InputError(f"{path}: words are not saved as {path.suffix!r}; use .html")
        return write_text(path, self._page("coloured_text.html"))

    def _repr_html_(self) -> str:
        return self._page("coloured_words.html")

    def _page(self, template: str) -> str:
        signed = any(word.attribution < self.least for word in self)
        shown = {"title": self.title, "lines": list(self.lines()), "special": self.special(), "signed": signed}
        return render(__name__, template, "text", **shown)

    @cached_property
    def _largest(self) -> float:
        return max((abs(one.attribution - self.least) for one in self if not one.special), default=0.0)

    def part(self, word: Word) -> Part:
        """A word with its colours: the stronger it is, the more."""
        above = word.attribution - self.least
        strength = min(1.0, abs(above) / self._largest) if self._largest else 0.0
        if strength < FAINTEST:
            return Part(word.text, attribution=word.attribution)
        colour = _mixed(FOR if above > 0 else AGAINST, strength)
        return Part(word.text, colour, "#ffffff" if _is_dark(colour) else "#000000", word.attribution)


def _mixed(colour: str, share: float) -> str:
    """White and a share of a colour, to the nearest of 256 steps, which a table of colours misses by one."""
    return "#" + "".join(f"{round(255 + share * (part - 255)):02x}" for part in bytes.fromhex(colour[1:]))


def _is_dark(colour: str) -> bool:
    """Whether white letters stand out more than black ones (the weights of ITU-R BT.601)."""
    red, green, blue = bytes.fromhex(colour[1:])
    return 0.299 * red + 0.587 * green + 0.114 * blue < 140
