"""Trains a torch Sequential and writes it as ONNX by hand: named layers, and nothing else in the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

OPSET = 18
IR_VERSION = 10


class Minus(nn.Module):
    """Subtracts a constant that is not learned."""

    value: Tensor

    def __init__(self, value: NDArray) -> None:
        super().__init__()
        self.register_buffer("value", torch.tensor(value, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        return x - self.value


class Over(Minus):
    """Divides by a constant that is not learned."""

    def forward(self, x: Tensor) -> Tensor:
        return x / self.value


OPERATORS = {
    Minus: "Sub",
    Over: "Div",
    nn.ReLU: "Relu",
    nn.AdaptiveAvgPool2d: "GlobalAveragePool",
    nn.Flatten: "Flatten",
    nn.Linear: "Gemm",
}


def train(
    network: nn.Sequential,
    inputs: NDArray,
    labels: NDArray,
    *,
    epochs: int,
    decay: float,
    vary: Callable[[Tensor], Tensor] = lambda batch: batch,
) -> None:
    """Minimises the cross entropy of varied batches of 64 with AdamW at one cycle of learning rates."""
    x, y = torch.tensor(inputs, dtype=torch.float32), torch.tensor(labels)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, epochs=epochs, steps_per_epoch=-(-len(x) // 64))
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(vary(x[batch])), y[batch]).backward()
            optimiser.step()
            schedule.step()


def steady() -> None:
    """Makes torch give the same numbers on every run: a seed, and sums in one order."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def write(network: nn.Sequential, path: Path, name: str, shape: Sequence[int], metadata: Mapping[str, str]) -> None:
    """Writes the network, of input `name` ("batch", *shape) and output "logits", under the names of its layers."""
    start = value = ir.val(name, ir.DataType.FLOAT, ["batch", *shape])
    nodes: list[ir.Node] = []
    weights: list[ir.Value] = []
    for layer_name, layer in network.named_children():
        op, attributes = _operator(layer)
        own = [_weight(f"{layer_name}.{key}", tensor) for key, tensor in layer.state_dict().items()]
        nodes.append(ir.node(op, [value, *own], attributes, outputs=[ir.val(layer_name)], name=layer_name))
        weights += own
        value = nodes[-1].outputs[0]
    value.name, value.dtype = "logits", ir.DataType.FLOAT
    value.shape = ir.Shape(["batch", list(network.parameters())[-1].numel()])
    graph = ir.Graph([start], [value], nodes=nodes, initializers=weights, opset_imports={"": OPSET}, name=path.stem)
    ir.save(ir.Model(graph, ir_version=IR_VERSION, producer_name="onnxray", metadata_props=dict(metadata)), path)


def _operator(layer: nn.Module) -> tuple[str, dict[str, Any]]:
    """The ONNX operator of a layer, with its attributes."""
    if isinstance(layer, nn.Conv2d):
        return "Conv", {"kernel_shape": layer.kernel_size, "pads": (*layer.padding, *layer.padding)}
    if isinstance(layer, nn.MaxPool2d):
        return "MaxPool", {"kernel_shape": (layer.kernel_size,) * 2, "strides": (layer.stride,) * 2}
    return OPERATORS[type(layer)], {"transB": 1} if isinstance(layer, nn.Linear) else {}


def _weight(name: str, tensor: Tensor) -> ir.Value:
    array = np.ascontiguousarray(tensor.numpy())
    return ir.val(name, const_value=ir.tensor(array, name=name))
