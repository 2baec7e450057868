"""The value of every module of a torch model, with the names of its axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .candidates import LayerValue
from .layer_names import FIRST, LAST, call_name
from .torch_call import leaves

__all__ = ["record"]

DEFAULT = {1: "N", 2: "NC", 3: "NLC", 4: "NCHW", 5: "NCDHW"}
CHANNELS_LAST = ("Linear", "LayerNorm", "Embedding", "MultiheadAttention", "RMSNorm", "Transformer")
CHANNELS_FIRST = (
    "Conv",
    "BatchNorm",
    "InstanceNorm",
    "GroupNorm",
    "MaxPool",
    "AvgPool",
    "AdaptiveMaxPool",
    "AdaptiveAvgPool",
)


def record(module: Any, run: Callable[[], Any]) -> dict[str, LayerValue | str]:
    """Run the model with a hook on every module: the value of each call, or why there is none.

    The first call of a module bears its plain name, later ones `name:1`, `name:2`. Values are copied at once,
    because an in-place activation overwrites them.
    """
    found: dict[str, LayerValue | str] = {}
    axes = Axes()
    parts = [(name, part) for name, part in module.named_modules(remove_duplicate=False) if name]
    handles = [part.register_forward_hook(hook(name, found, axes)) for name, part in parts]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    for name, _ in parts:
        found.setdefault(name, "its forward is never called: it only holds modules or weights for its parent")
    return found


def hook(name: str, found: dict[str, LayerValue | str], axes: Axes) -> Callable[[Any, Any, Any], None]:
    """A forward hook that keeps the first tensor of a module's output."""

    def keep(part: Any, _: Any, output: Any) -> None:
        tensor = next(iter(leaves(output)), None)
        if tensor is None:
            found[call_name(found, name)] = "its output holds no tensor"
        else:
            value = tensor.detach().cpu().numpy().copy()
            found[call_name(found, name)] = LayerValue(value, axes.of(part, tuple(tensor.shape)))

    return keep


class Axes:
    """The axes of values as they come: a convolution puts channels first, a Linear last, a ReLU changes nothing."""

    def __init__(self) -> None:
        self.seen: dict[int, str] = {}

    def of(self, part: Any, shape: tuple[int, ...]) -> str:
        """Name the axes of a module's output; kinds that do not tell inherit from the last one of that rank."""
        rank = len(shape)
        axes = own_axes(part, rank)
        if axes is None:
            return self.seen.get(rank, DEFAULT.get(rank, ""))
        self.seen[rank] = axes
        return axes


def own_axes(part: Any, rank: int) -> str | None:
    """The axes that a module's kind fixes, if it does."""
    kind = type(part).__name__
    if rank == 3 and hasattr(part, "batch_first"):
        return "NLC" if part.batch_first else "LNC"
    if kind.startswith(CHANNELS_FIRST):
        return FIRST.get(rank)
    return LAST.get(rank) if kind.startswith(CHANNELS_LAST) else None
