"""DeepLIFT's rescale rule in PyTorch, multiplier by multiplier (Shrikumar et al., 2017, arXiv:1704.02685).

The examples run in the upper half of a batch, their references in the lower half; what flows back to the upper half is
the multipliers, and nothing to the lower one. Softmax and normalisations are what they are made of: exponentials, sums,
logarithms, roots, and products, of which each factor has the other's mean.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from ruled_torch import ByRules, Rules, adjoint, ruled
from torch import Tensor, nn

__all__ = ["RULES", "contributions"]

SAME = 1e-7  # of a difference in float64, below which a quotient has fewer digits than the derivative


def halves(*values: Tensor) -> list[tuple[Tensor, ...]]:
    return [value.detach().chunk(2) for value in values]


def above(*multipliers: Tensor) -> tuple[Tensor, ...]:
    return tuple(torch.cat([m, torch.zeros_like(m)]) for m in multipliers)


def rescaled(function: Callable[..., Tensor], x: Tensor, *more: Any, **named: Any) -> Tensor:
    """Elementwise: the difference of y over that of x, where x differs, else the derivative."""
    y, f = function(x.detach(), *more, **named), lambda v: function(v, *more, **named)

    def back(m: Tensor) -> tuple[Tensor, ...]:
        (at, low), (high, base), (m, _) = halves(x, y, m)
        same = (at - low).abs() < SAME
        slope = (high - base) / torch.where(same, torch.ones_like(at), at - low)
        return above(torch.where(same, adjoint(f, at, m), m * slope))

    return ruled(y, back, x)


def pooled(x: Tensor, *more: Any, **named: Any) -> Tensor:
    """A maximum that grows is due to what holds it, one that falls to what held it."""
    named.pop("return_indices", None)
    f = lambda v: F.max_pool2d(v, *more, **named)  # noqa: E731
    y = f(x.detach())

    def back(m: Tensor) -> tuple[Tensor, ...]:
        (at, low), (high, base), (m, _) = halves(x, y, m)
        change = high - base
        part = adjoint(f, at, m * change.clamp(min=0)) + adjoint(f, low, m * change.clamp(max=0))
        same = at == low
        return above(torch.where(same, adjoint(f, at, m), part / torch.where(same, torch.ones_like(at), at - low)))

    return ruled(y, back, x)


def times(a: Tensor, b: Tensor) -> Tensor:
    def back(m: Tensor) -> tuple[Tensor, ...]:
        (a_, b_), (m, _) = ((sum(ends) / 2 for ends in halves(a, b)), *halves(m))
        return above((m * b_).sum_to_size(a_.shape), (m * a_).sum_to_size(b_.shape))

    return ruled(a.detach() * b.detach(), back, a, b)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    def back(m: Tensor) -> tuple[Tensor, ...]:
        (a_, b_), (m, _) = ((sum(ends) / 2 for ends in halves(a, b)), *halves(m))
        return above(m @ b_.transpose(-1, -2), a_.transpose(-1, -2) @ m)

    return ruled(a.detach() @ b.detach(), back, a, b)


def softmax(x: Tensor) -> Tensor:
    of_sum = rescaled(torch.log, rescaled(torch.exp, x).sum(-1, keepdim=True))
    return rescaled(torch.exp, x - of_sum)


def norm(x: Tensor, shape: Any, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    u = x - x.mean(-1, keepdim=True)
    variance = rescaled(torch.square, u).mean(-1, keepdim=True)
    return times(u, rescaled(torch.rsqrt, variance + eps)) * weight + bias


def attended(q: Tensor, k: Tensor, v: Tensor, attn_mask: Any = None, **named: Any) -> Tensor:
    assert attn_mask is None
    return matmul(softmax(matmul(q * (named.get("scale") or q.shape[-1] ** -0.5), k.transpose(-1, -2))), v)


RULES: Rules = {
    **{function: partial(rescaled, function) for function in (F.relu, F.hardtanh, F.gelu, torch.tanh, Tensor.tanh)},
    F.max_pool2d: pooled,
    F.layer_norm: norm,
    F.scaled_dot_product_attention: attended,
}


def contributions(module: nn.Module, x: Tensor, reference: Tensor, target: int) -> Tensor:
    """(x - x') m of the score of a class."""
    both = torch.cat([x, reference]).detach().requires_grad_()
    with ByRules(RULES):
        scores = module(both)
    seed = torch.zeros_like(scores)
    seed[: len(x), target] = 1
    return (x - reference) * torch.autograd.grad(scores, both, seed)[0][: len(x)]
