"""Tensors inside a model: neurons, channels, the output of a layer."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import InputError
from ...graph.model import Model
from ...graph.traversal import ancestors
from ...methods.explained import Explained
from ..axes import examples_axis
from .credited import Features

__all__ = ["Inner"]


@dataclass(frozen=True)
class Inner(Features):
    """Tensors inside a model; an attribution has the shape of its tensor.

    With input-x-gradient that is layer gradient x activation. The path of integrated-gradients leads from a baseline of
    the tensor itself, 0 by default, not from the tensor of a baseline input.

    Args:
        names: Layers, nodes or tensors, whose values are floats.

    Example:
        >>> import onnxray.models
        >>> digits, picture = onnxray.models.path("digits.onnx"), onnxray.models.path("digit.png")
        >>> onnxray.explain(digits, picture, "input-x-gradient", features="pool2").values.shape
        (1, 32, 7, 7)
    """

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)
        if not names or not all(isinstance(name, str) for name in names):
            raise InputError("features: give the names of layers, nodes or tensors")

    def explained(self, model: Model, whole: bool = False, of: str | None = None) -> dict[str, Explained]:
        if len({value.name for value in model.values(self.names)}) < len(self.names):
            raise InputError(f"features {', '.join(self.names)}: two of them are the same tensor")
        before = set(ancestors([model.value(of)])) if of is not None else set()
        return {name: self._one(model, name, whole, of, before) for name in self.names}

    def _one(self, model: Model, name: str, whole: bool, of: str | None, before: set) -> Explained:
        (value,) = model.values(name)
        if of is not None and value not in before:
            raise InputError(f"the score {of!r} does not depend on {name!r}; name a layer before it in features=")
        axis = None if whole else examples_axis(model, str(value.name))
        dims = list(value.shape) if value.shape is not None else []
        shape = tuple(d if isinstance(d, int) else None for k, d in enumerate(dims) if k != axis)
        return Explained(name, shape, axis, 0 if len(shape) == 3 else None, tensor=str(value.name))
