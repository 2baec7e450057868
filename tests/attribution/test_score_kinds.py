"""Scores beyond classes: each by its formula in NumPy and central differences, at many points, and saved."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import onnxruntime
import pytest
from by_hand import TOLERANCE, model, normal
from measures import distance
from onnxray.scores import SCORES, Distance, Letter, Mask, Norm, Not, Score, Token
from PIL import Image

Array = np.ndarray
STEP, STEPS = 1e-4, 3
INPUTS = 4


@dataclass(frozen=True)
class Net:
    """tanh(x W), in a shape, as scores of one example."""

    shape: tuple[int, ...]

    @property
    def weights(self) -> Array:
        return normal(INPUTS, int(np.prod(self.shape)))

    def __call__(self, x: Array) -> Array:
        return np.tanh(x.astype(np.float64) @ self.weights).reshape(len(x), *self.shape)

    def proto(self, examples: int = 0) -> onnx.ModelProto:
        """The model; the scores count examples on their axis ``examples``."""
        rank, sized = len(self.shape) + 1, np.array([-1, *self.shape])
        order = [*range(1, examples + 1), 0, *range(examples + 1, rank)]
        shape = ", ".join("N" if axis == 0 else str(self.shape[axis - 1]) for axis in order)
        return model(
            f"net (float[N, {INPUTS}] x) => (float[{shape}] y) {{ z = MatMul(x, W)  t = Tanh(z)  "
            f"r = Reshape(t, shape)  y = Transpose<perm = {order}>(r) }}",
            {"W": self.weights, "shape": sized},
        )


@dataclass(frozen=True)
class Case:
    """A score of two examples with different targets: what it is of each, and what a saved file takes for it."""

    score: Score
    shape: tuple[int, ...]
    formula: Callable[[Array, int], float]
    feed: Any
    told: Any
    feeds: str = "target"
    target: str | Score = "class"


RECORDS = normal(2, 6)
LEFT, RIGHT = np.zeros((2, 3), bool), np.zeros((2, 3), bool)
LEFT[:, 0], RIGHT[:, 1:] = True, True
X = normal(2, INPUTS, seed=3)
MASKS, CHANNELS = np.stack([LEFT, RIGHT]), np.array([1, 0])
READ = Net((5, 3))(X).argmax(2)  # the class of each step of the two examples
LAST = Net((4, 5))(X)[:, 3].argmax(1)


def cosine(y: Array, k: int) -> float:
    return float(y.ravel() @ RECORDS[k] / np.linalg.norm(y) / np.linalg.norm(RECORDS[k]))


def under(y: Array, k: int) -> float:
    return float((y[CHANNELS[k]] * MASKS[k]).sum())


def letter(y: Array, k: int) -> float:
    """The sum over the steps of the first run of a class that is no blank, decoded here at the input itself."""
    first, last = run_of(k)
    return float(y[first : last + 1, READ[k, first]].sum())


def run_of(k: int) -> tuple[int, int]:
    first = next(t for t, read in enumerate(READ[k]) if read != 0)
    last = first
    while last + 1 < len(READ[k]) and READ[k, last + 1] == READ[k, first]:
        last += 1
    return first, last


TOP = [int((Net((2, 2, 3))(X)[k] * MASKS[k]).sum((1, 2)).argmax()) for k in (0, 1)]
MAP = np.where(MASKS, CHANNELS[:, None, None], -1)
CASES = {
    "not": Case(Not([2, 4]), (6,), lambda y, k: -y[[2, 4][k]], [2, 4], [2, 4], target="not"),
    "token": Case(
        Token([1, -1], [4, 0]), (4, 5), lambda y, k: y[[1, 3][k], [4, 0][k]], [[1, 4], [3, 0]], [[1, 4], [3, 0]],
        target="token",
    ),
    "token-top1": Case(
        Token(3), (4, 5), lambda y, k: y[3, LAST[k]], [[3, -1]] * 2, [[3, w] for w in LAST], target="token"
    ),
    "letter": Case(
        Letter(0, blank=0), (5, 3), letter, [[0, 0, *[-1] * 5]] * 2,
        [[0, READ[k, run_of(k)[0]], *run_of(k)] for k in (0, 1)], target="letter",
    ),
    "mask": Case(Mask([LEFT, RIGHT], [1, 0]), (2, 2, 3), under, MAP, [1, 0], target="mask"),
    "mask-top1": Case(
        Mask([LEFT, RIGHT], "top1"), (2, 2, 3), lambda y, k: y[TOP[k]][MASKS[k]].sum(),
        np.where(MASKS, -2, -1), TOP, target="mask",
    ),
    "mask-last": Case(
        Mask([LEFT, RIGHT], [1, 0]), (2, 3, 2), lambda y, k: under(np.moveaxis(y, 2, 0), k), MAP, [1, 0],
        target=Mask(LEFT, 0),
    ),
    "mask-alone": Case(
        Mask(RIGHT), (2, 3), lambda y, k: y[RIGHT].sum(), np.where([RIGHT] * 2, 0, -1), [0, 0], target="mask"
    ),
    "cosine": Case(Distance(RECORDS), (6,), cosine, RECORDS, RECORDS, "embedding", target="cosine"),
    "euclidean": Case(
        Distance(RECORDS, "euclidean"), (6,), lambda y, k: -np.linalg.norm(y - RECORDS[k]), RECORDS, RECORDS,
        "embedding", target="euclidean",
    ),
    "norm": Case(Norm(), (6,), lambda y, k: np.linalg.norm(y), [0, 0], np.zeros((2, 0)), target="norm"),
}  # fmt: skip
LIKE_OTHERS = (
    "not",
    "token-top1",
    "mask-last",
    "mask-top1",
    "mask-alone",
    "euclidean",
)  # whose nodes another case has, too
each = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def slopes(case: Case, x: Array) -> Array:
    """The gradient of each example's score, by central differences of the formula in float64."""
    net, found = Net(case.shape), np.zeros(x.shape)
    for k, i in np.ndindex(*x.shape):
        ends = [net(x[k : k + 1].astype(np.float64) + sign * STEP * np.eye(INPUTS)[i])[0] for sign in (1, -1)]
        found[k, i] = (case.formula(ends[0], k) - case.formula(ends[1], k)) / (2 * STEP)
    return found


