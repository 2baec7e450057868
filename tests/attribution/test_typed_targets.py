"""The text of a score is read as that score again; a score that no text means has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnxray import scores
from onnxray.attribution.score_axes import ScoreAxes
from onnxray.attribution.scores import Score, score_of
from onnxray.attribution.target_words import target_of
from PIL import Image

CLASSES, STEPS = ScoreAxes("y", (10,)), ScoreAxes("y", (6, 10))
TEXTS = {
    "6": CLASSES, "top1": CLASSES, "0,5": STEPS, "6-8": CLASSES, "top1-8": CLASSES, "0,5-1,2": STEPS, "not:7": CLASSES,
    "not:0,5": STEPS, "token:5": STEPS, "token:-1:7": STEPS, "letter:2": STEPS, "letter:2:-1": STEPS, "norm": CLASSES,
    "box:1": CLASSES, "box:1:7": CLASSES, "box:10.5,20,80,90": CLASSES, "boxes:7": CLASSES,
    "mask:mask.png:3": ScoreAxes("y", (4, 2, 2)), "mask:mask.png:top1": ScoreAxes("y", (4, 2, 2)),
    "mask:mask.png": ScoreAxes("y", (2, 2)),
}  # fmt: skip


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_that_of_its_score(text: str) -> None:
    Image.fromarray(np.eye(2, dtype=np.uint8) * 255).save("mask.png")
    assert score_of(target_of(text, {}, TEXTS[text])).typed() == text
    named = target_of("box:dog", {7: "dog"}, CLASSES)
    assert isinstance(named, Score)
    assert named.typed() == "box:0:7"


SETTLED: dict[str, tuple[Score, list[int]]] = {
    "6": (scores.Class("top1"), 6),
    "0,5": (scores.Class((0, 5)), [0, 5]),
    "6-8": (scores.Contrast("top1", 8), [6, 8]),
    "not:6": (scores.Not("top1"), 6),
    "token:5:7": (scores.Token(5), [5, 7]),
    "letter:1": (scores.Letter(1), [1, 7, 2, 3]),
    "mask:mask.png:3": (scores.Mask(Path("mask.png"), "top1"), 3),
    "box:1": (scores.Box(1), [1, 7, 0, 0, 9, 9]),
    "boxes:7": (scores.ClassBoxes(7), [7, 2]),
}  # type: ignore[dict-item]


@pytest.mark.parametrize("text", SETTLED)
def test_a_text_names_what_a_run_settled(text: str) -> None:
    score, told = SETTLED[text]
    assert score.typed(np.array(told)) == text


@pytest.mark.parametrize("score", [
    scores.Class([6, 7]), scores.Contrast([6, 7], 8), scores.Not([1, 2]), scores.Token([1, 2]), scores.Token(1, [2, 3]),
    scores.Letter([1, 2]), scores.Mask(np.eye(2), 1), scores.Mask("mask.png", [1, 2]),
    scores.Mask("mask.png", 1, channels="last"), scores.Box(0, least=0.1), scores.Box(0, part="x1"),
    scores.Box(1, near=(0, 0, 9, 9)), scores.Box(near=np.zeros((2, 4))), scores.ClassBoxes(7, overlap=0.6),
    scores.Distance(np.ones(3)), scores.Weighted(np.ones(3)),
], ids=lambda score: type(score).__name__)  # fmt: skip
def test_what_no_text_means_has_none(score: Any) -> None:
    assert score.typed() is None
