"""Captum's methods of many runs; ``rows`` is how many examples a run has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from captum import attr
from torch import Tensor, nn

from .settings import CELLS, options_of

__all__ = ["SAMPLED"]


def _integrated(module: nn.Module, _: Any, x: Tensor, rows: int) -> Tensor:
    return attr.IntegratedGradients(module).attribute(x, target=0, n_steps=50, internal_batch_size=max(rows, len(x)))


def _smoothgrad(module: nn.Module, _: Any, x: Tensor, rows: int) -> Tensor:
    spread = 0.15 * (x.max() - x.min()).item()
    return attr.NoiseTunnel(attr.Saliency(module)).attribute(
        x, target=0, abs=False, nt_samples=50, nt_samples_batch_size=max(1, rows // len(x)), stdevs=spread
    )


def _occlusion(module: nn.Module, _: Any, x: Tensor, rows: int) -> Tensor:
    window = (x.shape[1], 32, 32)
    return attr.Occlusion(module).attribute(
        x, window, window, 0.0, target=0, perturbations_per_eval=max(1, rows // len(x))
    )


def _expected(module: nn.Module, _: Any, x: Tensor, rows: int) -> Tensor:
    samples = options_of("expected-gradients")["samples"]
    return attr.GradientShap(module).attribute(x, torch.zeros_like(x), samples, 0.0, target=0)


def _ablation(module: nn.Module, _: Any, x: Tensor, rows: int) -> Tensor:
    return attr.FeatureAblation(module).attribute(x, 0.0, 0, **_grid(x, rows))


def _kernel_shap(module: nn.Module, _: Any, x: Tensor, rows: int) -> Tensor:
    return attr.KernelShap(module).attribute(
        x, 0.0, 0, n_samples=options_of("kernel-shap")["samples"], **_grid(x, rows)
    )


def _lime(module: nn.Module, _: Any, x: Tensor, rows: int) -> Tensor:
    return attr.Lime(module).attribute(x, 0.0, 0, n_samples=options_of("lime")["samples"], **_grid(x, rows))


def _shapley(module: nn.Module, _: Any, x: Tensor, rows: int) -> Tensor:
    samples = options_of("shapley-sampling")["samples"]
    return attr.ShapleyValueSampling(module).attribute(x, 0.0, 0, n_samples=samples, **_grid(x, rows))


def _grid(x: Tensor, rows: int) -> dict[str, Any]:
    down, across = (torch.arange(size, device=x.device) * CELLS // size for size in x.shape[-2:])
    return {
        "feature_mask": (down[:, None] * CELLS + across)[None, None],
        "perturbations_per_eval": max(1, rows // len(x)),
    }


SAMPLED: Mapping[str, Callable[[nn.Module, Any, Tensor, int], Any]] = {
    "integrated-gradients": _integrated,
    "smoothgrad": _smoothgrad,
    "expected-gradients": _expected,
    "occlusion": _occlusion,
    "feature-ablation": _ablation,
    "kernel-shap": _kernel_shap,
    "lime": _lime,
    "shapley-sampling": _shapley,
}