@each
def test_its_value_and_gradient_are_those_of_its_formula(case: Case) -> None:
    """Where the second axis of the scores counts examples, as in (steps, N, words); elsewhere here the first does."""
    found = onnxray.explain(Net(case.shape).proto(examples=1), X, target=case.score)
    assert distance(found.score, [case.formula(Net(case.shape)(X)[k], k) for k in (0, 1)]) <= TOLERANCE
    assert distance(found.values, slopes(case, X)) <= TOLERANCE
    np.testing.assert_allclose(found.target, np.asarray(case.told, np.float32), rtol=1e-6)


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=[pytest.mark.slow] * (name in LIKE_OTHERS), id=name) for name, case in CASES.items()],
)
def test_a_path_keeps_what_was_chosen_at_the_input_and_is_saved(case: Case, tmp_path: Path) -> None:
    explainer = onnxray.Explainer(Net(case.shape).proto(), "integrated-gradients", steps=STEPS)
    found = explainer(X, case.score)
    nodes, weights = np.polynomial.legendre.leggauss(STEPS)
    truth = sum(w / 2 * slopes(case, X * (1 + t) / 2) for t, w in zip(nodes, weights, strict=True)) * X
    assert distance(found.values, truth) <= TOLERANCE
    assert distance(run_saved(explainer, case, tmp_path)[1], np.asarray(found.values)) <= TOLERANCE


@pytest.mark.slow
@each
def test_it_is_saved_without_a_path(case: Case, tmp_path: Path) -> None:
    explainer = onnxray.Explainer(Net(case.shape).proto())
    found, (score, values) = explainer(X, case.score), run_saved(explainer, case, tmp_path)
    assert distance(score, found.score) <= TOLERANCE
    assert distance(values, np.asarray(found.values)) <= TOLERANCE


def run_saved(explainer: onnxray.Explainer, case: Case, folder: Path) -> list[Array]:
    """Score and attribution that the saved file gives on onnxruntime alone."""
    file = explainer.save(folder / "e.onnx", target=case.target)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    dtype = np.float32 if case.feeds == "embedding" else np.int64
    return session.run(["score", "attribution"], {"x": X, case.feeds: np.asarray(case.feed, dtype)})


REFUSED = {
    "letters": (Letter(9, 0), (5, 3), r"letter 9 is not there: .* in example 0 are of the classes \d.* \(blank 0\)"),
    "no-letter": (Letter(-1, 0), (5, 3), "letter -1 is not there"),
    "blank": (Letter(0, 3), (5, 3), "blank 3 is no class: the scores have classes 0 to 2"),
    "no-steps": (Token(0), (6,), r"'y', whose shape for one example is \(6,\), are not those of a sequence"),
    "position": (Token(4), (4, 5), "position 4 is out of range: the scores have steps 0 to 3"),
    "negative": (Token(-5), (4, 5), "position -5 is out of range"),
    "word": (Token(0, 5), (4, 5), "word 5 is out of range: the scores have 0 to 4"),
    "text": (Token("a"), (4, 5), "position 'a': give an index, or a list of one index for each of 2 examples"),
    "many": (Token([0, 1, 2]), (4, 5), r"position \[0, 1, 2\]: give an index"),
    "class": (Not(6), (6,), "target 6 is out of range"),
    "size": (
        Mask(np.ones((3, 3), bool), 0), (2, 2, 3),
        r"the mask has size \(3, 3\), the scores 'y' of one example have shape \(2, 2, 3\): give a mask of their size",
    ),
    "which": (Mask(LEFT), (2, 2, 3), "a mask on 2 channels: name one, 0 to 1, or 'top1'"),
    "channel": (Mask(LEFT, 2), (2, 2, 3), "channel 2 is out of range: the scores have 0 to 1"),
    "both": (Mask(np.eye(2, dtype=bool), 0), (2, 2, 2), "channels first and last: say channels='first'"),
    "neither": (Mask(LEFT, 0, "middle"), (2, 2, 3), "channels 'middle': say 'first' or 'last'"),
    "empty": (Mask(np.zeros((2, 3), bool), 0), (2, 2, 3), "the mask is empty"),
    "values": (Mask(np.arange(6).reshape(2, 3), 0), (2, 2, 3), r"the mask has the values 0, 1, 2, 3, \.\.\.: it must"),
    "masks": (Mask([LEFT] * 3, 0), (2, 2, 3), "3 masks for 2 examples"),
    "none": (Mask([], 0), (2, 2, 3), "no mask was given"),
    "reference": (Distance(np.ones(5)), (6,), r"the reference, float64 of shape \(5,\), is no .* \(6,\)"),
    "zero": (Distance(np.zeros(6)), (6,), "the reference is zero"),
    "infinite": (Distance(np.full(6, np.inf)), (6,), "the reference holds NaN or infinity"),
}  # fmt: skip


