"""Explaining a text: words in colour on the terminal and as a page, bars of its tokens, and numbers."""

from __future__ import annotations

import re
import sys
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from ..attribution.result import TOKENS
from ..attribution.scores import score_of
from ..attribution.text_inputs import EncodedText, TextEncoder
from ..data.files import Given
from ..drawing.coloured_text import Part, Words
from ..errors import InputError
from ..graph.model import Model
from .console_text import TOP, result_lines
from .done_record import Done
from .explain_files import Job
from .options import TextOptions
from .terminal import print_json, print_parts, progress_bar, say

__all__ = ["encoded_text", "explain_text"]

NAME = Path("text")  # what messages call the text


@dataclass(frozen=True)
class TextDone:
    """A text, explained and written; without words where not its tokens were explained, but a layer."""

    done: Done
    encoded: EncodedText
    words: Words | None

    def to_json(self) -> dict[str, Any]:
        """The record that --json prints."""
        record = self.done.to_json()
        rest = {key: value for key, value in record.items() if key not in ("image", "features")}
        text, *pair = self.encoded.texts
        said = {"text": text, **({"text_pair": pair[0]} if pair else {}), **rest}
        if self.words is None:
            return said
        values = {feature.place: feature.attribution for feature in self.done.features}
        tokens = [{**asdict(one), "attribution": values.get(k)} for k, one in enumerate(self.encoded.tokens)]
        return {**said, "tokens": tokens, "words": [{**asdict(word), "special": word.special} for word in self.words]}


def encoded_text(
    model: Model, given: TextOptions, files: Sequence[Path]
) -> tuple[TextEncoder, EncodedText] | tuple[None, None]:
    """The text of the command line and its encoder; None where files are explained.

    InputError for neither, for both, or for half.
    """
    if given.text is None:
        if given.tokenizer is not None or given.text_pair is not None:
            raise InputError("--tokenizer and --text-pair belong to a text; give one by --text")
        if not files:
            raise InputError("nothing to explain; name files (IMAGE...), or give --text and --tokenizer")
        return None, None
    if files:
        raise InputError("a text and files are not explained together; leave out --text or the files")
    if given.tokenizer is None:
        raise InputError("--text needs the model's tokenizer; name its file tokenizer.json by --tokenizer")
    encoder = TextEncoder(model, given.tokenizer)
    return encoder, encoder(_in_utf8(given.text), None if given.text_pair is None else _in_utf8(given.text_pair))


def _in_utf8(text: str) -> str:
    """A text whose bytes Python could not read by the locale, as with LC_ALL=C; as it is where they are no UTF-8."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        return text


def explain_text(job: Job, encoded: EncodedText, as_json: bool) -> None:
    """Explains a text, writes what belongs to it and prints it."""
    with progress_bar(1, job.long) as step:
        source = Given(encoded.inputs, encoded.names)
        stem = _stem(encoded.texts)
        (done,) = job.examples(NAME, stem, source, score_of(job.target), lambda rows, n: step("text", rows / n))
        found = _with_words(job, done, encoded, job.out / f"{stem}-{done.attribution.method}.html")
    print_json(found.to_json()) if as_json else _print(found)


def _with_words(job: Job, done: Done, encoded: EncodedText, page: Path) -> TextDone:
    one = done.attribution
    if one.layout != TOKENS:
        return TextDone(done, encoded, None)
    title = f"{one.method} of {done.name}, score {float(one.score[0]):.4g}"
    words = encoded.words(one, job.drawing.reduce, title)
    return TextDone(replace(done, files=(*done.files, words.save(page))), encoded, words)


def _print(found: TextDone) -> None:
    if found.words is None:
        say(*result_lines(found.done))
        return
    say(result_lines(replace(found.done, features=()))[0])
    for line in found.words.lines():
        print_parts([Part("  "), *line])
    least = found.words.least
    ranked = sorted((word for word in found.words if not word.special), key=lambda word: -abs(word.attribution - least))
    say(*(f"  {word.attribution:+10.4g}  {word.text}" for word in ranked[:TOP]))
    if len(ranked) > TOP:
        say(f"  and {len(ranked) - TOP} smaller ones; --json lists all")
    special = [f"{word.text} {word.attribution:+.3g}" for word in found.words if word.special]
    if special:
        say(f"  special tokens: {', '.join(special)}")


def _stem(texts: Sequence[str]) -> str:
    """The name of a text's files: its first letters, and a number that tells it from other texts."""
    code = sys.getfilesystemencoding()
    named = texts[0].lower().encode(code, "ignore").decode(code)  # by LC_ALL=C names are ASCII
    letters = re.sub(r"\W+", "-", named)[:32].strip("-")
    return f"{letters or 'text'}-{zlib.crc32(repr(texts).encode('utf-8', 'surrogatepass')):08x}"
