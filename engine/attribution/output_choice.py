"""Which of several outputs holds the scores: an error where one does that is not taken, a line where several may."""

from __future__ import annotations

import onnx_ir as ir

from ..errors import InputError
from ..graph.model import Model, is_float
from ..support.caller import warn_caller
from .heads import find_head
from .score import TENSORS
from .state_inputs import carried_states

__all__ = ["check_output"]


def check_output(model: Model, score: str) -> None:
    """Checks that the first output is the one that holds the scores, where no tensor is named.

    InputError where a later output comes from a Softmax or Sigmoid, and the first does not: it holds the offsets of
    boxes, embeddings or other numbers. A warning where nothing tells which of several is meant.
    """
    if score not in TENSORS:
        return
    states = set(carried_states(model).values())
    first, *others = [y for y in model.outputs if is_float(y) and str(y.name) not in states] or [None]
    if first is None or not others:
        return
    headed, names = [y for y in others if y is not None and find_head(y)], ", ".join(map(_named, [first, *others]))
    if find_head(first) is None and headed:
        of = ", ".join(repr(y.name) for y in headed)
        raise InputError(
            f"the model has the outputs {names}: the first comes from no Softmax or Sigmoid, as scores do, but {of} "
            f"do{'es' * (len(headed) == 1)}; name the one to explain by score=: {_logits_of(headed[0])}"
        )
    if find_head(first) is None or headed:
        warn_caller(f"the model has the outputs {names}: the first is explained; name another by score=")


def _named(y: ir.Value | None) -> str:
    sizes = "" if y is None or y.shape is None else f" ({', '.join('?' if d is None else str(d) for d in y.shape)})"
    return f"{y.name!r}{sizes}" if y is not None else ""


def _logits_of(y: ir.Value) -> str:
    """How an output is named, and the logits before it."""
    head = find_head(y)
    before = head.tensor if head is not None and not head.behind else None
    return f"{y.name!r}" + (f", or {before.name!r} for its logits" if before is not None else "")
