"""The inputs of a model, or the embeddings of its tokens."""

from __future__ import annotations

from dataclasses import dataclass

from ...graph.model import Model
from ...methods.explained import Explained
from ..axes import explained_inputs
from .credited import Features

__all__ = ["Inputs"]


@dataclass(frozen=True)
class Inputs(Features):
    """The floating-point inputs, and what integers are embedded or cast as."""

    @property
    def inputs(self) -> bool:
        return True

    def explained(self, model: Model, whole: bool = False, of: str | None = None) -> dict[str, Explained]:
        return explained_inputs(model, whole, of)
