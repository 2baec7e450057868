"""Zennit's composites on the nets of ``architectures``, with the canonizers that it has for those of torchvision."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

import torch
from architectures import Residual
from torch import Tensor, nn

__all__ = ["by_zennit"]

NAMES = {
    "epsilon-plus": "EpsilonPlus",
    "epsilon-plus-flat": "EpsilonPlusFlat",
    "epsilon-alpha2-beta1": "EpsilonAlpha2Beta1",
    "epsilon-gamma-box": "EpsilonGammaBox",
}


@cache
def zennit() -> Any:
    """Zennit, which asks torchvision for two classes of its own nets; here it is given two that nothing is of.

    PyPI has no torchvision for a PyTorch without CUDA: importing that of CUDA beside it is an error, and with it
    ``transformers``, which imports any that is installed.
    """
    absent = {name: ModuleType(name) for name in ("torchvision", "torchvision.models", "torchvision.models.resnet")}
    absent["torchvision.models.resnet"].__dict__.update(Bottleneck=type("None_", (), {}), BasicBlock=type("No", (), {}))
    kept = {name: sys.modules.pop(name) for name in absent if name in sys.modules}
    sys.modules.update(absent)
    try:
        return import_module("zennit")
    finally:
        for name in absent:
            del sys.modules[name]
        sys.modules.update(kept)


def by_zennit(module: nn.Module, x: Tensor, composite: str, target: int, stabiliser: float) -> Tensor:
    """The score of a class, handed back; ``stabiliser`` is that of sums and pools."""
    images = x.detach().clone().requires_grad_()
    made = _composite(composite, images.detach(), stabiliser)
    with zennit().attribution.Gradient(model=module, composite=made) as gradient:
        return gradient(images, lambda scores: scores * nn.functional.one_hot(torch.tensor(target), scores.shape[1]))[1]


def _composite(name: str, images: Tensor, stabiliser: float) -> Any:
    rules, types, composites = zennit().rules, zennit().types, zennit().composites
    norm = rules.Norm(stabiliser)
    added: list[Any] = [(zennit().layer.Sum, norm), (types.AvgPool, norm)]
    options: dict[str, Any] = {"canonizers": [_merge()(), zennit().canonizers.AttributeCanonizer(_with_sum)]}
    if name == "epsilon":
        layers = (types.Activation, rules.Pass()), ((types.Convolution, types.Linear), rules.Epsilon())
        return composites.LayerMapComposite([*added, *layers], **options)
    if name == "epsilon-gamma-box":
        ends = (images.amin((1, 2, 3), True), images.amax((1, 2, 3), True))
        options |= dict(zip(("low", "high"), (end.expand_as(images) for end in ends), strict=True))
    return getattr(composites, NAMES[name])(layer_map=added, **options)


def _merge() -> Any:
    """Its merging of BatchNormalization, whose epsilon is taken away for the time, as Zennit 1.0 does."""
    base = zennit().canonizers.SequentialMergeBatchNorm

    class Merge(base):  # type: ignore[misc, valid-type]
        def register(self, linears: Any, batch_norm: nn.BatchNorm2d) -> None:
            super().register(linears, batch_norm)
            self.epsilon, batch_norm.eps = batch_norm.eps, 0.0

        def remove(self) -> None:
            self.batch_norm.eps = self.epsilon
            super().remove()

    return Merge


def _with_sum(name: str, module: nn.Module) -> dict[str, Any] | None:
    """A residual block that adds by the module Sum, as Zennit's canonizer makes those of torchvision."""
    if not isinstance(module, Residual):
        return None
    added = zennit().layer.Sum()

    def forward(x: Tensor) -> Tensor:
        return module.end(added(torch.stack([module.branch(x), module.shortcut(x)], -1)))

    return {"sum": added, "forward": forward}
