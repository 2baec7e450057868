"""The same maps by other packages, on the same weights."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from captum import attr
from torch import Tensor, nn

from .settings import Settings
from .subjects import Subject, last_maps

__all__ = ["Peer", "captum_attribute", "peers_of"]

Peer = Callable[[], np.ndarray]
HOOKED = ("guided-backprop", "deconvnet", "deep-lift", "grad-cam", "guided-grad-cam")  # compiled modules run no hooks
CAMS = {
    "grad-cam": "GradCAM",
    "layer-cam": "LayerCAM",
    "hires-cam": "HiResCAM",
    "grad-cam++": "GradCAMPlusPlus",
    "xgrad-cam": "XGradCAM",
    "eigen-cam": "EigenCAM",
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
    if method == "lrp" and installed("zennit.attribution"):
        found["Zennit"] = partial(by_zennit, *prepared(one, "eager", settings.provider)[:1], x, settings.provider)
    return found


@cache
def prepared(one: Subject, variant: str, provider: str) -> tuple[nn.Module, nn.Module | None]:
    """A copy of the module in the variant's form, and its last feature maps."""
    where = [name for name, layer in one.module.named_modules() if len(one.shape) == 3 and layer is _maps(one)]
    module = copy.deepcopy(one.module).to(provider)
    layer = module.get_submodule(where[0]) if where else None
    if variant.endswith("channels_last"):
        module = module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return (torch.compile(module) if variant.startswith("compile") else module), layer


@cache
def _maps(one: Subject) -> nn.Module:
    return last_maps(one)


def captum(
    method: str, module: nn.Module, layer: nn.Module | None, x: np.ndarray, variant: str, settings: Settings
) -> np.ndarray:
    """From an array to an array, as onnxray's call."""
    images = on_device(x, variant, settings.provider)
    return captum_attribute(method, module, layer, images, settings.provider).detach().cpu().numpy()


def on_device(x: np.ndarray, variant: str, provider: str) -> Tensor:
    images = torch.from_numpy(x).to(provider)
    return images.contiguous(memory_format=torch.channels_last) if variant.endswith("channels_last") else images


def captum_attribute(method: str, module: nn.Module, layer: nn.Module | None, x: Tensor, provider: str) -> Tensor:
    """Captum's map of class 0; methods of many points run as many rows at once as are quickest."""
    rows = 8 if provider == "cpu" else 64
    return CAPTUM[method](module, layer, x.requires_grad_(), rows)


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


CAPTUM: Mapping[str, Callable[[nn.Module, Any, Tensor, int], Any]] = {
    "saliency": lambda module, _, x, rows: attr.Saliency(module).attribute(x, target=0, abs=False),
    "input-x-gradient": lambda module, _, x, rows: attr.InputXGradient(module).attribute(x, target=0),
    "guided-backprop": lambda module, _, x, rows: attr.GuidedBackprop(module).attribute(x, target=0),
    "deconvnet": lambda module, _, x, rows: attr.Deconvolution(module).attribute(x, target=0),
    "deep-lift": lambda module, _, x, rows: attr.DeepLift(module).attribute(x, target=0),
    "grad-cam": lambda module, layer, x, rows: attr.LayerGradCam(module, layer).attribute(
        x, target=0, relu_attributions=True
    )[:, 0],
    "guided-grad-cam": lambda module, layer, x, rows: attr.GuidedGradCam(module, layer).attribute(
        x, target=0, interpolate_mode="bilinear"
    ),
    "integrated-gradients": _integrated,
    "smoothgrad": _smoothgrad,
    "occlusion": _occlusion,
}


def by_grad_cam(package: Any, one: Subject, method: str, x: np.ndarray, provider: str) -> Peer:
    """pytorch-grad-cam's map, which it scales to the size of the picture and to 0 to 1."""
    module, layer = prepared(one, "eager", provider)
    targets = [import_module("pytorch_grad_cam.utils.model_targets").ClassifierOutputTarget(0)] * len(x)
    cam = getattr(package, CAMS[method])(model=module, target_layers=[layer])
    return lambda: cam(input_tensor=torch.from_numpy(x).to(provider).requires_grad_(), targets=targets)


def by_zennit(module: nn.Module, x: np.ndarray, provider: str) -> np.ndarray:
    """The score of class 0, handed back; hooks, and BatchNorm merged into Conv, stand in the module for this run."""
    merge = import_module("zennit.canonizers").SequentialMergeBatchNorm()
    composite = import_module("zennit.composites").EpsilonPlus(canonizers=[merge])
    images = torch.from_numpy(x).to(provider).requires_grad_()
    with import_module("zennit.attribution").Gradient(model=module, composite=composite) as gradient:
        chosen = torch.zeros(10, device=images.device)
        chosen[0] = 1
        return gradient(images, lambda scores: scores * chosen)[1].detach().cpu().numpy()


@cache
def installed(name: str) -> Any:
    """The module, or None and a line on stderr."""
    try:
        return import_module(name)
    except Exception as error:  # noqa: BLE001  # a package that does not import is left out, whatever it raises
        print(f"left out: {name}: {error}", file=sys.stderr)
        return None
