"""The same weights in Keras (NHWC) and in PyTorch (NCHW): every method gives the same attribution."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxray
import pytest
from black_box import ANYWHERE
from late import Late, late
from measures import distance

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnxscript", reason="onnxscript, which torch.onnx needs, is not installed")
keras, L = late("keras", "tensorflow", "tf2onnx"), Late("keras.layers")

from onnxray.converters import Spec, to_onnx  # noqa: E402
from torch import Tensor, nn  # noqa: E402

LIMIT = 1e-4  # relative L2
STAGES = ((16, 1), (32, 2), (48, 2))  # width and stride
EPSILON = 1e-3
OPTIONS = {
    "integrated-gradients": {"steps": 8},
    "smoothgrad": {"samples": 4},
    "occlusion": {"window": 8, "stride": 6},
    **{name: {"layer": "stage2"} for name, method in onnxray.METHODS.items() if method.has_layer},
    "rise": {"samples": 20},
    "kernel-shap": {"cells": 2},
    "lime": {"samples": 30},
    "shapley-sampling": {"cells": 2, "samples": 2},
}


@pytest.fixture(autouse=True)
def _on_tensorflow() -> None:
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras runs on another backend here")


class Block(nn.Module):
    """Residual block, with a projection where the shape changes."""

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width, EPSILON)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width, EPSILON)
        self.side = nn.Conv2d(inside, width, 1, stride) if inside != width else nn.Identity()
        self.relu2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(y + self.side(x))


class ResNet(nn.Module):
    """A stem with pooling, three residual stages, a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 7, 2, 3), nn.ReLU(), nn.MaxPool2d(2))
        widths = (16, *(width for width, _ in STAGES))
        for k, (width, stride) in enumerate(STAGES):
            setattr(self, f"stage{k}", Block(widths[k], width, stride))
        self.head = nn.Linear(widths[-1], 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for k in range(len(STAGES)):
            x = getattr(self, f"stage{k}")(x)
        return torch.softmax(self.head(x.mean((2, 3))), 1)


def keras_resnet(size: int) -> Any:
    """The same net in Keras, layer by layer; paddings are written out, as "same" would pad elsewhere."""
    x = given = keras.Input((size, size, 3), name="x")
    x = L.MaxPooling2D(2)(L.ReLU()(padded(x, 16, 7, 2, "stem.0", bias=True)))
    for k, (width, stride) in enumerate(STAGES):
        y = L.BatchNormalization(epsilon=EPSILON, name=f"stage{k}.bn1")(padded(x, width, 3, stride, f"stage{k}.conv1"))
        y = padded(L.ReLU()(y), width, 3, 1, f"stage{k}.conv2")
        y = L.BatchNormalization(epsilon=EPSILON, name=f"stage{k}.bn2")(y)
        same = x.shape[-1] == width
        x = L.ReLU(name=f"stage{k}")(y + (x if same else L.Conv2D(width, 1, stride, name=f"stage{k}.side")(x)))
    return keras.Model(given, L.Dense(7, "softmax", name="head")(L.GlobalAveragePooling2D()(x)))


def padded(x: Any, width: int, kernel: int, stride: int, name: str, bias: bool = False) -> Any:
    """A convolution with half of its kernel on every side, as PyTorch pads."""
    return L.Conv2D(width, kernel, stride, use_bias=bias, name=name)(L.ZeroPadding2D(kernel // 2)(x))


class Perceptron(nn.Module):
    """Two hidden layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(12, 16), nn.Linear(16, 16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.head(torch.tanh(self.second(torch.relu(self.first(x))))), 1)


def keras_perceptron() -> Any:
    layers = [L.Dense(16, "relu", name="first"), L.Dense(16, "tanh", name="second"), L.Dense(4, "softmax", name="head")]
    return keras.Sequential([keras.Input((12,), name="x"), *layers])


def carry_over(module: nn.Module, net: Any) -> None:
    """PyTorch's weights into the layers of Keras with the same names."""
    parts = dict(module.named_modules())
    for layer in net.layers:
        if layer.weights:
            layer.set_weights(in_keras_order(parts[layer.name]))


def in_keras_order(part: nn.Module) -> list[np.ndarray]:
    """Kernels (out, in, h, w) become (h, w, in, out); batch norms list gamma, beta, mean, variance."""
    values = {name: value.detach().numpy() for name, value in part.state_dict().items()}
    if isinstance(part, nn.BatchNorm2d):
        return [values[name] for name in ("weight", "bias", "running_mean", "running_var")]
    kernel = values["weight"].transpose((2, 3, 1, 0) if values["weight"].ndim == 4 else (1, 0))
    return [kernel, *([values["bias"]] if "bias" in values else [])]


def randomised(module: nn.Module) -> nn.Module:
    """Batch norms as after training."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.3)  # type: ignore[union-attr]
            part.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
            part.weight.data.uniform_(0.5, 1.5)
    return module.eval()


@pytest.fixture(scope="module")
def resnets() -> tuple[onnxray.Model, onnxray.Model, np.ndarray]:
    torch.manual_seed(0)
    module, net = randomised(ResNet()), keras_resnet(32)
    carry_over(module, net)
    x = np.random.default_rng(1).standard_normal((3, 3, 32, 32)).astype(np.float32)
    return onnxray.load(to_onnx(module, inputs=Spec((None, 3, 32, 32)))), onnxray.load(to_onnx(net)), x


@pytest.fixture(scope="module")
def perceptrons() -> tuple[onnxray.Model, onnxray.Model, np.ndarray]:
    torch.manual_seed(0)
    module, net = Perceptron().eval(), keras_perceptron()
    carry_over(module, net)
    x = np.random.default_rng(1).standard_normal((5, 12)).astype(np.float32)
    return onnxray.load(to_onnx(module, inputs=Spec((None, 12)))), onnxray.load(to_onnx(net)), x


@pytest.mark.slow  # every day by the perceptrons
@pytest.mark.parametrize("score", ["logit", "output"])
@pytest.mark.parametrize("method", ANYWHERE)
def test_a_resnet(method: str, score: str, resnets: Any, measured: Callable[[str], None]) -> None:
    nchw, nhwc, x = resnets
    if (method, score) == ("lrp", "output"):
        with pytest.raises(onnxray.UnsupportedOperator, match=r"Softmax .* has no rule of relevance"):
            onnxray.explain(nchw, x, method, score=score)
        return
    options = OPTIONS.get(method, {})
    a = onnxray.explain(nchw, x, method, score=score, **options)
    b = onnxray.explain(nhwc, x.transpose(0, 2, 3, 1), method, score=score, **options)
    assert (a.target == b.target).all()
    values = b.values if onnxray.METHODS[method].layer_sized else b.values.transpose(0, 3, 1, 2)
    gap = distance(values, a.values)
    measured(f"{gap:.2g}")
    assert gap < LIMIT
    for reduce in ("abs-max", "sum"):
        assert distance(b.map(reduce), a.map(reduce)) < LIMIT


@pytest.mark.parametrize("score", ["logit", "output"])
@pytest.mark.parametrize("method", [name for name in ANYWHERE if not onnxray.METHODS[name].has_layer])
def test_a_perceptron(method: str, score: str, perceptrons: Any) -> None:
    ours, theirs, x = perceptrons
    if (method, score) == ("lrp", "output"):
        with pytest.raises(onnxray.UnsupportedOperator, match=r"Softmax .* has no rule of relevance"):
            onnxray.explain(ours, x, method, score=score)
        return
    options = {} if method == "occlusion" else OPTIONS.get(method, {})
    a, b = (onnxray.explain(model, x, method, score=score, **options) for model in (ours, theirs))
    assert distance(b.values, a.values) < LIMIT


def test_jacobians_and_layers(resnets: Any, perceptrons: Any) -> None:
    ours, theirs, x = perceptrons
    assert distance(onnxray.jacobian(theirs, x), onnxray.jacobian(ours, x)) < LIMIT
    nchw, nhwc, pictures = resnets
    for k in range(len(STAGES)):
        name = f"stage{k}"
        a = onnxray.activations(nchw, pictures, name)[name]
        b = onnxray.activations(nhwc, pictures.transpose(0, 2, 3, 1), name)[name]
        assert distance(b if nhwc.layer(name).layout == "NCHW" else b.transpose(0, 3, 1, 2), a) < LIMIT


def test_inspect_lists_the_layers_of_both(resnets: Any) -> None:
    from onnxray.diagnostics.inspection import inspect

    for model, names in zip(
        resnets[:2], ({"stage1.conv2", "stage2", "head"}, {"stage1.conv2", "stage2", "head"}), strict=True
    ):
        assert names <= {layer.name for layer in inspect(model).layers}


@pytest.mark.slow
def test_a_transformer_encoder_over_vectors() -> None:
    """Input gradients of attention; that of the converters' tests takes tokens, which have none."""
    from onnxray.cli.convert import engine_gradient

    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    net = nn.Sequential(nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Flatten(), nn.Linear(9 * 16, 5))
    to_onnx(net, inputs=(1, 9, 16), check_gradients=engine_gradient)
