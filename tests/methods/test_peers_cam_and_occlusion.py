"""Grad-CAM and occlusion against Captum, or a loop, on the same weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxray
import pytest
from cam_formulas import FORMULAS

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch
from architectures import Residual
from late import Late, late
from nets import Net, net
from peers import EVERY_DAY, TARGET, Note, Peer, check, explainer, small
from torch import Tensor, nn

late("captum")  # imported when a test first uses it
attr = Late("captum.attr")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Captum warns of every hook that it sets

CONVOLUTIONAL = ["resnet", "vgg", "mobilenet"]


def last_convolution(proto: onnx.ModelProto) -> str:
    return next(node.output[0] for node in reversed(proto.graph.node) if node.op_type == "Conv")


def grad_cam_layer(one: Net) -> nn.Module:
    """The module whose output is that of the last Conv in the ONNX file: behind it BatchNorm is folded in."""
    convolutions = (nn.Conv2d, nn.BatchNorm2d)
    return [layer for layer in one.module.modules() if isinstance(layer, convolutions)][-1]


@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("name", small())
def test_grad_cam(name: str, relu: bool, measured: Note) -> None:
    one = net(name)
    x = one.pictures(2)
    a = explainer(name, "grad-cam", relu=relu, layer=last_convolution(one.proto))(x, target=TARGET)
    check(a.values, cam_peer(one, grad_cam_layer(one), relu), one, x, measured)


@pytest.mark.slow
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("name", ["cnn", pytest.param("resnet", marks=pytest.mark.slow)])
def test_grad_cam_of_the_bare_convolution(name: str, relu: bool, measured: Note) -> None:
    one = net(name)
    x = one.pictures(2)
    last = [layer for layer in one.module.modules() if isinstance(layer, nn.Conv2d)][-1]
    layer = last_convolution(one.unfolded)
    a = onnxray.explain(one.unfolded, x, "grad-cam", target=TARGET, relu=relu, layer=layer)
    check(a.values, cam_peer(one, last, relu), one, x, measured)


@pytest.mark.parametrize("name", ["cnn", pytest.param("resnet", marks=pytest.mark.slow)])
def test_the_default_of_a_resnet_is_its_last_block(name: str, measured: Note) -> None:
    """As pytorch-grad-cam's layer4[-1]: behind the last sum and its ReLU."""
    one = net(name)
    x = one.pictures(2)
    block = [layer for layer in one.module.children() if isinstance(layer, Residual)][-1]
    check(explainer(name, "grad-cam")(x, target=TARGET).values, cam_peer(one, block, True), one, x, measured)


def cam_peer(one: Net, layer: nn.Module, relu: bool) -> Peer:
    path = next(name for name, module in one.module.named_modules() if module is layer)

    def peer(module: nn.Module, x: Tensor) -> Tensor:
        cam = attr.LayerGradCam(module, module.get_submodule(path))
        return cam.attribute(x.requires_grad_(), TARGET, relu_attributions=relu)[:, 0]  # type: ignore[union-attr]

    return peer


@pytest.mark.parametrize("method", [name for name in FORMULAS if name != "grad-cam"])
@pytest.mark.parametrize("name", [*EVERY_DAY, *(pytest.param(one, marks=pytest.mark.slow) for one in CONVOLUTIONAL)])
def test_the_formula_on_tensors_of_pytorch(name: str, method: str, measured: Note) -> None:
    """Feature maps and gradients by PyTorch in float64, the formula in numpy.

    pytorch-grad-cam 1.5.7, whose packages CI does not install, was compared once by its get_cam_image on the same
    weights: relative L2 at most 2e-6 on the CNN and the ResNet, 1e-5 on the VGG and the MobileNet. XGrad-CAM has 3e-5
    on the ResNet (4e-4 in the peer's own float32) and 4e-3 on the MobileNet (4e-3): sums of maps are near zero.
    """
    one = net(name)
    x = one.pictures(2)
    a = explainer(name, method, layer=last_convolution(one.proto))(x, target=TARGET)
    check(a.values, formula_peer(one, grad_cam_layer(one), FORMULAS[method]), one, x, measured)


def formula_peer(one: Net, layer: nn.Module, formula: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Peer:
    path = next(name for name, module in one.module.named_modules() if module is layer)

    def peer(module: nn.Module, x: Tensor) -> Tensor:
        held: list[Tensor] = []
        hook = module.get_submodule(path).register_forward_hook(lambda _, __, maps: held.append(maps))
        scores = module(x.requires_grad_())[range(len(x)), TARGET]
        hook.remove()
        (gradient,) = torch.autograd.grad(scores.sum(), held)
        return torch.from_numpy(formula(held[0].detach().numpy(), gradient.numpy())).relu()

    return peer


@pytest.mark.parametrize(
    "name", [*EVERY_DAY, *(pytest.param(one, marks=pytest.mark.slow) for one in ("resnet", "vgg"))]
)
def test_guided_grad_cam(name: str, measured: Note) -> None:
    """Of a MobileNet Captum guides nothing: it looks for nn.ReLU, not nn.ReLU6."""
    one = net(name)
    x = one.pictures(2)
    path = next(at for at, module in one.module.named_modules() if module is grad_cam_layer(one))

    def peer(module: nn.Module, t: Tensor) -> Tensor:
        guided = attr.GuidedGradCam(module, module.get_submodule(path))
        return guided.attribute(t.requires_grad_(), TARGET, interpolate_mode="bilinear")  # type: ignore[return-value]

    found = explainer(name, "guided-grad-cam", layer=last_convolution(one.proto))(x, target=TARGET)
    check(found.values, peer, one, x, measured)


@pytest.mark.parametrize("overlap", ["mean", "sum"])
@pytest.mark.parametrize("name", small())
def test_occlusion(name: str, overlap: str, measured: Note) -> None:
    """Windows that overlap and reach over the end; Captum takes the mean, the sum is a loop here."""
    one = net(name)
    x = one.pictures(2)
    window, stride = (3, one.size // 4, one.size // 5), (3, one.size // 6, one.size // 5)
    a = explainer(name, "occlusion", window=window, stride=stride, baseline=0.5, overlap=overlap)(x, target=TARGET)

    def mean(module: nn.Module, t: Tensor) -> Tensor:
        return attr.Occlusion(module).attribute(t, window, stride, 0.5, TARGET, perturbations_per_eval=8)

    def total(module: nn.Module, t: Tensor) -> Tensor:
        values = torch.zeros_like(t)
        for place in windows(one.size, window[1:], stride[1:]):
            hidden = t.clone()
            hidden[place] = 0.5
            fall = (module(t) - module(hidden))[range(2), TARGET]
            values[place] += fall[:, None, None, None]
        return values

    check(a.values, mean if overlap == "mean" else total, one, x, measured)


def windows(size: int, width: tuple[int, ...], stride: tuple[int, ...]) -> list[tuple[slice, ...]]:
    starts = [range(0, size - w + s, s) for w, s in zip(width, stride, strict=True)]
    every = slice(None)
    return [(every, every, slice(i, i + width[0]), slice(j, j + width[1])) for i in starts[0] for j in starts[1]]
