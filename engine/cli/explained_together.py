"""Pictures that are explained in one batch: which may be, and how it is done."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from ..attribution.result import Attribution
from ..data.batch import Prepared, concatenated
from ..errors import OnnxrayError
from ..explainer import Explainer
from .file_batch import FileTask, RowProgress

__all__ = ["explained_together", "input_bytes", "together"]

DEFAULT = 16


def together(explainer: Explainer, requested: int | None) -> int:
    """How many pictures are explained at once: as many as asked for, one where the others would change a result.

    A method of many points fills its runs with these. Some methods take values or baselines of the other examples, and
    dynamic quantisation takes its scale from all of them.
    """
    model, method = explainer.model, explainer.method
    dynamic = any("Dynamic" in node.op_type for node in model.graph.all_nodes())
    own = isinstance(getattr(method, "baseline", 0), int | float | tuple)
    return 1 if method.many or dynamic or not own else requested or DEFAULT


def input_bytes(held: Prepared) -> int:
    return sum(array.nbytes for array in held.batch.feeds.values())


def explained_together(
    explainer: Explainer, target: Any, tasks: Sequence[FileTask], progress: RowProgress | None
) -> dict[str, Attribution]:
    """The attributions of pictures by stem, those of one shape in one batch.

    Those of a batch that fails are missing, so that each by itself tells which of them is at fault; so are those that
    a model takes as one example.
    """
    found: dict[str, Attribution] = {}
    for group in _of_one_shape(tasks):
        try:
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                attribution = explainer(concatenated([task.held for task in group]), target, progress=progress)
        except OnnxrayError:
            continue
        if len(attribution) == len(group):
            found |= {task.stem: one for task, one in zip(group, attribution, strict=True)}
            _tell(told, group, attribution.method)
    return found


def _of_one_shape(tasks: Sequence[FileTask]) -> list[list[FileTask]]:
    """The pictures by the shapes of their inputs, without those that are alone or have no axis of examples."""
    groups: dict[Any, list[FileTask]] = {}
    for task in tasks:
        feeds: Mapping[str, Any] = task.held.batch.feeds
        groups.setdefault(tuple((name, array.shape) for name, array in feeds.items()), []).append(task)
    return [group for group in groups.values() if len(group) > 1 and None not in group[0].held.batch.axes.values()]


def _tell(told: Sequence[warnings.WarningMessage], group: Sequence[FileTask], method: str) -> None:
    """The warnings of a batch but those of single maps, which are told with the file of each."""
    for one in told:
        if not str(one.message).startswith(f"the {method} map of example"):
            text = f"{group[0].file} and {len(group) - 1} more: {one.message}"
            warnings.warn(text, one.category, stacklevel=4)
