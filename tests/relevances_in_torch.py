"""LRP in PyTorch as its papers write it, relevance by relevance: the composites of convolutional nets, and AttnLRP.

A second implementation beside the engine's, which writes rules as gradients: here what flows back is the relevance.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, repeat
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from ruled_torch import ByRules, Rules, adjoint, ruled
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["COMPOSITES", "Operators", "attention_rules", "by_paper", "composite_rules", "fused", "relevance"]

EPSILON, TINY = 1e-6, 1e-12
Linear = Callable[[Tensor], Tensor]
Rule = Callable[[Callable[[Tensor], Linear], Tensor, Tensor, Tensor, Tensor], Tensor]


def stable(z: Tensor, epsilon: float = EPSILON) -> Tensor:
    return z + epsilon * torch.where(z < 0, -1.0, 1.0).to(z)


def spread(parts: list[tuple[Linear, Tensor]], b: Tensor | float, r: Tensor, stabiliser: float = EPSILON) -> Tensor:
    """By what each x adds to z = the sum of the parts and b."""
    none = torch.zeros(()).to(r)
    share = r / stable(sum((f(x) for f, x in parts), none) + b, stabiliser)
    return sum((x * adjoint(f, x, share) for f, x in parts), none)


def signs(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.clamp(min=0), x.clamp(max=0)


def epsilon(stabiliser: float = EPSILON) -> Rule:
    return lambda of, x, w, b, r: spread([(of(w), x)], b, r, stabiliser)


def alpha_beta(alpha: float, beta: float) -> Rule:
    def rule(of: Any, x: Tensor, w: Tensor, b: Tensor, r: Tensor) -> Tensor:
        (above, below), (more, less) = signs(x), signs(w)
        for_it = spread([(of(more), above), (of(less), below)], b.clamp(min=0), r)
        return alpha * for_it - beta * spread([(of(less), above), (of(more), below)], b.clamp(max=0), r)

    return rule


def gamma(factor: float) -> Rule:
    def rule(of: Any, x: Tensor, w: Tensor, b: Tensor, r: Tensor) -> Tensor:
        (above, below), z = signs(x), of(w)(x) + b
        more, less = (w + factor * part for part in signs(w))
        first = spread([(of(more), above), (of(less), below)], b + factor * b.clamp(min=0), r * (z > 0))
        return first + spread([(of(less), above), (of(more), below)], b + factor * b.clamp(max=0), r * (z < 0))

    return rule


def flat(of: Any, x: Tensor, w: Tensor, b: Tensor, r: Tensor) -> Tensor:
    return spread([(of(torch.ones_like(w)), torch.ones_like(x))], 0.0, r)


def z_box(of: Any, x: Tensor, w: Tensor, b: Tensor, r: Tensor) -> Tensor:
    """Between the least and the most of each example."""
    low, high = (end((1, 2, 3), True).expand_as(x) for end in (x.amin, x.amax))
    return spread([(of(w), x), (of(-w.clamp(min=0)), low), (of(-w.clamp(max=0)), high)], 0.0, r)


COMPOSITES: dict[str, tuple[Rule, Rule | None]] = {  # of convolutions, and of the first; Linear takes epsilon
    "epsilon": (epsilon(), None),
    "epsilon-plus": (alpha_beta(1, 0), None),
    "epsilon-plus-flat": (alpha_beta(1, 0), flat),
    "epsilon-alpha2-beta1": (alpha_beta(2, 1), None),
    "epsilon-gamma-box": (gamma(0.25), z_box),
}


def layer(rules: Iterator[Rule], function: Any, x: Tensor, w: Tensor, b: Tensor | None = None, *more: Any) -> Tensor:
    """A convolution or a matrix, by the next of the rules."""
    y, rule = function(x, w, b, *more), next(rules)
    bias = torch.zeros(()).to(w) if b is None else b.reshape(-1, *[1] * (w.dim() - 2))
    of = lambda weights: lambda v: function(v, weights, None, *more)  # noqa: E731
    return ruled(y, lambda r: (rule(of, x.detach(), w, bias, r),), x)


def passed(function: Callable[..., Tensor], x: Tensor, *more: Any, **named: Any) -> Tensor:
    return ruled(function(x.detach(), *more, **named), lambda r: (r,), x)


def by_share(function: Callable[..., Tensor], x: Tensor, *more: Any, **named: Any) -> Tensor:
    """What adds up, as a mean does."""
    y, f = function(x.detach(), *more, **named), lambda v: function(v, *more, **named)
    return ruled(y, lambda r: (x.detach() * adjoint(f, x, r / stable(y, TINY)),), x)


def add(a: Tensor, b: Tensor) -> Tensor:
    """Each by its share, summed where it was broadcast; of constants nothing is asked."""
    y, ends = (a + b).detach(), (a.detach(), b.detach())
    return ruled(y, lambda r: tuple((r * x / stable(y, TINY)).sum_to_size(x.shape) for x in ends), a, b)


def composite_rules(name: str) -> Rules:
    inner, first = COMPOSITES[name]
    return {
        F.conv2d: partial(layer, chain([first] if first else [], repeat(inner)), F.conv2d),
        F.linear: partial(layer, repeat(epsilon()), F.linear),
        F.relu: partial(passed, F.relu),
        F.relu6: partial(passed, F.relu6),
        F.hardtanh: partial(passed, F.hardtanh),
        F.avg_pool2d: partial(by_share, F.avg_pool2d),
        F.adaptive_avg_pool2d: partial(by_share, F.adaptive_avg_pool2d),
        Tensor.add: add,
    }


# Transformers (Achtibat et al., 2024, arXiv:2402.05602) --------------------------------------------------------------


@dataclass(frozen=True)
class Operators:
    """What a transformer is made of, by the rules of one implementation."""

    linear: Callable[..., Tensor]
    conv: Callable[..., Tensor]
    matmul: Callable[[Tensor, Tensor], Tensor]
    softmax: Callable[[Tensor], Tensor]
    norm: Callable[..., Tensor]
    add: Callable[[Tensor, Tensor], Tensor]
    passed: Callable[..., Tensor]


def product(a: Tensor, b: Tensor) -> Tensor:
    """Proposition 3.3: half to each."""
    y, (a_, b_) = (a @ b).detach(), (a.detach(), b.detach())

    def back(r: Tensor) -> tuple[Tensor, ...]:
        share = r / stable(2 * y, TINY)
        return a_ * (share @ b_.transpose(-1, -2)), b_ * (a_.transpose(-1, -2) @ share)

    return ruled(y, back, a, b)


def softmax(x: Tensor) -> Tensor:
    """Proposition 3.1."""
    s = x.detach().softmax(-1)
    return ruled(s, lambda r: (x.detach() * (r - s * r.sum(-1, keepdim=True)),), x)


def norm(x: Tensor, shape: Any, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
    """Proposition 3.4: the deviation is a constant."""
    y, at = F.layer_norm(x.detach(), shape, weight, bias, eps), x.detach()
    deviation = (at.var(-1, correction=0, keepdim=True) + eps).sqrt()

    def back(r: Tensor) -> tuple[Tensor, ...]:
        share = r / stable(y, TINY) * weight / deviation
        return (at * (share - share.mean(-1, keepdim=True)),)

    return ruled(y, back, x)


def by_paper(stabiliser: float = EPSILON) -> Operators:
    linear, conv = (partial(layer, repeat(epsilon(stabiliser)), function) for function in (F.linear, F.conv2d))
    return Operators(linear, conv, product, softmax, norm, add, passed)


def attention_rules(of: Operators) -> Rules:
    return {
        F.linear: of.linear,
        F.conv2d: of.conv,
        F.layer_norm: of.norm,
        F.gelu: partial(of.passed, F.gelu),
        Tensor.tanh: partial(of.passed, Tensor.tanh),
        torch.tanh: partial(of.passed, torch.tanh),
        Tensor.add: partial(added, of),
        F.scaled_dot_product_attention: partial(attended, of),
    }


def added(of: Operators, a: Tensor, b: Any) -> Tensor:
    """By the rule where anything is asked: masks are made of sums, too."""
    return of.add(a, b) if a.requires_grad or getattr(b, "requires_grad", False) else a + b


def attended(of: Operators, q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None, **named: Any) -> Tensor:
    scale = named.get("scale") or q.shape[-1] ** -0.5
    logits = of.matmul(of.passed(lambda x: x * scale, q), k.transpose(-1, -2))
    if attn_mask is not None:  # bool: False is hidden
        logits = logits.masked_fill(~attn_mask, -1e30)
    return of.matmul(of.softmax(logits), v)


# A module's relevance ------------------------------------------------------------------------------------------------


def fused(module: nn.Module) -> nn.Module:
    """A copy, where BatchNormalization is part of the convolution in front of it."""
    made = copy.deepcopy(module)
    for part in made.modules():
        if isinstance(part, nn.Sequential):
            for k in range(1, len(part)):
                if isinstance(part[k - 1], nn.Conv2d) and isinstance(part[k], nn.BatchNorm2d):
                    part[k - 1], part[k] = fuse_conv_bn_eval(part[k - 1], part[k]), nn.Identity()
    return made


def relevance(module: nn.Module, x: Tensor, rules: Rules, target: int) -> Tensor:
    """The score of a class, handed back to x."""
    at = x.detach().clone().requires_grad_()
    with ByRules(rules):
        scores = module(at)
    seed = torch.zeros_like(scores)
    seed[:, target] = scores.detach()[:, target]
    return torch.autograd.grad(scores, at, seed)[0]
