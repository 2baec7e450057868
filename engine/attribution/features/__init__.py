"""The tensors that get the credit for a score, one kind per file."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import InputError
from .credited import Features
from .inner import Inner
from .model_inputs import Inputs

__all__ = ["Features", "Inner", "Inputs", "features_of"]


def features_of(said: Features | str | Sequence[str] | None) -> Features:
    """The features that a user means: those given, layers by name, or the inputs."""
    if said is None:
        return Inputs()
    if isinstance(said, Features):
        return said
    if isinstance(said, str):
        return Inner(said)
    if isinstance(said, Sequence):
        return Inner(*said)
    raise InputError(f"features of type {type(said).__name__}: give names of layers, nodes or tensors")
