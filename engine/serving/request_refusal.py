"""Why a request gets no result: a status of HTTP and one line, which names nothing that is inside the model."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from ..errors import ExecutionError, InputError, OnnxrayError
from ..graph.model import Model

__all__ = ["Refusal", "Wording"]

_QUOTED = re.compile(r"'([^']*)'")


class Refusal(Exception):
    """A request is refused with a status; ``kind`` counts it in the metrics, ``retry`` is when to come again, in s."""

    def __init__(self, status: int, text: str, kind: str, retry: int | None = None, closes: bool = False) -> None:
        super().__init__(text)
        self.status, self.text, self.kind, self.retry, self.closes = status, text, kind, retry, closes


@dataclass(frozen=True, eq=False)
class Wording:
    """Says errors of the engine to clients: names of tensors, nodes and files of the model are left out."""

    model: Model

    @cached_property
    def hidden(self) -> Collection[str]:
        """The names of what is inside the model; those of its inputs and outputs are public."""
        graph = self.model.graph
        inner = {str(name) for node in graph for name in (node.name, *(value.name for value in node.outputs)) if name}
        public = {str(value.name) for value in (*self.model.inputs, *self.model.outputs)}
        return (inner | set(map(str, graph.initializers))) - public

    def of(self, error: OnnxrayError) -> Refusal:
        """The refusal that an error of the engine means: all of them are of what the request gave."""
        if isinstance(error, InputError):
            return Refusal(400, self.public(str(error)), "input")
        if isinstance(error, ExecutionError):
            return Refusal(
                400, "the model cannot run on this input; its log has the reason by this request's id", "run"
            )
        return Refusal(400, "the method cannot explain this target on this input; its log has the reason", "method")

    def public(self, text: str) -> str:
        """The text without names from inside the model."""
        path = str(self.model.path) if self.model.path else None
        text = text.replace(path, "the model") if path else text
        return _QUOTED.sub(lambda found: "(inside the model)" if found[1] in self.hidden else found[0], text)
