"""Text as tokens, by the library ``tokenizers`` of Hugging Face, and tokens as the words that they are parts of."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..optional import import_extra
from ..support.caller import warn_caller
from ..support.damaged import readable

__all__ = ["SubwordTokenizer", "Token", "read_tokenizer", "tokens_of", "visible", "word_groups"]

PRINTED = "LNPS"  # categories of Unicode: letters, numbers, punctuation and symbols; no marks, spaces or controls
SPACES = {" ": "\u2423", "\n": "\u21b5", "\t": "\u21e5"}  # each with a mark that is seen
PADDING = ("[PAD]", "<pad>")  # where a tokenizer.json has no settings of padding


@dataclass(frozen=True)
class Token:
    """A token of an encoded text.

    ``text`` are its letters in the vocabulary; ``start`` and ``end`` its place in its text, in characters; ``word``
    counts the words of that text, and ``sequence`` is 0 or, for the second text of a pair, 1. ``word`` and ``sequence``
    are None for the special tokens that the tokenizer adds.
    """

    text: str
    id: int
    start: int
    end: int
    word: int | None
    sequence: int | None


@dataclass(frozen=True)
class SubwordTokenizer:
    """A tokenizer of the library ``tokenizers``, and its settings of truncation and padding, which wait here."""

    tokenizer: Any
    truncation: Mapping[str, Any]
    padding: Mapping[str, Any]

    def encode(self, text: str, pair: str | None, length: int | None) -> Any:
        """The ``tokenizers.Encoding`` of a text or a pair, special tokens included; of a length where one is given.

        What is cut off or left out, and what the tokenizer does not know, is told in a warning. InputError for a text
        without tokens.
        """
        for what, one in (("text", text), ("second text of the pair", pair)):
            if one is not None and not one.strip():
                raise InputError(f"the {what} is empty; give it at least one word")
            if one is not None and any("\ud800" <= letter <= "\udfff" for letter in one):
                raise InputError(f"the {what} holds halves of letters or bytes that are no UTF-8; give it in UTF-8")
        found = self._encode(text, pair)
        self._check_letters(found, text, pair)
        limit = min((one for one in (length, self.truncation.get("max_length")) if one is not None), default=None)
        if limit is not None and len(found) > limit:
            found = self._cut(text, pair, len(found), limit)
        self._check_tokens(found, text, pair)
        return self._padded(found, length)

    def vocabulary(self) -> int:
        """One more than the largest id."""
        return max(self.names(), default=-1) + 1

    def names(self) -> dict[int, str]:
        """The tokens by their ids."""
        return {index: token for token, index in self.tokenizer.get_vocab().items()}

    def _encode(self, text: str, pair: str | None) -> Any:
        """What the library gives; InputError where it trips over parts of the tokenizer that do not fit each other."""
        try:
            return self.tokenizer.encode(text, pair)
        except BaseException as problem:
            if isinstance(problem, Exception) or type(problem).__name__ == "PanicException":  # of its code in Rust
                raise InputError(f"the tokenizer cannot encode the text: it is damaged ({problem})") from problem
            raise

    def _cut(self, text: str, pair: str | None, tokens: int, limit: int) -> Any:
        special, texts = self.tokenizer.num_special_tokens_to_add(pair is not None), 1 if pair is None else 2
        if limit < special + texts:
            raise InputError(f"{limit} tokens are too few for {special} special tokens and {texts} of text")
        settings = {key: self.truncation[key] for key in ("strategy", "direction") if key in self.truncation}
        self.tokenizer.enable_truncation(limit, **settings)
        try:
            found = self._encode(text, pair)
        finally:
            self.tokenizer.no_truncation()
        warn_caller(
            f"the text has {tokens} tokens, special ones included, and {limit} of them are taken; the rest is left out"
        )
        return found

    def _check_tokens(self, found: Any, text: str, pair: str | None) -> None:
        if {0} - set(found.sequence_ids) or (pair is not None and {1} - set(found.sequence_ids)):
            raise InputError("the tokenizer makes no token of the text, or of one of the pair; give it other letters")
        texts, tokens = (text, pair or ""), [one for one in tokens_of(found) if one.sequence is not None]
        name = self._unknown()
        unknown = None if name is None else self.tokenizer.token_to_id(name)
        words = [texts[one.sequence or 0][one.start : one.end] for one in tokens if one.id == unknown]
        if words:
            warn_caller(f"the tokenizer has no token for {_few(words)}; the model gets {name} there")

    def _check_letters(self, found: Any, text: str, pair: str | None) -> None:
        """A warning where letters are in no token, as of a vocabulary of bytes or letters that has not all.

        The library counts wrongly behind such a letter, up to the end of its word, so the words are named.
        """
        words = [word for k, one in enumerate((text, pair or "")) for word in _broken_words(one, tokens_of(found), k)]
        if words:
            warn_caller(f"the tokenizer has no token for letters of {_few(words)}; the model does not get them")

    def _unknown(self) -> str | None:
        """The token of what has none; a tokenizer of the kind Unigram keeps its id alone."""
        name = getattr(self.tokenizer.model, "unk_token", None)
        if name is None and type(self.tokenizer.model).__name__ == "Unigram":
            index = json.loads(self.tokenizer.to_str())["model"].get("unk_id")
            return None if index is None else self.tokenizer.id_to_token(index)
        return name

    def _padded(self, found: Any, length: int | None) -> Any:
        if length is None or len(found) >= length:
            return found
        name = self.padding.get("pad_token") or next(filter(self._has, PADDING), None)
        if name is None:
            raise InputError(
                f"the model takes {length} tokens, the text has {len(found)}, and the tokenizer has none for padding; "
                "set one by its enable_padding and save it"
            )
        index = self.padding.get("pad_id", self.tokenizer.token_to_id(name))
        others = {key: self.padding[key] for key in ("direction", "pad_type_id") if key in self.padding}
        found.pad(length, pad_id=index, pad_token=name, **others)
        return found

    def _has(self, token: str) -> bool:
        return self.tokenizer.token_to_id(token) is not None


def read_tokenizer(tokenizer: Any) -> SubwordTokenizer:
    """A tokenizer from a tokenizer.json file, or a copy of a ``tokenizers.Tokenizer``.

    Raises InputError where it cannot be read, RuntimeUnavailable without the library.
    """
    library = import_extra("tokenizers")
    if isinstance(tokenizer, str | PathLike):
        with readable(tokenizer, "tokenizer.json of the library tokenizers", InputError):
            read = library.Tokenizer.from_str(Path(tokenizer).read_text(encoding="utf-8"))
    elif isinstance(tokenizer, library.Tokenizer):
        read = library.Tokenizer.from_str(tokenizer.to_str())
    else:
        raise InputError(
            f"{type(tokenizer).__name__} is no tokenizer; give the path of a tokenizer.json, or a tokenizers.Tokenizer "
            "(the backend_tokenizer of one of transformers)"
        )
    found = SubwordTokenizer(read, read.truncation or {}, read.padding or {})
    read.no_truncation()
    read.no_padding()
    return found


def tokens_of(found: Any) -> list[Token]:
    """The tokens of a ``tokenizers.Encoding``; those that a tokenizer adds have no place in a text."""
    columns = (found.tokens, found.ids, found.offsets, found.word_ids, found.sequence_ids, found.special_tokens_mask)
    return [
        Token(text, index, 0, 0, None, None)
        if special or sequence is None
        else Token(text, index, start, end, word, sequence)
        for text, index, (start, end), word, sequence, special in zip(*columns, strict=True)
    ]


def _broken_words(text: str, tokens: Sequence[Token], sequence: int) -> Iterator[str]:
    """The words, between spaces, of which a letter is in no token."""
    inside = np.zeros(len(text), bool)
    for token in tokens:
        if token.sequence == sequence:
            inside[token.start : token.end] = True
    for word in re.finditer(r"\S+", text):
        letters = zip(word.group(), inside[word.start() : word.end()], strict=True)
        if any(not seen and unicodedata.category(letter)[0] in PRINTED for letter, seen in letters):
            yield word.group()


def _few(words: Iterable[str]) -> str:
    first, *others = dict.fromkeys(words)
    return f"{first!r}" + (f" and {len(others)} other{'s' * (len(others) > 1)}" if others else "")


def visible(text: str) -> str:
    """A text with marks in the place of the spaces and line ends that it holds."""
    return "".join(SPACES.get(letter, letter) for letter in text)


def word_groups(tokens: Sequence[Token], texts: Sequence[str]) -> Iterator[list[int]]:
    """The places of the tokens of each word, and of each run of equal special tokens, such as padding.

    A word is what the tokenizer takes for one, but ends at a space: some tokenizers take the whole text for a word.
    """
    begun = [0] * len(tokens)
    for place, (before, token) in enumerate(pairwise(tokens), start=1):
        begun[place] = begun[place - 1] + (not _continues(before, token, texts))
    for _, places in groupby(range(len(tokens)), key=begun.__getitem__):
        yield list(places)


def _continues(before: Token, token: Token, texts: Sequence[str]) -> bool:
    """Whether a token belongs to the word of the one before it."""
    if before.sequence is None or token.sequence is None:
        return before.sequence is token.sequence and before.id == token.id
    text = texts[token.sequence]
    same = (before.sequence, before.word) == (token.sequence, token.word)
    begun = before.end - bool(text[before.start : before.end].strip())  # the last letter may be a space
    return same and not any(letter.isspace() for letter in text[begun : token.start + 1])
