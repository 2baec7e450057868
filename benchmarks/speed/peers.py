"""The same maps by other packages, on the same weights."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from .captum_maps import CAPTUM, captum_attribute
from .settings import CHANNEL_BY_CHANNEL, LRP, Settings
from .subjects import NARROW, Subject, last_maps

__all__ = ["Peer", "peers_of"]

Peer = Callable[[], np.ndarray]
HOOKED = ("guided-backprop", "deconvnet", "deep-lift", "grad-cam", "guided-grad-cam")  # compiled modules run no hooks
CAMS = {
    "grad-cam": "GradCAM",
    "layer-cam": "LayerCAM",
    "hires-cam": "HiResCAM",
    "grad-cam++": "GradCAMPlusPlus",
    "xgrad-cam": "XGradCAM",
    "eigen-cam": "EigenCAM",
    "eigen-grad-cam": "EigenGradCAM",
    "ablation-cam": "AblationCAM",
    "score-cam": "ScoreCAM",
}
ZENNIT = {
    "lrp-epsilon-plus": "EpsilonPlus",
    "lrp-epsilon-plus-flat": "EpsilonPlusFlat",
    "lrp-epsilon-alpha2-beta1": "EpsilonAlpha2Beta1",
    "lrp-epsilon-gamma-box": "EpsilonGammaBox",
}


def peers_of(one: Subject, method: str, x: np.ndarray, settings: Settings) -> dict[str, Peer]:
    """By the name of the package and the variant of PyTorch; a package that is not installed is left out."""
    found: dict[str, Peer] = {}
    for variant in settings.variants:
        if method in CAPTUM and not (variant.startswith("compile") and method in HOOKED):
            if variant.endswith("channels_last") and len(one.shape) != 3:
                continue
            module, layer = prepared(one, variant, settings.provider)
            found[f"Captum, {variant.replace('_', ' ')}"] = partial(captum, method, module, layer, x, variant, settings)
    if method in CAMS and one.name != "vit-b16" and (package := installed("pytorch_grad_cam")):
        found["pytorch-grad-cam"] = by_grad_cam(package, one, method, x, settings.provider)
    if method in LRP and installed("zennit.attribution"):
        module, _ = prepared(one, "eager", settings.provider)
        found["Zennit"] = partial(by_zennit, method, module, x, settings.provider)
    return found


@cache
def prepared(one: Subject, variant: str, provider: str, most: int | None = None) -> tuple[nn.Module, nn.Module | None]:
    """A copy of the module in the variant's form, and its last feature maps, at ``most`` so many."""
    where = [name for name, layer in one.module.named_modules() if len(one.shape) == 3 and layer is _maps(one, most)]
    module = copy.deepcopy(one.module).to(provider)
    layer = module.get_submodule(where[0]) if where else None
    if variant.endswith("channels_last"):
        module = module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return (torch.compile(module) if variant.startswith("compile") else module), layer


@cache
def _maps(one: Subject, most: int | None) -> nn.Module:
    return last_maps(one, most)


def captum(
    method: str, module: nn.Module, layer: nn.Module | None, x: np.ndarray, variant: str, settings: Settings
) -> np.ndarray:
    """From an array to an array, as onnxray's call."""
    images = on_device(x, variant, settings.provider)
    return captum_attribute(method, module, layer, images, settings.provider).detach().cpu().numpy()


def on_device(x: np.ndarray, variant: str, provider: str) -> Tensor:
    images = torch.from_numpy(x).to(provider)
    return images.contiguous(memory_format=torch.channels_last) if variant.endswith("channels_last") else images


def by_grad_cam(package: Any, one: Subject, method: str, x: np.ndarray, provider: str) -> Peer:
    """pytorch-grad-cam's map, which it scales to the size of the picture and to 0 to 1."""
    module, layer = prepared(one, "eager", provider, NARROW if method in CHANNEL_BY_CHANNEL else None)
    targets = [import_module("pytorch_grad_cam.utils.model_targets").ClassifierOutputTarget(0)] * len(x)
    cam = getattr(package, CAMS[method])(model=module, target_layers=[layer])
    return lambda: cam(input_tensor=torch.from_numpy(x).to(provider).requires_grad_(), targets=targets)


def by_zennit(method: str, module: nn.Module, x: np.ndarray, provider: str) -> np.ndarray:
    """The score of class 0, handed back; hooks, and BatchNorm merged into Conv, stand in the module for this run."""
    images = torch.from_numpy(x).to(provider).requires_grad_()
    composite = _composite(method, images.detach())
    with import_module("zennit.attribution").Gradient(model=module, composite=composite) as gradient:
        chosen = torch.zeros(10, device=images.device)
        chosen[0] = 1
        return gradient(images, lambda scores: scores * chosen)[1].detach().cpu().numpy()


def _composite(method: str, images: Tensor) -> Any:
    composites, rules, types = (import_module(f"zennit.{name}") for name in ("composites", "rules", "types"))
    options: dict[str, Any] = {"canonizers": [import_module("zennit.canonizers").SequentialMergeBatchNorm()]}
    if method == "lrp-epsilon":
        passed, layers = (types.Activation, rules.Pass()), ((types.Convolution, types.Linear), rules.Epsilon())
        return composites.LayerMapComposite([passed, (types.AvgPool, rules.Norm()), layers], **options)
    if method == "lrp-epsilon-gamma-box":
        options |= {"low": images.amin((1, 2, 3), True), "high": images.amax((1, 2, 3), True)}
        options["low"], options["high"] = (end.expand_as(images) for end in (options["low"], options["high"]))
    return getattr(composites, ZENNIT[method])(**options)


@cache
def installed(name: str) -> Any:
    """The module, or None and a line on stderr."""
    try:
        return import_module(name)
    except Exception as error:  # noqa: BLE001  # a package that does not import is left out, whatever it raises
        print(f"left out: {name}: {error}", file=sys.stderr)
        return None
