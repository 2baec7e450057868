"""Comparisons of every kind of target: linear nets, whose maps are known, explain the same thing on both sides."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from by_hand import Array, model, normal
from cli_tools import one_line
from onnxray import InputError, compare, evaluate, scores
from onnxray.cli.app import run
from PIL import Image
from scipy.spatial.distance import cosine

SIDE, CLASSES, STEPS, MAPS = 8, (10,), (6, 4), (3, 4, 4)
INPUTS = 3 * SIDE * SIDE
X = normal(3, 3, SIDE, SIDE, seed=5)
MASK = np.arange(16).reshape(4, 4) < 6
SALIENCY = ["-m", "saliency"]
QUICK: dict[str, Any] = {"methods": "saliency", "metrics": "cosine", "layers": False, "threads": 1}


def weights(shape: tuple[int, ...], seed: int) -> Array:
    """Those of the reference, seed 0, with noise for other models."""
    own = normal(INPUTS, int(np.prod(shape)), seed=1)
    return own + 0.3 * normal(*own.shape, seed=seed) if seed else own


def net(shape: tuple[int, ...], seed: int = 0, tail: str = "y = Identity(h)") -> onnx.ModelProto:
    """Scores of any shape, the tensor h, linear in a picture."""
    sizes = ", ".join(map(str, shape))
    text = f"net (float[N, 3, {SIDE}, {SIDE}] x) => (float[N, {sizes}] y) {{ flat = Flatten(x) m = MatMul(flat, w) "
    return model(f"{text} h = Reshape(m, s) {tail} }}", {"w": weights(shape, seed), "s": np.array([0, *shape])})


def one_hot(shape: tuple[int, ...], *index: int) -> Array:
    found = np.zeros(shape)
    found[index] = 1
    return found


def top_word(y: Array) -> Array:
    return one_hot(STEPS, 5, int(y[5].argmax()))


def top_channel(y: Array) -> Array:
    channel = int((y * MASK).sum((1, 2)).argmax())
    return one_hot(MAPS, channel) * MASK


# Text, shape of the scores, and what of them the target is, of the reference's scores.
TARGETS: dict[str, tuple[tuple[int, ...], Any]] = {
    "6-8": (CLASSES, lambda y: one_hot(CLASSES, 6) - one_hot(CLASSES, 8)),
    "top1-8": (CLASSES, lambda y: one_hot(CLASSES, int(y.argmax())) - one_hot(CLASSES, 8)),
    "not:7": (CLASSES, lambda y: -one_hot(CLASSES, 7)),
    "1,2": (STEPS, lambda y: one_hot(STEPS, 1, 2)),
    "token:5": (STEPS, top_word),
    "token:5:2": (STEPS, lambda y: one_hot(STEPS, 5, 2)),
    "mask:mask.png:1": (MAPS, lambda y: one_hot(MAPS, 1) * MASK),
    "mask:mask.png:top1": (MAPS, top_channel),
}


EVERYDAY = ("token:5",)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    "text", [pytest.param(one, marks=() if one in EVERYDAY else pytest.mark.slow) for one in TARGETS]
)
def test_both_sides_explain_the_same_of_the_scores(text: str) -> None:
    shape, chosen = TARGETS[text]
    Image.fromarray(MASK.astype(np.uint8) * 255).save("mask.png")
    found = compare(net(shape), net(shape, 1), X, target=text, **QUICK)
    ours, theirs = weights(shape, 0), weights(shape, 1)
    for row, x in zip(found.rows, X.reshape(3, -1), strict=True):
        part = chosen((x @ ours).reshape(shape)).ravel()
        assert row.maps["saliency"]["cosine"] == pytest.approx(1 - cosine(ours @ part, theirs @ part), abs=1e-5)
        a, b = ((x @ w) @ part for w in (ours, theirs))
        assert row.outputs["score-change"] == pytest.approx(abs(b - a) / abs(a), rel=1e-3)
        assert set(row.outputs) == {"score-change", "score-drift"}
    again = compare(net(shape), net(shape, 1), X[:1], target=found.rows[0].target, **QUICK)
    assert again.rows[0].maps == found.rows[0].maps
    assert again.rows[0].target == found.rows[0].target


@pytest.mark.slow
def test_a_target_of_numbers_and_an_inner_tensor() -> None:
    towards = normal(*STEPS, seed=3)
    found = compare(net(STEPS), net(STEPS, 1), X[:1], target=scores.Distance(towards, "euclidean"), **QUICK)
    sides = [(w, X[0].ravel() @ w - towards.ravel()) for w in (weights(STEPS, 0), weights(STEPS, 1))]
    expected = 1 - cosine(*(w @ (d / np.linalg.norm(d)) for w, d in sides))
    assert found.value("saliency", "cosine") == pytest.approx(expected, abs=1e-5)
    assert found.rows[0].target == "negative distance to the reference"
    inner = [net(STEPS, seed, "y = Softmax(h)") for seed in (0, 1)]
    at = compare(*inner, X[:1], target=(1, 2), score="h", **QUICK)
    place = one_hot(STEPS, 1, 2).ravel()
    assert at.value("saliency", "cosine") == pytest.approx(1 - cosine(*(w @ place for w, _ in sides)), abs=1e-5)
    assert at.rows[0].target == "1,2"


@pytest.mark.slow
def test_a_regression_has_no_top_class() -> None:
    found = compare(net((1,)), net((1,), 1), X, **QUICK)
    assert {one.metric for one in found.summary} == {"cosine", "score-change", "score-drift"}
    with pytest.raises(InputError, match="'top1'"):
        compare(net((1,)), net((1,), 1), X, fail_under={"top1": 0.9}, **QUICK)


@pytest.mark.slow
@pytest.mark.usefixtures("elsewhere")
def test_a_golden_file_keeps_the_target_as_text() -> None:
    """The candidate explains the reference's words without being told which."""
    compare(net(STEPS), net(STEPS), X, target="token:5", golden="g.golden", **QUICK)
    assert json.loads(zipfile.ZipFile("g.golden").read("header.json"))["target"] == "token:5"
    direct = compare(net(STEPS), net(STEPS, 1), X, target="token:5", **QUICK)
    again = compare("g.golden", net(STEPS, 1), X, **QUICK)
    assert [row.target for row in again.rows] == [row.target for row in direct.rows] != ["token:5"] * 3
    for a, b in zip(direct.rows, again.rows, strict=True):
        assert b.maps["saliency"]["cosine"] == pytest.approx(a.maps["saliency"]["cosine"], abs=1e-3)
        assert b.outputs == pytest.approx(a.outputs, rel=1e-5)
    assert compare("g.golden", net(STEPS, 1), X, target=scores.Token(5), **QUICK).rows == again.rows
    with pytest.raises(InputError, match=r"recorded with target 'token:5', not 'token:4'"):
        compare("g.golden", net(STEPS, 1), X, target="token:4", **QUICK)
    with pytest.raises(InputError, match="keeps a target as text"):
        compare(net(MAPS), net(MAPS), X, target=scores.Mask(MASK, 1), golden="g.golden", **QUICK)


