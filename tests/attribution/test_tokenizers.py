"""Tokenizers of other kinds than WordPiece: what they do not know, what they leave out, and where their words end."""

from __future__ import annotations

import warnings
from typing import Any

import onnxray
import pytest
from onnxray.data.text import read_tokenizer, tokens_of, word_groups
from text_nets import classifier


def words(made: Any, text: str) -> list[str]:
    found = tokens_of(made.encode(text))
    return [text[found[group[0]].start : found[group[-1]].end] for group in word_groups(found, [text])]


def unigram() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers

    pieces = [("<unk>", 0.0), ("\u2581", -2.0), ("\u2581a", -1.0), ("\u2581film", -1.0), ("s", -1.0)]
    made = Tokenizer(models.Unigram(pieces, unk_id=0))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    return made


def letters(known: str) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.BPE({letter: k for k, letter in enumerate(known)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return made


def test_what_a_unigram_does_not_know_is_told() -> None:
    """Its model keeps the id of the unknown token alone."""
    encoder = read_tokenizer(unigram())
    with pytest.warns(UserWarning, match="no token for '語'; the model gets <unk> there"):
        found = encoder.encode("a 語 films", None, None)
    assert found.tokens == ["\u2581a", "\u2581", "語", "\u2581film", "s"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.encode("a films", None, None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("bat zebra", "no token for letters of 'zebra'; the model does not get them"),
        ("zebra bat rot zebra", "letters of 'zebra' and 1 other; the model"),
        ("bat", None),
        ("bat\u0301", None),  # an accent that a tokenizer strips is no letter
    ],
)
def test_letters_that_a_tokenizer_drops_are_told(text: str, told: str | None) -> None:
    """A vocabulary of bytes without all of them, and without a token for what is unknown."""
    encoder = read_tokenizer(letters("\u0120bateo"))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        encoder.encode(text, None, None)
    assert [told in str(one.message) for one in heard] == ([True] if told else [])


def test_a_word_ends_behind_a_space_of_its_last_token() -> None:
    """Of merges without a pre-tokenizer, whose tokens have their space in front, behind, or stand for it alone."""
    from tokenizers import Tokenizer, models, normalizers

    merges = [("a", "\u2581"), ("\u2581", "b")]
    known = ["\u2581", "a", "b", "c", "a\u2581", "\u2581b"]
    made = Tokenizer(models.BPE({token: k for k, token in enumerate(known)}, merges))
    made.normalizer = normalizers.Replace(" ", "\u2581")
    assert words(made, "ca ca bc c") == ["ca ", "ca ", "bc", " c"]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_spaces_that_are_tokens_are_seen() -> None:
    made = letters("\u0120\u010aba")
    encoder = onnxray.TextEncoder(classifier("input_ids"), made)
    found = encoder("a  b\n")
    attribution = onnxray.explain(classifier("input_ids"), found.inputs, "input-x-gradient", target=1)
    shown = found.words(attribution)
    assert [(word.text, word.start, word.end) for word in shown] == [
        ("a", 0, 1),
        ("\u2423", 1, 2),
        ("b", 3, 4),
        ("\u21b5", 4, 5),
    ]
