"""From the sums over the runs of a batch to its Attribution, with how it was made."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from ..attribution.plan import ExplanationGraph
from ..attribution.result import Attribution
from ..attribution.run import Sums, by_row
from ..attribution.shadow_gap import gap_record
from ..autodiff.overlays import EXACT
from ..autodiff.registry import Overlay
from ..data.audio import sampling_rate
from ..data.batch import Prepared
from ..graph.metadata import FEATURES, entry
from ..methods import Method

__all__ = ["Described", "attribution_of", "described"]


@dataclass(frozen=True)
class Described:
    """Fields of the attributions that an explanation graph makes; ``explained`` is of one batch."""

    provenance: dict[str, Any]
    layout: Literal["NLC", "NCHW", "NCDHW"] | None
    columns: tuple[str, ...]
    explained: tuple[str, ...] = ()


def described(plan: ExplanationGraph, method: Method, score: str, note: str | None, rules: Overlay) -> Described:
    """What is the same of all attributions by a graph; ``note`` as from ``note_of``."""
    return Described(_provenance(plan, method, score, note, rules), _layout(plan), _columns(plan))


def attribution_of(
    plan: ExplanationGraph, method: Method, given: Prepared, target: np.ndarray, sums: Sums, about: Described
) -> Attribution:
    """The attribution of a batch from the sums over its runs."""
    values = {
        name: np.moveaxis(array, 0, axis) if (axis := plan.row_axis(name)) else array
        for name, array in sums.values.items()
    }
    return Attribution(
        values=next(iter(values.values())) if len(values) == 1 else values,
        target=target,
        score=sums.scores[:, 0],
        method=method.name,
        delta=sums.delta,
        layout=given.preprocess.layout if given.preprocess and plan.fed else about.layout,
        pictures=given.pictures if plan.fed or plan.layer_sized else (),
        provenance=deepcopy(about.provenance) | _of_inputs(plan, given) | gap_record(sums.gaps, plan.bound),
        reduction=method.reduction if about.layout == "NLC" or method.from_least else "abs-max",
        inputs={} if given.pictures else _drawn_over(plan, given),
        columns=about.columns,
        explained=about.explained,
    )


def _columns(plan: ExplanationGraph) -> tuple[str, ...]:
    """The names of the columns of a table, where the model has them and its columns get the credit."""
    names = tuple(map(str, entry(plan.model.metadata, FEATURES) or ()))
    shapes = [about.shape for about in plan.explained.values()]
    return names if plan.fed and not plan.layer_sized and shapes == [(len(names),)] else ()


def _provenance(plan: ExplanationGraph, method: Method, score: str, note: str | None, rules: Overlay) -> dict[str, Any]:
    """How it was made; where embeddings are explained, of which input, and the line that says so."""
    tokens = {name: about.tokens for name, about in plan.explained.items() if about.tokens}
    said = {"note": note, "tokens": tokens} if note else {}
    layer = {"layer": plan.layer} if plan.layer is not None else {}
    layer |= {"input_sized": True} if layer and not plan.layer_sized else {}
    laid = {} if rules is EXACT else {"rules": rules.name}
    inner = {} if plan.fed else {"features": list(plan.explained)}
    return {"options": repr(method), "score": score, **said, **layer, **laid, **inner, **_by_rule(plan)}


def _of_inputs(plan: ExplanationGraph, given: Prepared) -> dict[str, Any]:
    """States that were left out, samples a second, and axes of examples other than the first, where there are any."""
    feeds = {name: array for name, array in given.batch.feeds.items() if name not in given.states}
    axes = {name: axis for name in plan.explained if (axis := plan.row_axis(name))}
    rate, sound = sampling_rate(given.batch.feeds), next((n for n, a in feeds.items() if a.dtype.kind == "f"), None)
    states = {"zero_states": list(given.states)} if given.states else {}
    return states | ({"example_axes": axes} if axes else {}) | ({"rate": rate, "rate_of": sound} if rate else {})


def _drawn_over(plan: ExplanationGraph, given: Prepared) -> dict[str, np.ndarray]:
    """The floating-point inputs that are explained, or of which a layer is, with examples on their first axis."""
    examples, found = given.batch.examples, {}
    for name, array in given.batch.feeds.items():
        if array.dtype.kind == "f" and name not in given.states and (plan.fed or plan.layer_sized):
            axis = given.batch.axes[name]
            found[name] = np.broadcast_to(array, (examples, *array.shape)) if axis is None else by_row(array, axis)
    return found


def _by_rule(plan: ExplanationGraph) -> dict[str, Any]:
    """The nodes by the rule that an overlay gave them, where its rules have names."""
    named = [activation for activation in plan.activations if activation.rule]
    rules = dict.fromkeys(activation.rule for activation in named)
    found = {rule: [f"{one.op} {one.node}" for one in named if one.rule == rule] for rule in rules}
    return {"nodes_by_rule": found} if found else {}


def _layout(plan: ExplanationGraph) -> Literal["NLC", "NCHW", "NCDHW"] | None:
    """That of embeddings and of maps inside the model; pictures are known by their preprocessing."""
    if not plan.fed:
        ranks = {len(about.shape) if about.channels == 0 else None for about in plan.explained.values()}
        return "NCHW" if ranks == {3} else "NCDHW" if ranks == {4} else None
    return "NLC" if not plan.layer_sized and all(about.tokens for about in plan.explained.values()) else None
