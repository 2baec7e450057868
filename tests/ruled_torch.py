"""PyTorch's functions by other rules than their derivatives, on any module, unedited: formulas of LRP and DeepLIFT.

What flows back is then a relevance, or a multiplier; what moves data or picks from it keeps its derivative, as that
moves these, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function
from torch.overrides import TorchFunctionMode

__all__ = ["Back", "ByRules", "Rules", "adjoint", "ruled"]

Back = Callable[[Tensor], tuple[Tensor, ...]]
Rules = Mapping[Callable[..., Any], Callable[..., Any]]


class ByRules(TorchFunctionMode):
    """Within it, functions that have a rule are called as that rule says; a rule itself calls PyTorch's own."""

    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self.rules = rules

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self.rules.get(func, func)(*args, **(kwargs or {}))


class _Ruled(Function):
    @staticmethod
    def forward(ctx: Any, back: Back, y: Tensor, *xs: Tensor) -> Tensor:
        ctx.back = back
        return y.clone()

    @staticmethod
    def backward(ctx: Any, *arrived: Tensor) -> Any:
        return (None, None, *ctx.back(*arrived))


def ruled(y: Tensor, back: Back, *xs: Tensor) -> Tensor:
    """y, computed from the xs, of which each gets what ``back`` makes of what arrives at y."""
    return _Ruled.apply(back, y.detach(), *xs)  # type: ignore[no-any-return]


def adjoint(function: Callable[[Tensor], Tensor], x: Tensor, dy: Tensor) -> Tensor:
    """The derivative of a function at x times dy."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        return torch.autograd.grad(function(at), at, dy)[0]
