"""Whether a saved explainer gives the same on every runtime that is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from ..errors import OnnxrayError
from ..runtime import open_session
from ..support.distance import relative_l2
from .other_runtimes import RUNTIMES, run_on

__all__ = ["Portability", "portability"]

AGREES = 1e-3  # relative L2 of attributions
ROUNDS = 10.0  # times what the model's own outputs differ by: gradients round more than scores
ATTRIBUTION, SCORE = "attribution", "score"
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
    names = [value.name for value in onnx.load(file, load_external_data=False).graph.output]
    truth = open_session(file, threads=1, optimization="off").run(feeds, names)
    return [_checked(one, file, feeds, truth, runs) for one in runtimes]


def _checked(
    runtime: str, file: Path, feeds: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], runs: int
) -> Portability:
    try:
        run = run_on(runtime, file, feeds, list(truth), runs)
    except OnnxrayError as error:
        return Portability(runtime, note=str(error))
    maps = [name for name in truth if name.startswith(ATTRIBUTION)]
    own = [name for name in truth if name not in (*maps, SCORE)]  # a score of a box that is not there is no number
    apart = [relative_l2([run.outputs[n] for n in some], [truth[n] for n in some]) for some in (maps, own)]
    nothing = "" if any(np.any(truth[name]) for name in maps) else NOTHING
    return Portability(runtime, run.version, apart[0], apart[1], run.seconds, nothing)
