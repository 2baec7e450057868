"""Text as inputs of a model, and attributions by words, against the sums of a linear classifier in NumPy."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from onnxray.attribution.text_inputs import EncodedText
from onnxray.data.text import tokens_of, word_groups
from real_files import DATA
from text_nets import classifier, contributions, tokenizer, tokenizer_file

EMBEDDINGS = "ignore:the model takes integers:UserWarning"


def encoded(text: str, pair: str | None = None, **net: Any) -> EncodedText:
    return onnxray.TextEncoder(classifier(**net), tokenizer())(text, pair)


def listed(found: EncodedText) -> dict[str, list[int]]:
    return {name: array[0].tolist() for name, array in found.inputs.items()}


# Inputs -------------------------------------------------------------------------------------------------------


def test_a_text_fills_in_ids_mask_and_types() -> None:
    found = encoded("A fine films!")
    assert listed(found) == {
        "input_ids": [2, 4, 5, 6, 7, 8, 3],
        "attention_mask": [1] * 7,
        "token_type_ids": [0] * 7,
    }
    assert {array.dtype for array in found.inputs.values()} == {np.dtype(np.int64)}
    places = [(one.text, one.start, one.end, one.word, one.sequence) for one in found.tokens]
    assert places[0] == ("[CLS]", 0, 0, None, None)
    assert places[3:6] == [("film", 7, 11, 2, 0), ("##s", 11, 12, 2, 0), ("!", 12, 13, 3, 0)]


def test_a_pair_has_two_types() -> None:
    found = encoded("is it", "bad films")
    assert listed(found)["token_type_ids"] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert [one.sequence for one in found.tokens] == [None, 0, 0, None, 1, 1, 1, None]
    assert found.texts == ("is it", "bad films")


def test_a_fixed_length_is_padded() -> None:
    found = encoded("a film", length=6)
    assert listed(found)["input_ids"] == [2, 4, 6, 3, 0, 0]
    assert listed(found)["attention_mask"] == [1, 1, 1, 1, 0, 0]


def test_padding_is_what_the_tokenizer_says_and_positions_start_behind_it() -> None:
    net = classifier("input_ids attention_mask", length=6)
    for node in net.graph.node:  # positions instead of a mask: any use will do
        node.input[:] = ["position_ids" if name == "attention_mask" else name for name in node.input]
    net.graph.input[1].name = "position_ids"
    found = onnxray.TextEncoder(net, tokenizer(padding=True))("a film")
    assert listed(found) == {"input_ids": [0, 0, 2, 4, 6, 3], "position_ids": [0, 0, 0, 1, 2, 3]}


def test_a_longer_text_is_cut_with_a_line() -> None:
    with pytest.warns(UserWarning, match="the text has 8 tokens, special ones included, and 5 of them are taken"):
        found = encoded("a fine film is not bad", length=5)
    assert listed(found)["input_ids"] == [2, 4, 5, 6, 3]


def test_the_limit_of_the_tokenizer_counts_and_the_tokenizer_stays_as_it_is() -> None:
    limited = tokenizer(padding=True)
    limited.enable_truncation(4, direction="left")
    before = limited.to_str()
    encoder = onnxray.TextEncoder(classifier(), limited)
    with pytest.warns(UserWarning, match="8 tokens, special ones included, and 4 of them are taken"):
        found = encoder("a fine film is not bad")
    assert listed(found)["input_ids"] == [2, 10, 9, 3]
    assert listed(encoder("a film"))["input_ids"] == [2, 4, 6, 3]
    assert limited.to_str() == before


def test_what_the_tokenizer_does_not_know_is_told() -> None:
    with pytest.warns(UserWarning, match=r"no token for 'zork' and 1 other; the model gets \[UNK\] there"):
        encoded("a zork zork film, a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoded("a film")


@pytest.mark.parametrize("inputs", ["words", "net/input_ids:0 net/input_mask:0 net/segment_ids:0"])
def test_inputs_by_other_names(inputs: str) -> None:
    net = classifier("A B C" if " " in inputs else "A")
    names = dict(zip("ABC", inputs.split(), strict=False))
    for value in net.graph.input:
        value.name = names[value.name]
    for node in net.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
    found = listed(onnxray.TextEncoder(net, tokenizer())("is it", "bad"))
    assert list(found.values()) == [[2, 11, 12, 3, 9, 3], [1] * 6, [0, 0, 0, 0, 1, 1]][: len(names)]
    assert list(found) == inputs.split()


def test_ids_that_are_floating_point_numbers_stay_so() -> None:
    net = classifier("input_ids")
    net.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    net.graph.node.insert(0, onnx.helper.make_node("Cast", ["input_ids"], ["whole"], to=onnx.TensorProto.INT64))
    net.graph.node[1].input[1] = "whole"
    found = onnxray.TextEncoder(net, tokenizer())("a film")
    assert found.inputs["input_ids"].dtype == np.float32
    with pytest.warns(UserWarning, match="ids as floating-point numbers"):
        words = found.words(onnxray.explain(net, found.inputs, "input-x-gradient", target=1))
    np.testing.assert_allclose([w.attribution for w in words], contributions([2, 4, 6, 3], 1), rtol=1e-5)


# Words --------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings(EMBEDDINGS)
def test_a_word_has_the_sum_of_its_tokens() -> None:
    net, found = classifier(length=10), encoded("A finely films!", length=10)
    words = found.words(onnxray.explain(net, found.inputs, "input-x-gradient", target=2))
    each = contributions(found.inputs["input_ids"][0], 2)
    assert [(w.text, w.start, w.end, w.tokens) for w in words] == [
        ("[CLS]", 0, 0, (0,)),
        ("A", 0, 1, (1,)),
        ("finely", 2, 8, (2, 3)),
        ("films", 9, 14, (4, 5)),
        ("!", 14, 15, (6,)),
        ("[SEP]", 0, 0, (7,)),
        ("[PAD] ×2", 0, 0, (8, 9)),
    ]
    expected = [each[0], each[1], each[2] + each[3], each[4] + each[5], each[6], each[7], 0.0]  # padding is masked
    np.testing.assert_allclose([w.attribution for w in words], expected, rtol=1e-5, atol=1e-6)
    assert [w.special for w in words] == [True, False, False, False, False, True, True]


@pytest.mark.filterwarnings(EMBEDDINGS)
def test_a_word_has_the_norm_of_a_gradient() -> None:
    """Each token's gradient is the column of the class, as all is linear."""
    from text_nets import CLASSES

    net, found = classifier(), encoded("a films")
    attribution = onnxray.explain(net, found.inputs, "saliency", target=0)
    one = np.linalg.norm(CLASSES[:, 0])
    norms, largest = found.words(attribution), found.words(attribution, "abs-max")
    np.testing.assert_allclose([w.attribution for w in norms], [one, one, one * np.sqrt(2), one], rtol=1e-5)
    np.testing.assert_allclose([w.attribution for w in largest], [np.abs(CLASSES[:, 0]).max()] * 4, rtol=1e-5)


