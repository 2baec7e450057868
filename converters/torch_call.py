"""Calling a torch module as its caller does: arguments by position or by name, in eval mode, left as it was."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import numpy as np

from .candidates import Feed
from .input_specs import Spec
from .quiet import converting, require
from .torch_backward import right_batch_norms

__all__ = ["Call", "embedded", "evaluating", "leaves"]

MISFIT = "give inputs= that its forward accepts"


@dataclass(frozen=True)
class Call:
    """A module, the keyword that each of its inputs goes by (None: by position) and the inputs' names in the graph."""

    module: Any
    keywords: tuple[str | None, ...]
    names: tuple[str, ...] = ()

    def arguments(self, values: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments, on the device of the module."""
        torch, device = require("torch"), device_of(self.module)
        pairs = [(k, torch.as_tensor(v).to(device)) for k, v in zip(self.keywords, values, strict=True)]
        return tuple(v for k, v in pairs if not k), {k: v for k, v in pairs if k}

    def ordered(self, feed: Mapping[str, Any]) -> list[Any]:
        """The values of a feed in the order of the keywords."""
        names = self.keywords if all(k in feed for k in self.keywords) else self.names
        return [feed[str(name)] for name in names]

    def __call__(self, feed: Mapping[str, Any]) -> list[Any]:
        """The tensors that the forward pass gives in eval mode, without a tape."""
        args, kwargs = self.arguments(self.ordered(feed))
        no_grad = require("torch").no_grad()
        with converting("the PyTorch model cannot be run", MISFIT), evaluating(self.module), no_grad:
            return leaves(self.module(*args, **kwargs))

    def outputs(self, feed: Feed) -> list[np.ndarray]:
        """The outputs for a feed, as arrays."""
        return [tensor.detach().cpu().numpy() for tensor in self(feed)]

    def in_float64(self) -> Call:
        """The same call of a copy that computes in float64."""
        with converting("the PyTorch module has no float64 form", "leave check_gradients out"):
            return replace(self, module=copy.deepcopy(self.module).double())

    def gradients(self, feed: Feed, weights: np.ndarray, double: bool) -> Feed | None:
        """The gradient of the weighted sum of the first output, in float64 on a copy where asked."""
        torch, call = require("torch"), self.in_float64() if double else self
        values = {
            k: torch.as_tensor(v.astype(np.float64) if double and v.dtype.kind == "f" else v) for k, v in feed.items()
        }
        wanted = {k: v.requires_grad_() for k, v in values.items() if v.is_floating_point()}
        if not wanted:
            return {}
        args, kwargs = call.arguments(call.ordered(values))
        with quiet_tape(call.module):
            first = leaves(call.module(*args, **kwargs))[0]
            total = (first * torch.as_tensor(weights).to(first)).sum()
            with right_batch_norms():
                found = torch.autograd.grad(total, list(wanted.values()), allow_unused=True)
        pairs = zip(wanted.items(), found, strict=True)
        return {k: np.zeros(v.shape) if g is None else g.cpu().numpy() for (k, v), g in pairs}


@contextmanager
def evaluating(module: Any) -> Iterator[None]:
    """Switch a module to eval mode, and every part of it back to its own mode afterwards."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextmanager
def quiet_tape(module: Any) -> Iterator[None]:
    """Eval mode with a gradient tape."""
    torch = require("torch")
    guard = converting("PyTorch cannot differentiate the model", "leave check_gradients out")
    with guard, evaluating(module), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        yield


def leaves(output: Any) -> list[Any]:
    """The tensors in whatever a forward pass returns, in order."""
    torch = require("torch")
    found = torch.utils._pytree.tree_leaves(output)
    return [leaf for leaf in found if isinstance(leaf, torch.Tensor)]


def device_of(module: Any) -> Any:
    """The device of a module's first parameter or buffer."""
    first = next(chain(module.parameters(), module.buffers()), None)
    return require("torch").device("cpu") if first is None else first.device


def embedded(module: Any, spec: Spec) -> Spec:
    """Bound the integers of an input by the smallest embedding of the module."""
    sizes = [part.num_embeddings for part in module.modules() if hasattr(part, "num_embeddings")]
    return replace(spec, vocabulary=spec.vocabulary or min(sizes, default=2))