@pytest.mark.slow
def test_a_journal_of_another_target_is_begun_anew(tmp_path: Path) -> None:
    settings = {**QUICK, "journal": tmp_path / "journal.jsonl"}
    first = compare(net(CLASSES), net(CLASSES, 1), X, target="6-8", **settings)
    assert compare(net(CLASSES), net(CLASSES, 1), X, target=scores.Contrast(6, 8), **settings).rows == first.rows
    for other in ("6-7", scores.Weighted(normal(1, 10)), scores.Weighted(normal(1, 10, seed=2))):
        found = compare(net(CLASSES), net(CLASSES, 1), X, target=other, **settings)
        assert found.rows != first.rows
        first = found


@pytest.mark.slow
@pytest.mark.usefixtures("elsewhere")
def test_the_report_says_what_is_compared(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("x.npy", X)
    for seed in (0, 1):
        onnx.save(net(STEPS, seed), f"{seed}.onnx")
    call = ["0.onnx", "1.onnx", "x.npy", "-m", "saliency", "--metric", "cosine", "--no-layers", "--target", "token:5"]
    run(["compare", *call, "--report", "out"])
    line = "target token:5, the same one of both models; of the answers are compared score-change, score-drift"
    assert f"  {line}\n" in capsys.readouterr().out
    page = Path("out/report.html").read_text()
    assert line in page
    assert "change of the explained score" in page
    assert "same top class" not in page


@pytest.mark.slow
@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(("target", "shape", "reason"), [
    ("reference", STEPS, "there is no top class; name what is explained"),
    ("label", MAPS, "there is no top class"),
    ("3", STEPS, "give 2 indices"),
    ("token:0", CLASSES, "not those of a sequence"),
    ("token:9", STEPS, "position 9 is out of range"),
    ("6-12", CLASSES, "target 12 is out of range"),
    ("box:0", CLASSES, "not those of any detector"),
    ("mask:nowhere.png:1", MAPS, "nowhere.png"),
    ("mine", CLASSES, "or reference, label, own"),
])  # fmt: skip
def test_what_means_nothing_is_one_line(
    target: str, shape: tuple[int, ...], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save("x.npy", X)
    onnx.save(net(shape), "net.onnx")
    assert reason in one_line(["compare", "net.onnx", "net.onnx", "x.npy", *SALIENCY, "--target", target], capsys)
    wanted = "label" if target in ("reference", "label") else target
    reason = reason.replace("reference, label, own", "top1, label")
    assert reason in one_line(["evaluate", "net.onnx", "x.npy", *SALIENCY, "--target", wanted], capsys)


@pytest.mark.slow
def test_the_quality_of_maps_of_a_difference() -> None:
    """Deletion and insertion are shares of the change of the difference; no other class is explained beside it."""
    found = evaluate(net(CLASSES), X[:1], methods=["input-x-gradient", "saliency"], target="6-8", threads=1)
    w = weights(CLASSES, 0) @ (one_hot(CLASSES, 6) - one_hot(CLASSES, 8))
    parts = (X[0].ravel() * w).reshape(3, -1)
    order = np.argsort(-np.abs(parts).max(0), kind="stable")
    gone = ((X[0] - X[0].mean((1, 2), keepdims=True)).ravel() * w).reshape(3, -1).sum(0)  # the mean colour stays
    taken = np.array([gone[order[: round(share * 64)]].sum() for share in np.linspace(0, 1, 21)]) / gone.sum()
    assert found.value("input-x-gradient", "deletion") == pytest.approx(np.trapezoid(1 - taken, dx=1 / 20), abs=1e-4)
    assert found.value("saliency", "infidelity") == pytest.approx(0, abs=1e-6)
    assert found.value("input-x-gradient", "completeness") == pytest.approx(0, abs=1e-5)
    assert "label-randomisation" not in found.rows[0].maps["input-x-gradient"]
    assert (found.rows[0].target, found.provenance["target"]) == ("6-8", "6-8")
    steps = evaluate(net(STEPS), X[:1], methods="saliency", metrics="sparseness", target=scores.Token(5), threads=1)
    assert str(steps.rows[0].target).startswith("token:5:")
