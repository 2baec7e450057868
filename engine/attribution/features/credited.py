"""Features: the tensors of a model that get the credit for a score."""

from __future__ import annotations

from abc import ABC, abstractmethod

from ...graph.model import Model
from ...methods.explained import Explained

__all__ = ["Features"]


class Features(ABC):
    """The tensors of a model that get the credit for a score."""

    @property
    def inputs(self) -> bool:
        """Whether that is what the user feeds, so that an attribution fits the picture or the tokens."""
        return False

    @abstractmethod
    def explained(self, model: Model, whole: bool = False, of: str | None = None) -> dict[str, Explained]:
        """The tensors that get it, by the name of their attribution.

        ``whole``: no axis counts examples, as all that the inputs hold is one. ``of``: the tensor of scores.
        """
