"""Explainers of files that packages bring along, live and saved, beside what ``inspect`` says of them."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxray
import onnxruntime as ort
from onnxray.attribution.inputs import prepare
from onnxray.attribution.score_axes import ScoreAxes
from onnxray.attribution.score_finder import ScoreFinder
from onnxray.diagnostics.inspection import inspect
from pip_models import PipModel
from pip_slopes import norm, quiet, run, tapped

__all__ = ["Explained", "explain"]

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Explained:
    """The measurements of a file. ``length``: that of the attribution. ``top1``: the error that "top1" is answered.

    ``attribution`` and ``score``: how far those of the saved file are from the live ones, and ``outputs``: its scores
    from those of the model, each over its length; ``rounding``: how far onnxruntime's own scores of the model lie apart
    with and without optimisation.
    """

    scores: ScoreAxes
    top1: str
    length: float
    attribution: float
    score: float
    outputs: float
    rounding: float
    differentiable: bool
    gap: float | None
    bound: float | None
    notes: tuple[str, ...]
    seconds: float


def explain(model: PipModel, folder: Path) -> Explained:
    """Explains an input of a file, saves the Explainer, and runs that file on plain onnxruntime."""
    begun, content, feeds = time.process_time(), model.read(), model.inputs()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        loaded = onnxray.load(content)
        explainer = onnxray.Explainer(loaded, threads=1, score=model.score)
        scores = ScoreFinder(loaded, model.score)(prepare(loaded, feeds), {})
        plain = tapped(onnx.load_model_from_string(content), [scores.tensor])
        y, bare = (run(plain, feeds, [scores.tensor], optimised)[scores.tensor] for optimised in (True, False))
        target = largest(y, scores)
        found = explainer(feeds, target)
        top1 = refused(explainer, feeds)
    live = dict(found.values) if isinstance(found.values, dict) else {"": found.values}
    count = len(found.score)
    saved = run_saved(explainer.save(folder / "explainer.onnx"), feeds, np.full(count, scores.flat(target)))
    stored = {name: saved[f"attribution_{name}" if name else "attribution"] for name in live}
    return Explained(
        scores,
        top1,
        length=norm(live),
        attribution=apart(stored, live),
        score=apart({"": saved["score"]}, {"": found.score}),
        outputs=apart({"": saved[scores.tensor]}, {"": y}) if scores.tensor in saved else 0.0,
        rounding=apart({"": y}, {"": bare}),
        differentiable=inspect(loaded).gradient.differentiable,
        gap=found.provenance.get("gap"),
        bound=found.provenance.get("gap_bound"),
        notes=tuple(str(one.message) for one in told),
        seconds=time.process_time() - begun,
    )


def refused(explainer: onnxray.Explainer, feeds: Arrays) -> str:
    """The error that "top1" is answered; nothing where it names a score."""
    try:
        explainer(feeds, "top1")
    except onnxray.InputError as error:
        return str(error)
    return ""


def largest(y: np.ndarray, scores: ScoreAxes) -> tuple[int, ...]:
    """The largest score of the first example, by an index for each axis."""
    one = y if scores.axis is None else np.take(y, 0, scores.axis)
    return tuple(int(k) for k in np.unravel_index(int(one.argmax()), one.shape))


def run_saved(path: Path, feeds: Arrays, target: np.ndarray) -> Arrays:
    session = ort.InferenceSession(path, quiet())
    names, taken = ([value.name for value in held] for held in (session.get_outputs(), session.get_inputs()))
    given = {name: array for name, array in {**feeds, "target": target}.items() if name in taken}
    return dict(zip(names, map(np.asarray, session.run(names, given)), strict=True))


def apart(found: Arrays, truth: Arrays) -> float:
    difference = {name: found[name].astype(np.float64) - array for name, array in truth.items()}
    return norm(difference) / max(norm(truth), 1e-30)
