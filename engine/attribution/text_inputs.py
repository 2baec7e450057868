"""From text to the arrays that a model of token ids takes, and from its attribution to words."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import onnx_ir as ir

from ..autodiff.embeddings import table_rows
from ..data.text import Token, read_tokenizer, tokens_of, visible, word_groups
from ..drawing.coloured_text import Word, Words
from ..errors import InputError
from ..graph.model import Model, Source
from ..loading.load import load
from ..methods import METHODS, Method
from ..support.caller import warn_caller
from .reductions import length
from .result import Attribution
from .score_axes import ScoreAxes

__all__ = ["EncodedText", "TextEncoder"]

Array = np.ndarray

IDS, MASK, TYPES, PLACES = "ids", "mask", "types", "places"
ROLES = {
    "input_ids": IDS,
    "ids": IDS,
    "tokens": IDS,
    "attention_mask": MASK,
    "input_mask": MASK,
    "token_type_ids": TYPES,
    "segment_ids": TYPES,
    "position_ids": PLACES,
}
COMBINE: Mapping[str, Callable[..., Any]] = {"norm": length, "abs-max": np.max, "max": np.max}  # others: sum


@dataclass(frozen=True, eq=False)
class EncodedText:
    """A text as input of a model.

    Args:
        inputs: The arrays that the model takes, by name, each ``(1, L)``; what ``explain`` is given.
        tokens: The L tokens, special ones and padding included; each has ``text``, ``id``, ``start`` and ``end`` in
            characters of the text, ``word`` and ``sequence`` (0, or 1 in the second text of a pair; None for special
            tokens).
        texts: The text, or the two texts of a pair.
        ids: The name of the input that takes the ids.
    """

    inputs: Mapping[str, Array]
    tokens: tuple[Token, ...]
    texts: tuple[str, ...]
    ids: str

    @property
    def names(self) -> tuple[str, ...]:
        """The letters of each token, of one that is not plain ASCII those in the text, with marks for spaces."""
        return tuple(map(self._name, self.tokens))

    def _name(self, token: Token) -> str:
        if token.sequence is None or token.text.isascii():
            return token.text
        return visible(self.texts[token.sequence][token.start : token.end]) or visible(" ")

    def words(self, attribution: Attribution, reduce: str | None = None, title: str = "") -> Words:
        """An attribution of this text by words; special tokens stand alone, with ``sequence`` None.

        Each token gets one number, as ``Attribution.map`` gives it. A word gets the sum of the numbers of its tokens;
        of a norm, the norm; of a maximum, the maximum; from rise, whose numbers are mean scores, the mean.

        Args:
            attribution: What ``explain`` gave for ``inputs``.
            reduce: How the values of a token become one number, as for ``Attribution.map``.
            title: What a page says above the words.

        Returns:
            Words: The words in their order, each with ``text``, ``attribution``, ``start``, ``end``, ``sequence`` and
                ``tokens``; ``save("words.html")`` writes them in colour, and a notebook shows them so.

        Raises:
            InputError: An attribution that has not one number for each token of this text.
        """
        values = self._numbers(attribution, reduce)
        method = METHODS.get(attribution.method, Method)
        usual = np.sum if method.adds_up else np.mean
        combine = COMBINE.get(attribution.reduction if reduce is None else reduce, usual)
        groups = word_groups(self.tokens, self.texts)
        words = tuple(self._word(places, float(combine(values[places]))) for places in groups)
        least = min((one.attribution for one in words), default=0.0) if method.from_least else 0.0
        return Words(words, title, least)

    def _numbers(self, attribution: Attribution, reduce: str | None) -> Array:
        if isinstance(attribution.values, Mapping):
            sources = attribution.provenance.get("tokens", {})
            attribution = attribution[
                next((name for name in attribution.values if sources.get(name) == self.ids), self.ids)
            ]
        values = attribution.map(reduce)
        if values.shape != (1, len(self.tokens)):
            raise InputError(
                f"the text has {len(self.tokens)} tokens; an attribution {values.shape} has not one number for each"
            )
        return values[0]

    def _word(self, places: list[int], value: float) -> Word:
        first, last = self.tokens[places[0]], self.tokens[places[-1]]
        if first.sequence is None:
            count = f" ×{len(places)}" if len(places) > 1 else ""
            return Word(f"{first.text}{count}", value, 0, 0, None, tuple(places))
        text = self.texts[first.sequence][first.start : last.end]
        start, end = first.start + len(text) - len(text.lstrip()), last.end - len(text) + len(text.rstrip())
        if not text.strip():
            return Word(visible(text or " "), value, first.start, last.end, first.sequence, tuple(places))
        return Word(text.strip(), value, start, end, first.sequence, tuple(places))


class TextEncoder:
    """Turns text into the inputs of a model of token ids: ids, attention mask, token types and positions.

    Inputs are known by their names: input_ids, attention_mask or input_mask, token_type_ids or segment_ids, and
    position_ids; the only input of a model takes the ids, whatever its name. Where a model fixes the number of tokens,
    the text is padded or cut to it.

    Args:
        model: Path, bytes, ModelProto or ``Model``.
        tokenizer: Path of a tokenizer.json, or a ``Tokenizer`` of the library ``tokenizers``, which stays as it is; the
            library comes with ``pip install 'onnxray[text]'``.

    Raises:
        InputError: A tokenizer that cannot be read, or has more tokens than the model's table of embeddings has rows;
            a model with an input that is none of these.
        RuntimeUnavailable: The library ``tokenizers`` is missing.
    """

    def __init__(self, model: Source, tokenizer: str | PathLike[str] | Any) -> None:
        self.model = load(model)
        self._roles = _roles(self.model)
        self._ids = next(value for value in self.model.inputs if self._roles[str(value.name)] == IDS)
        self._tokenizer = read_tokenizer(tokenizer)
        _check_vocabulary(self.model, str(self._ids.name), self._tokenizer.vocabulary())

    def __call__(self, text: str, pair: str | None = None) -> EncodedText:
        """Encodes a text, or a pair of texts such as a question and its context.

        Args:
            text: The text.
            pair: The second text of a pair.

        Returns:
            EncodedText: ``inputs`` for ``explain``, ``tokens``, and ``words``, which turns an attribution into words.

        Raises:
            InputError: An empty text, or one that cannot be padded to the model's length.
        """
        found = self._tokenizer.encode(text, pair, _length(self._ids))
        mask = np.array(found.attention_mask)
        columns = {IDS: found.ids, MASK: mask, TYPES: found.type_ids, PLACES: _positions(mask)}
        inputs = {str(v.name): _array(v, columns[self._roles[str(v.name)]]) for v in self.model.inputs}
        texts = (text,) if pair is None else (text, pair)
        return EncodedText(inputs, tuple(tokens_of(found)), texts, str(self._ids.name))

    def word_names(self, scores: ScoreAxes) -> dict[int, str]:
        """The tokens by their ids where each step of a text has a score for each of them, as language models give.

        Args:
            scores: The axes of the model's scores, (steps, words); of others there are none.
        """
        words = scores.shape[-1] if scores.known and len(scores.shape) == 2 else None
        names = self._tokenizer.names()
        return names if words is not None and max(names, default=-1) < words and words <= 2 * len(names) else {}


def _roles(model: Model) -> dict[str, str]:
    """What each input takes; ``:0`` of TensorFlow's names and the scopes before a slash do not count."""
    names = [str(value.name) for value in model.inputs]
    if len(names) == 1:
        return {names[0]: IDS}
    found = {name: ROLES.get(re.sub(r".*/|:\d+$", "", name).lower()) for name in names}
    if other := [name for name, role in found.items() if role is None]:
        raise InputError(
            f"the model takes {', '.join(map(repr, other))}, which no text fills in: inputs of text are named "
            f"{', '.join(ROLES)}; give arrays"
        )
    if list(found.values()).count(IDS) != 1:
        raise InputError(f"of the model's inputs {', '.join(names)} not one alone takes token ids; give arrays")
    return {name: role for name, role in found.items() if role is not None}


def _length(ids: ir.Value) -> int | None:
    """How many tokens the model takes; None for any."""
    if ids.shape is not None and len(ids.shape) != 2:
        raise InputError(f"input {ids.name!r} has shape {ids.shape}; text needs one of (batch, tokens)")
    size = ids.shape[1] if ids.shape is not None else None
    return size if isinstance(size, int) else None


def _array(value: ir.Value, column: Any) -> Array:
    return np.array([column], np.int64 if value.dtype is None else value.dtype.numpy())


def _positions(mask: Array) -> Array:
    """0, 1, ... from the first token that is no padding on."""
    return np.maximum(np.arange(mask.size) - int(np.argmax(mask)), 0)


def _check_vocabulary(model: Model, ids: str, vocabulary: int) -> None:
    """InputError where ids lie past the end of the table of embeddings; a warning where most of it is out of reach."""
    tables = table_rows(model, ids)
    if not tables:
        return
    said = f"the tokenizer has ids up to {vocabulary - 1}, the table of embeddings of {ids!r} has {min(tables)} rows"
    if vocabulary > min(tables):
        raise InputError(f"{said}; take the tokenizer of this model")
    if vocabulary < min(tables) / 2:
        warn_caller(f"{said}: the tokenizer may be that of another model")
