"""The usual image classifiers with seeded random weights, as PyTorch modules and as ONNX.

BatchNorm statistics are measured on random pictures and then shaken, so that the signal stays alive and they matter.
"""

from __future__ import annotations

import contextlib
import copy
import io
import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
import onnxray
import torch
from architectures import (
    Gated,
    Logits,
    basic_block,
    bottleneck,
    conv_bn,
    convnext_tiny,
    deit_tiny,
    densenet,
    efficientnet,
    mobilenet,
    mobilenet_v3,
    resnet,
    vgg,
    vit,
)
from black_box import QUICK
from shared_folder import made_once
from torch import Tensor, nn

__all__ = ["NETS", "Net", "export", "forget", "net"]

# Nets whose weights do not depend on the size of pictures see smaller ones: their graphs are those of 224 x 224.
NETS: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "cnn": (lambda: resnet(basic_block, [1], 8), 16),
    "resnet": (lambda: resnet(basic_block, [2, 2, 2, 2], 16), 64),
    "resnet18": (lambda: resnet(basic_block, [2, 2, 2, 2], 64), 224),
    "resnet50": (lambda: resnet(bottleneck, [3, 4, 6, 3], 64), 224),
    "vgg": (lambda: vgg([[16, 16], [32, 32], [64, 64]], 32, 64), 32),
    "vgg16": (lambda: vgg([[64] * 2, [128] * 2, [256] * 3, [512] * 3, [512] * 3], 224, 4096), 224),
    "vgg-bn": (lambda: vgg([[16, 16], [32, 32], [64, 64]], 32, 64, conv_bn), 32),
    "mobilenet": (mobilenet, 224),
    "mobilenet-small": (lambda: mobilenet([(1, 16, 1, 1), (6, 24, 2, 2)], 64), 32),
    "mobilenet-v3": (mobilenet_v3, 224),
    "densenet": (lambda: densenet([2, 2], 8), 32),
    "densenet121": (lambda: densenet([6, 12, 24, 16], 32), 128),
    "efficientnet-b0": (efficientnet, 128),
    "convnext-tiny": (convnext_tiny, 128),
    "deit-tiny": (deit_tiny, 224),
    "vit": (lambda: vit(32, 8, 48, 3, 4), 32),
    "vit-b16": (lambda: vit(224, 16, 768, 12, 12), 224),
}


@dataclass(frozen=True, eq=False)
class Net:
    """A module in float32, the same in float64, the same as ONNX, and the size of its pictures."""

    name: str
    module: nn.Module
    size: int

    @property
    def double(self) -> nn.Module:
        return _double(self.name)

    @property
    def proto(self) -> onnx.ModelProto:
        """As exported: BatchNormalization folded into Conv."""
        return _proto(self.name, optimize=True)

    @property
    def unfolded(self) -> onnx.ModelProto:
        """As exported without optimisation: BatchNormalization where the module has it."""
        return _proto(self.name, optimize=False)

    def options(self, method: str) -> dict[str, Any]:
        """The options that a method needs: few points, and of a transformer the layer of a class activation map.

        Of LRP, the composite that has rules for a transformer.
        """
        if method == "lrp" and self.name.startswith("vit"):
            return {"composite": "attnlrp"}
        if not onnxray.METHODS[method].has_layer or not self.name.startswith("vit"):
            return QUICK.get(method, {})
        return {"layer": [node.output[0] for node in self.proto.graph.node if node.op_type == "Conv"][-1]}

    def pictures(self, count: int, seed: int = 0) -> np.ndarray:
        shape = (count, 3, self.size, self.size)
        return np.random.default_rng([seed, self.size]).standard_normal(shape).astype(np.float32)


@cache
def net(name: str) -> Net:
    """A network of NETS; the same weights in every process."""
    make, size = NETS[name]
    torch.manual_seed(0)
    module = make()
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear) and not isinstance(module, Logits):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    gates = [layer.excite for layer in module.modules() if isinstance(layer, Gated)]
    for excite in gates:
        excite.weight.data *= 0.3
    settle_statistics(module, size, 0.2 if gates else 1.0)  # gates that are neither open nor shut
    return Net(name, module.eval().requires_grad_(False), size)


def forget() -> None:
    """Frees the networks made so far: all of them together take gigabytes."""
    for made in (net, _double, _proto):
        made.cache_clear()


def settle_statistics(module: nn.Module, size: int, shake: float) -> None:
    """BatchNorm statistics of random pictures, shaken; random scales and shifts."""
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        nn.init.uniform_(norm.weight, 0.5, 1.0)
        nn.init.normal_(norm.bias, std=0.1)
    if norms:
        with torch.no_grad():
            module.train()(torch.randn(4, 3, size, size))
    for norm in norms:
        if norm.running_mean is not None and norm.running_var is not None:
            norm.running_mean += 0.2 * shake * norm.running_var.sqrt() * torch.randn_like(norm.running_mean)
            norm.running_var *= 1 - shake / 2 + shake * torch.rand_like(norm.running_var)


@cache
def _double(name: str) -> nn.Module:
    return copy.deepcopy(net(name).module).double()


@cache
def _proto(name: str, optimize: bool) -> onnx.ModelProto:
    one = net(name)
    kind = "folded" if optimize else "unfolded"
    return made_once(f"{name}-{kind}", lambda: export(one.module, torch.from_numpy(one.pictures(2)), optimize))


def export(module: nn.Module, example: Tensor, optimize: bool = True) -> onnx.ModelProto:
    """A module as ONNX, with input x, output y and an open batch."""
    batch = {0: torch.export.Dim("batch")}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module,
            (example,),
            input_names=["x"],
            output_names=["y"],
            dynamic_shapes=(batch,),
            opset_version=18,
            dynamo=True,
            optimize=optimize,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("the exporter gave no program")
    return program.model_proto