@pytest.mark.parametrize(("score", "shape", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_score_is_refused(score: Score, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(onnxray.InputError, match=said) as found:
        explainer_of(shape)(X, score)
    assert "\n" not in str(found.value)


@cache
def explainer_of(shape: tuple[int, ...]) -> onnxray.Explainer:
    return onnxray.Explainer(Net(shape).proto())


def test_a_blank_that_is_the_last_class_must_be_said() -> None:
    net = model("net (float[N, 6, 3] x) => (float[N, 6, 3] y) { y = Identity(x) }")
    x, explainer = np.eye(3, dtype=np.float32)[[[2, 1, 2, 2, 1, 2]]], onnxray.Explainer(net)
    with pytest.raises(onnxray.InputError, match=r"class 2, the last, is the best at 4 of 6 .* blank=-1 or"):
        explainer(x, Letter(1))
    assert explainer(x, Letter(1, blank=-1)).target.tolist() == [[1, 1, 4, 4]]
    assert explainer(x, Letter(1, blank=0)).target.tolist() == [[1, 1, 1, 1]]


def test_a_file_says_which_axis_counts_channels(tmp_path: Path) -> None:
    with pytest.raises(onnxray.InputError, match=r"shape \(2, 3, 2\) counts channels is open: .* channels='first'"):
        explainer_of((2, 3, 2)).save(tmp_path / "e.onnx", target="mask")


def test_a_file_is_made_after_runs_as_before(tmp_path: Path) -> None:
    """A run leaves the sizes of the scores open, of which the file takes those that the model declares."""
    explainer = onnxray.Explainer(Net((5, 3)).proto())
    before = explainer.save(tmp_path / "before.onnx", target="token").read_bytes()
    explainer(X, Token(0))
    assert explainer.save(tmp_path / "after.onnx", target="token").read_bytes() == before


def test_a_saved_letter_that_is_not_there_is_no_number(tmp_path: Path) -> None:
    file = explainer_of((5, 3)).save(tmp_path / "e.onnx", target="letter")
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    (score,) = session.run(["score"], {"x": X, "target": np.array([[0, 0, *[-1] * 5], [9, 0, *[-1] * 5]])})
    assert np.isnan(score).tolist() == [False, True]


@pytest.mark.parametrize(
    ("values", "said"),
    [([0, 255], ""), ([0, 1], ""), ([0, 9, 255], "has the values 0, 9, 255: it must be black outside"),
     ([255, 255], "has one colour everywhere: what is inside is open; draw it black"), ([0, 0], "is empty")],
)  # fmt: skip
def test_a_mask_is_a_picture(values: list[int], said: str, tmp_path: Path) -> None:
    drawn = np.resize(np.array(values, np.uint8), 6).reshape(2, 3)
    Image.fromarray(drawn).save(tmp_path / "mask.png")
    if said:
        with pytest.raises(onnxray.InputError, match=rf"mask\.png {said}"):
            explainer_of((2, 2, 3))(X, Mask(tmp_path / "mask.png", 1))
    else:
        found = explainer_of((2, 2, 3))(X, Mask(tmp_path / "mask.png", 1))
        again = explainer_of((2, 2, 3))(X, Mask(drawn > 0, 1))
        np.testing.assert_array_equal(found.values, again.values)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted({type(score) for score in SCORES.values()}, key=str))
def test_the_examples_in_docstrings_run(kind: type[Score]) -> None:
    told: list[str] = []
    for one in doctest.DocTestFinder(recurse=False).find(kind, kind.__name__, globs={"onnxray": onnxray}):
        assert doctest.DocTestRunner(verbose=False).run(one, out=told.append).failed == 0, "".join(told)
