"""The built graphs of an Explainer: the few used last, so that many input sizes do not fill the memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

from ..graph.model import Model
from ..support.heap import release

__all__ = ["KEPT", "Plans", "has_branches", "has_open_sizes"]

KEPT = 8  # plans of one explainer; each holds a graph and a session of onnxruntime, 20 MB and more

P = TypeVar("P")


class Plans(Generic[P]):
    """Plans by the shapes that they were built for; where there are more than ``KEPT``, the one unused longest goes.

    A thread may still run the one that goes: its session is freed with the last reference to it.
    """

    def __init__(self) -> None:
        self._held: OrderedDict[Hashable, P] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, build: Callable[[], P]) -> P:
        """The plan of a key, built where it is not there.

        One thread builds at a time, so that two that ask for the same plan do not build it twice.
        """
        with self._lock:
            if key not in self._held:
                self._held[key] = build()
                if len(self._held) > KEPT:
                    self._held.popitem(last=False)
                    release()  # or the heap, in pieces, would grow with each size
            self._held.move_to_end(key)
            return self._held[key]

    def __iter__(self) -> Iterator[P]:
        with self._lock:
            return iter(list(self._held.values()))

    def __len__(self) -> int:
        return len(self._held)


def has_open_sizes(model: Model) -> bool:
    """Whether any dimension but the batch is known only from the data."""
    return any(
        value.shape is None or any(not isinstance(d, int) for d in list(value.shape)[1:]) for value in model.inputs
    )


def has_branches(model: Model) -> bool:
    """Whether a model holds an If."""
    return any(node.op_type == "If" for node in model.graph.all_nodes())
