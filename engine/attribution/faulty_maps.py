"""Maps that say nothing: zero everywhere, not finite, or the same everywhere; which examples have them, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OnnxrayError
from ..graph.model import Model
from ..methods import Method
from ..methods.base import EmitContext, Emitted
from ..methods.saliency import Saliency
from ..support.caller import warn_caller
from .heads import find_head
from .score import score_tensor

__all__ = [
    "ControlMap",
    "Fault",
    "as_provenance",
    "control_maps",
    "faults_of",
    "not_zero",
    "unusable",
    "warn_of",
]

LARGE = 2.0**80  # a factor that brings back gradients too small for float32
NAMED = 4  # examples that a warning names
NOT_FINITE = "holds NaN or infinity"
_FIRST = 256  # numbers of a map, among which two that differ tell that it is not the same everywhere


@dataclass(frozen=True)
class Fault:
    """The fault of the map of an example, and its cause."""

    example: int
    what: str
    why: str

    @property
    def text(self) -> str:
        return f"{self.what}: {self.why}"


@dataclass(frozen=True)
class ControlMap:
    """Another map of the same examples. If it is not zero where the user's map is, that tells why the latter is zero.

    ``ruled``: whether the user's rules apply to it.
    """

    method: Method
    score: str
    ruled: bool = True


@dataclass(frozen=True)
class _Magnified(Saliency):
    """The gradient of the score times a factor that brings back what is too small for float32."""

    def emit(self, context: EmitContext) -> Emitted:
        return Emitted(*context.gradients(seed=LARGE))


# Which of some examples, by their indices, have a control map that is not zero.
IsNotZero = Callable[[ControlMap, NDArray[np.intp]], NDArray[np.bool_]]


def faults_of(
    values: Iterable[NDArray[Any]],
    scores: NDArray[Any],
    method: Method,
    controls: Iterable[tuple[ControlMap, str]],
    is_not_zero: IsNotZero,
) -> list[Fault]:
    """The faults of a batch, whose ``values`` by input count examples first; ``controls`` as from ``control_maps``.

    A constant map is a fault where a layer is explained, as it says where evidence lies, or a window covers all.
    """
    flat = [array.reshape(len(array), -1) for array in values]
    if all(np.isfinite(rows).all() for rows in flat) and np.any([_begins_uneven(rows) for rows in flat], axis=0).all():
        return []
    least, most = ([end(rows, 1) for rows in flat] for end in (np.min, np.max))  # of a row with a NaN both are NaN
    finite, differ = np.isfinite(least).all(0) & np.isfinite(most).all(0), np.not_equal(least, most).any(0)
    zero = finite & ~np.any(least, axis=0) & ~np.any(most, axis=0)
    told = bool(method.uniform) and (method.layer_sized or any(rows.shape[1] > 1 for rows in flat))
    same = finite & ~zero & ~differ & told
    found = [Fault(int(k), NOT_FINITE, _overflow(scores[k])) for k in np.flatnonzero(~finite)]
    found += [Fault(int(k), "is the same everywhere", method.uniform) for k in np.flatnonzero(same)]
    rows = np.flatnonzero(zero)
    reasons = _reasons(rows, controls, method.blank, is_not_zero) if rows.size else {}
    return sorted((*found, *(Fault(k, "is zero everywhere", why) for k, why in reasons.items())), key=_example)


def _begins_uneven(rows: NDArray[Any]) -> NDArray[np.bool_]:
    """Which rows have two numbers among their first, so that they need not be looked at to the end."""
    return (rows[:, :_FIRST] != rows[:, :1]).any(1)


def not_zero(values: Iterable[NDArray[Any]]) -> NDArray[np.bool_]:
    """Which examples have a map that is not zero everywhere, as far as it is finite."""
    return np.any([np.nan_to_num(array.reshape(len(array), -1)).any(1) for array in values], axis=0)


def _final_activation(model: Model, score: str) -> str | None:
    """The kind of the activation that a model's scores come from."""
    head = find_head(score_tensor(model, score))
    return head.kind if head is not None else None


def _example(fault: Fault) -> int:
    return fault.example


def _overflow(score: float) -> str:
    if not np.isfinite(score):
        return f"the score itself is {score}; look at the model's input and its range"
    return "the score is finite, a gradient overflows; look at the input's range and the model's precision"


def _reasons(
    rows: NDArray[np.intp], controls: Iterable[tuple[ControlMap, str]], blank: str, is_not_zero: IsNotZero
) -> dict[int, str]:
    """Why the maps of some examples are zero: the first reason that another map bears out."""
    left, found = rows, {}
    for control, why in controls:
        if not left.size:
            break
        try:
            told = is_not_zero(control, left)
        except OnnxrayError:  # of a model that only a black-box method explains
            continue
        found |= dict.fromkeys(map(int, left[told]), why)
        left = left[~told]
    return found | dict.fromkeys(map(int, left), blank)


def control_maps(method: Method, model: Model, score: str, ruled: bool) -> Iterator[tuple[ControlMap, str]]:
    """The maps that tell why a map is zero, each with the reason; ``ruled``: whether a user's rules lie over it."""
    for other, why in method.relaxed():
        yield ControlMap(other, score), why
    if score == "output" and (activation := _final_activation(model, score)) is not None:
        yield (
            ControlMap(Saliency(), "logit"),
            f"the final {activation} is saturated, its slope is zero; explain what stands before it: score='logit' "
            "(--score logit)",
        )
    if method.differentiates:
        yield ControlMap(_Magnified(), score), "the gradient is too small for float32"
    if ruled:
        yield ControlMap(Saliency(), score, ruled=False), "rules= let no gradient through; without them there is one"


def warn_of(faults: Sequence[Fault], method: str, examples: int) -> None:
    """One warning for each fault, which names the examples that have it."""
    alike: dict[str, list[int]] = {}
    for fault in faults:
        alike.setdefault(fault.text, []).append(fault.example)
    for text, rows in alike.items():
        of = f" of example{'s' * (len(rows) > 1)} {_named(rows)}" if examples > 1 else ""
        warn_caller(f"the {method} map{of} {text}")


def _named(rows: Sequence[int]) -> str:
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return ", ".join(map(str, rows[:NAMED])) + more


def as_provenance(faults: Sequence[Fault]) -> dict[str, Any]:
    """The faults as provenance keeps them."""
    return {"faults": [[fault.example, fault.text] for fault in faults]} if faults else {}


def unusable(provenance: Mapping[str, Any]) -> str | None:
    """The fault of the map of the only example, if the map cannot be drawn or listed."""
    return next((text for _, text in provenance.get("faults", ()) if text.startswith(NOT_FINITE)), None)