@pytest.mark.filterwarnings(EMBEDDINGS)
def test_a_word_has_the_falls_of_its_tokens() -> None:
    """Black boxes give each token's fall of the score to every number of its embedding."""
    net, found = classifier(), encoded("a films")
    words = found.words(onnxray.explain(net, found.inputs, "feature-ablation", groups="pixels", target=1))
    each = contributions(found.inputs["input_ids"][0], 1)
    expected = [each[0], each[1], each[2] + each[3], each[4]]
    np.testing.assert_allclose([w.attribution for w in words], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings(EMBEDDINGS)
def test_a_word_has_the_mean_of_mean_scores() -> None:
    """Of RISE, which gives each token the mean score of the texts that show it."""
    net, found = classifier(), encoded("a films")
    attribution = onnxray.explain(net, found.inputs, "rise", samples=20, target=1)
    each = attribution.map()[0]
    expected = [each[0], each[1], (each[2] + each[3]) / 2, each[4]]
    np.testing.assert_allclose([w.attribution for w in found.words(attribution)], expected, rtol=1e-6)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_ids_beside_a_table_have_the_sums_that_they_have_alone() -> None:
    """Drawn, taken out by name and mapped; a gradient has its norm in both."""
    net = classifier("input_ids")
    net.graph.input.append(onnx.helper.make_tensor_value_info("row", onnx.TensorProto.FLOAT, ["N", 3]))
    net.graph.node[-1].output[0] = "words"
    net.graph.node.append(onnx.helper.make_node("Add", ["words", "row"], ["logits"]))
    feeds = {"input_ids": np.array([[4, 5, 9]]), "row": np.ones((1, 3), np.float32)}
    for method in ("input-x-gradient", "saliency"):
        alone = onnxray.explain(classifier("input_ids"), feeds["input_ids"], method, target=1)
        found = onnxray.explain(net, feeds, method, target=1)
        (name,) = found.provenance["tokens"]
        np.testing.assert_allclose(found[name].map(), alone.map(), rtol=1e-5)
        np.testing.assert_allclose(found.views()[name].heat, alone.map()[0], rtol=1e-5)
        assert found["row"].reduction == "abs-max"
    assert (onnxray.explain(net, feeds, "input-x-gradient", target=1)[name].map() < 0).any()


def test_an_attribution_of_another_text_is_refused() -> None:
    attribution = onnxray.Attribution(np.zeros((1, 3, 4)), np.zeros(1), np.zeros(1), "lrp", layout="NLC")
    with pytest.raises(onnxray.InputError, match=r"the text has 4 tokens; an attribution \(1, 3\) has not one number"):
        encoded("a film").words(attribution)


def test_a_word_ends_at_a_space_where_the_tokenizer_splits_no_words() -> None:
    """As those of Llama and of other models without a pre-tokenizer do; letters of several bytes stay whole."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: k for k, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    text = "so é 語!\nno"
    found = tokens_of(made.encode(text))
    assert {one.word for one in found} == {0}
    spans = [text[found[group[0]].start : found[group[-1]].end].strip() for group in word_groups(found, [text])]
    assert spans == ["so", "é", "語!", "no"]


# A real file --------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.filterwarnings(EMBEDDINGS)
def test_a_bert_by_words(tmp_path: Path) -> None:
    """The model takes 7 tokens, of a table of 20 rows; padding is masked."""
    net = DATA / "onnx" / "ort_TFBertForQuestionAnswering_tiny.onnx"
    if not net.exists():
        pytest.skip("the shared data are not there")
    model = onnxray.load(net)
    found = onnxray.TextEncoder(model, tokenizer_file(tmp_path))("is it", "bad")
    assert listed(found) == {
        "attention_mask": [1, 1, 1, 1, 1, 1, 0],
        "input_ids": [2, 11, 12, 3, 9, 3, 0],
        "token_type_ids": [0, 0, 0, 0, 1, 1, 0],
    }
    attribution = onnxray.explain(model, found.inputs, "input-x-gradient", target=1)
    words = found.words(attribution)
    assert [w.text for w in words] == ["[CLS]", "is", "it", "[SEP]", "bad", "[SEP]", "[PAD]"]
    np.testing.assert_allclose([w.attribution for w in words], attribution.values[0].sum(-1), rtol=1e-5, atol=1e-9)
    assert words[-1].attribution == 0
    assert all(word.attribution for word in words if word.text != "[PAD]")
