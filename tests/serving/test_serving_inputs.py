"""Models of other inputs in the service: texts with a tokenizer, rows of a table, several inputs, a fixed batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from late import late
from onnxray import models
from onnxray.serving import served_model
from service_here import asked
from text_nets import TABLE, VOCABULARY, classifier, tokenizer_file
from texts import parsed

late("fastapi", "fastapi_offline", "uvicorn", "prometheus_client", "httpx2", "tokenizers")


def test_texts_are_explained_word_by_word(tmp_path: Path) -> None:
    """Of texts of different lengths, of a text as BYTES, and of tokens as arrays of integers."""
    file = tokenizer_file(tmp_path)
    model = served_model(classifier(), "texts", ["input-x-gradient"], tokenizer=file, threads=1)
    texts = ["the film was good", "the film was not good"]
    body = {"instances": [{"text": text} for text in texts], "parameters": {"target": [1, "top1"]}}
    tensor = {"name": "text", "shape": [1], "datatype": "BYTES", "data": [texts[0]]}
    encoder = onnxray.TextEncoder(model.model, file)
    ids = {name: array[0].tolist() for name, array in encoder(texts[0]).inputs.items()}
    wide = {"instances": [{**ids, "input_ids": [2**40] * len(ids["input_ids"])}]}
    one, two, three, four, five = asked(
        model,
        ("/v1/models/texts:explain", body),
        ("/v2/models/texts/infer", {"inputs": [tensor]}),
        ("/v1/models/texts:predict", {"instances": [ids]}),
        ("/v1/models/texts:predict", wide),
        ("/v1/models/texts:explain", {"instances": [{"text": " "}]}),
    )
    found: Any = one.json()["explanations"]
    for text, said in zip(texts, found, strict=True):
        explained = onnxray.explain(model.model, encoder(text).inputs, "input-x-gradient", target=said["target"])
        assert [(word.text, word.attribution) for word in encoder(text).words(explained)] == [
            (word["text"], word["attribution"]) for word in said["words"]
        ]
    assert (found[0]["target"], "warnings" in found[0]) == (1, False)
    assert np.allclose(two.json()["outputs"][0]["data"], three.json()["predictions"][0], atol=1e-6)
    assert (four.status_code, five.status_code) == (400, 400)
    assert "the text is empty" in five.json()["error"]


def test_texts_whose_outputs_have_a_row_for_each_token(tmp_path: Path) -> None:
    """Of different lengths, they are no one array; protocol v2, whose outputs are, says so."""
    net = parsed("net (int64[N, L] input_ids) => (real[N, L, 4] y) { w = Gather(table, input_ids)  y = Mul(w, w) }")
    net.graph.initializer.append(onnx.numpy_helper.from_array(TABLE, "table"))
    model = served_model(net, "words", ["saliency"], tokenizer=tokenizer_file(tmp_path), threads=1)
    texts = ["fine", "fine film"]
    tensor = {"name": "text", "shape": [2], "datatype": "BYTES", "data": texts}
    one, two = asked(
        model,
        ("/v1/models/words:predict", {"instances": [{"text": text} for text in texts]}),
        ("/v2/models/words/infer", {"inputs": [tensor]}),
    )
    assert [len(rows) for rows in one.json()["predictions"]] == [3, 4]
    places = [VOCABULARY.index(token) for token in ("[CLS]", "fine", "film", "[SEP]")]
    assert np.allclose(one.json()["predictions"][1], TABLE[places] ** 2)
    assert (two.status_code, "differ in their number of tokens" in two.json()["error"]) == (400, True)


def test_what_a_text_loses_is_said(tmp_path: Path) -> None:
    model = served_model(classifier(length=6), "texts", ["saliency"], tokenizer=tokenizer_file(tmp_path), threads=1)
    (answer,) = asked(model, ("/v1/models/texts:explain", {"instances": [{"text": "the film was not good " * 3}]}))
    (warning,) = answer.json()["explanations"][0]["warnings"]
    assert warning.startswith("the text is longer than the model takes: it ends after ")


def test_a_table_and_its_classes() -> None:
    model = served_model(models.path("breast_cancer.onnx"), "table", ["saliency"], threads=1)
    rows = np.loadtxt(models.path("breast_cancer.csv"), delimiter=",", skiprows=1, max_rows=3)[:, :30]
    card, answer = asked(
        model,
        ("/v1/models/table",),
        ("/v1/models/table:explain", {"instances": rows.tolist(), "parameters": {"draw": True}}),
    )
    assert (card.json()["takes"], len(card.json()["columns"])) == (["rows"], 30)
    found = onnxray.explain(model.model, rows.astype(np.float32), threads=1)
    assert [one["values"] for one in answer.json()["explanations"]] == found.values.tolist()
    assert {one["label"] for one in answer.json()["explanations"]} <= {"malignant", "benign"}


SUM = """two (real[2, 3] a, real[2, 3] b) => (real[2, 3] y) { c = Mul(a, b)  y = Add(c, a) }"""


def test_several_inputs_and_a_fixed_batch() -> None:
    """Rows are filled up to the batch of the model; requests are not joined."""
    model = served_model(parsed(SUM), "two", ["input-x-gradient"], threads=1)
    assert not model.joins
    a, b = np.random.default_rng(3).random((2, 3, 3), np.float32)
    instances = [{"a": x.tolist(), "b": y.tolist()} for x, y in zip(a, b, strict=True)]
    predicted, explained, missing = asked(
        model,
        ("/v1/models/two:predict", {"instances": instances}),
        ("/v1/models/two:explain", {"instances": instances, "parameters": {"target": [0, "top1", 2]}}),
        ("/v1/models/two:explain", {"instances": [{"a": [1, 2, 3]}]}),
    )
    assert np.allclose(predicted.json()["predictions"], a * b + a, atol=1e-6)
    top = int((a * b + a)[1].argmax())
    found = onnxray.explain(model.model, {"a": a, "b": b}, "input-x-gradient", target=[0, top, 2])
    told = explained.json()["explanations"]
    assert all(np.allclose([one["values"][name] for one in told], found.values[name], atol=1e-6) for name in "ab")
    assert (missing.status_code, missing.json()["error"]) == (400, "no array for input b; the model takes: a, b")


FOUND = """found (real[1, 4] x) => (real[1, 4] y, real[K] boxes) {
    y = Mul(x, x)  zero = Constant <value = real {0}>()  some = Greater(x, zero)  boxes = Compress(x, some) }"""


def test_outputs_that_have_no_row_for_each_instance_of_a_fixed_batch() -> None:
    """They come whole; more instances than one would cut them, and are refused."""
    with pytest.warns(UserWarning, match="outputs"):
        one, two = asked(
            served_model(parsed(FOUND), "found", ["saliency"], threads=1),
            ("/v1/models/found:predict", {"instances": [[1, -1, 2, 3]]}),
            ("/v1/models/found:predict", {"instances": [[1, -1, 2, 3], [1, 2, 3, 4]]}),
        )
    assert one.json() == {"outputs": {"y": [[1, 1, 4, 9]], "boxes": [1, 2, 3]}}
    assert (two.status_code, "'boxes' has no row for each instance; send 1 in" in two.json()["error"]) == (400, True)


STATE = """late (real[N, 3] x, real[2, N, 3] h) => (real[N, 3] y) {
    first = Constant <value = int64[1] {0}>()  s = ReduceSum <keepdims = 0>(h, first)  y = Mul(x, s) }"""


def test_an_input_whose_second_axis_counts_examples_has_as_many_zeros_there() -> None:
    model = served_model(parsed(STATE), "late", ["saliency"], threads=1)
    (ready,) = asked(model, ("/v2/health/ready",))
    assert ready.status_code == 200


ROUNDED = (
    """dynamic (real[N, 3] x) => (real[N, 3] y) { q, s, z = DynamicQuantizeLinear(x)  y = DequantizeLinear(q, s, z) }"""
)


def test_rows_that_are_rounded_together_share_no_run() -> None:
    """Dynamic quantisation takes the range of all rows: another's request would change the answer."""
    model = served_model(parsed(ROUNDED), "dynamic", ["feature-ablation"], threads=1)
    assert not model.joins
