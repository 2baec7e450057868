"""Texts, tokenizers and models that do not fit each other: one line each."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxray
import pytest
from onnxray.data import text as text_module
from text_nets import classifier, tokenizer


@pytest.mark.parametrize(
    ("text", "pair", "length", "message"),
    [
        (" ", None, "L", "the text is empty"),
        ("a", "", "L", "the second text of the pair is empty"),
        ("a \udce6", None, "L", "the text holds halves of letters or bytes that are no UTF-8"),
        ("\x00", None, "L", "makes no token of the text"),
        ("a", None, 2, "2 tokens are too few for 2 special tokens and 1 of text"),
    ],
)
def test_texts_that_are_refused(text: str, pair: str | None, length: int | str, message: str) -> None:
    with pytest.raises(onnxray.InputError, match=message):
        onnxray.TextEncoder(classifier(length=length), tokenizer())(text, pair)


def test_a_vocabulary_that_does_not_fit() -> None:
    larger = tokenizer()
    larger.add_tokens(["new"])
    with pytest.raises(onnxray.InputError, match="ids up to 15, the table of embeddings of 'input_ids' has 15 rows"):
        onnxray.TextEncoder(classifier(), larger)
    from tokenizers import Tokenizer, models

    with pytest.warns(UserWarning, match="ids up to 1, .* 15 rows: the tokenizer may be that of another model"):
        onnxray.TextEncoder(classifier(), Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="b")))


@pytest.mark.parametrize("places", [5, 40])
def test_a_table_of_places_is_no_vocabulary(places: int) -> None:
    """Places that are counted from the ids, as RoBERTa's are, are looked up in a table of their own size."""
    net = classifier("input_ids")
    net.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((places, 4), np.float32), "places"))
    net.graph.initializer.append(onnx.numpy_helper.from_array(np.array(1), "one"))
    net.graph.node[1].input[1] = "place"
    net.graph.node.insert(0, onnx.helper.make_node("Min", ["input_ids", "one"], ["kept"]))
    net.graph.node.insert(1, onnx.helper.make_node("Gather", ["places", "kept"], ["place"]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        onnxray.TextEncoder(net, tokenizer())
    larger = tokenizer()
    larger.add_tokens(["new"])
    with pytest.raises(onnxray.InputError, match="ids up to 15, the table of embeddings of 'input_ids' has 15 rows"):
        onnxray.TextEncoder(net, larger)


def test_models_that_take_more_than_text() -> None:
    with pytest.raises(onnxray.InputError, match="the model takes 'weights', which no text fills in"):
        onnxray.TextEncoder(classifier("input_ids weights"), tokenizer())
    with pytest.raises(onnxray.InputError, match="not one alone takes token ids"):
        onnxray.TextEncoder(classifier("attention_mask token_type_ids"), tokenizer())


def test_tokenizers_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "no.json").write_text("{}")
    for given, message in [
        (tmp_path / "no.json", "no.json cannot be read .*tokenizer.json"),
        (tmp_path / "none.json", "No such file"),
        (3, "int is no tokenizer"),
    ]:
        with pytest.raises(onnxray.InputError, match=message):
            onnxray.TextEncoder(classifier(), given)


@pytest.mark.parametrize(("part", "name"), [("vocab", "[UNK]"), ("special_tokens", "[SEP]")])
def test_a_damaged_tokenizer_that_can_be_read(part: str, name: str, tmp_path: Path) -> None:
    """The library raises Exception for the one and, as its code in Rust panics, a BaseException for the other."""
    held = json.loads(tokenizer().to_str())
    del held["model" if part == "vocab" else "post_processor"][part][name]
    (tmp_path / "damaged.json").write_text(json.dumps(held))
    encoder = onnxray.TextEncoder(classifier(), tmp_path / "damaged.json")
    with pytest.raises(onnxray.InputError, match="the tokenizer cannot encode the text: it is damaged"):
        encoder("a zork")


def test_no_token_for_padding() -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers

    made = Tokenizer(models.WordLevel({chr(97 + k): k for k in range(15)}, unk_token="a"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(onnxray.InputError, match="takes 4 tokens, the text has 2, and the tokenizer has none for padd"):
        onnxray.TextEncoder(classifier(length=4), made)("b c")


def test_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(onnxray.RuntimeUnavailable, match=r"pip install 'onnxray\[text\]'"):
        text_module.read_tokenizer("tokenizer.json")
