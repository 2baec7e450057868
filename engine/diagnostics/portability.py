"""Whether a saved explainer gives the same on every runtime that is installed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from ..errors import OnnxrayError
from ..runtime import open_session
from ..support.distance import relative_l2
from .other_runtimes import RUNTIMES, run_on

__all__ = ["Portability", "compared", "portability", "truth_of"]

AGREES = 1e-3  # relative L2 of attributions
ROUNDS = 10.0  # times what the model's own outputs differ by: gradients round more than scores
ATTRIBUTION, SCORE, TARGET = "attribution", "score", "onnxray.target"
TOP = -1  # of a target: the top class
NOTHING = "the attribution of this input is zero everywhere: nothing is compared"


@dataclass(frozen=True)
class Portability:
    """A file on one runtime: the relative L2 differences of its attributions and of the model's own outputs from those
    of onnxruntime without optimisation, and the seconds of a run; ``note`` says why there is nothing to compare."""

    runtime: str
    version: str = ""
    attribution: float | None = None
    outputs: float | None = None
    seconds: float | None = None
    note: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the attributions differ by no more than rounding explains."""
        return self.attribution is not None and self.attribution <= max(AGREES, ROUNDS * (self.outputs or 0.0))


def portability(
    file: Path, feeds: Mapping[str, np.ndarray], runs: int = 2, runtimes: Sequence[str] = tuple(RUNTIMES)
) -> list[Portability]:
    """Runs a saved explainer on every runtime; ``feeds`` are its inputs, the target among them.

    The truth is onnxruntime without graph optimisations, one kernel for each operator.
    """
    feeds, truth = truth_of(file, feeds)
    return [_checked(one, file, feeds, truth, runs) for one in runtimes]


def truth_of(file: Path, feeds: Mapping[str, np.ndarray]) -> tuple[Mapping[str, np.ndarray], dict[str, np.ndarray]]:
    """The outputs of a saved explainer, and the feeds with the class that the top class is there: scores that are close
    to each other may change places on another runtime, and the maps of two classes differ."""
    model = onnx.load(file, load_external_data=False)
    names = [value.name for value in model.graph.output]
    session = open_session(file, threads=1, optimization="off")
    truth = session.run(feeds, names)
    target = next((one.value for one in model.metadata_props if one.key == TARGET), "")
    asked = feeds.get(target)
    if asked is None or asked.dtype != np.int64 or asked.ndim != 1 or np.any(asked != TOP):
        return feeds, truth
    for name in _own(names):
        if truth[name].ndim == 2 and len(truth[name]) == len(asked):
            settled = {**feeds, target: truth[name].argmax(axis=1)}
            found = session.run(settled, names)
            if np.array_equal(found[SCORE], truth[SCORE]):
                return settled, found
    return feeds, truth


def compared(
    runtime: str, version: str, found: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], seconds: float | None
) -> Portability:
    """What a runtime made of a file, beside the truth."""
    maps = [name for name in truth if name.startswith(ATTRIBUTION)]
    apart = [relative_l2([found[n] for n in some], [truth[n] for n in some]) for some in (maps, _own(truth))]
    nothing = "" if any(np.any(truth[name]) for name in maps) else NOTHING
    return Portability(runtime, version, apart[0], apart[1], seconds, nothing)


def _own(names: Iterable[str]) -> list[str]:
    """The model's own outputs; a score of a box that is not there is no number."""
    return [name for name in names if name != SCORE and not name.startswith(ATTRIBUTION)]


def _checked(
    runtime: str, file: Path, feeds: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], runs: int
) -> Portability:
    try:
        run = run_on(runtime, file, feeds, list(truth), runs)
    except OnnxrayError as error:
        return Portability(runtime, note=str(error))
    return compared(runtime, run.version, run.outputs, truth, run.seconds)
