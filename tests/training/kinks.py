"""Where two forward passes of one torch.nn.Sequential stand on different sides of a kink.

Of a ReLU that is the sign of what comes in, of a max-pool which element of a window is the greatest.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Kink", "kinks", "run_with_activations", "torch_activations", "with_activations"]


@dataclass(frozen=True)
class Kink:
    """A picture, a layer, a place in what the layer gets, and how near to the kink float64 sees it.

    ``distance`` is over the layer's root mean square: of a ReLU the size of what comes in, of a max-pool by how much
    the two candidates for the maximum differ.
    """

    picture: int
    layer: str
    place: tuple[int, ...]
    distance: float


def _layers(module: nn.Sequential) -> list[tuple[str, nn.Module, nn.Module]]:
    """Each ReLU and the layer that follows it."""
    steps = list(module.named_children())
    pairs = itertools.pairwise(steps)
    return [(f"{name}.ReLU", step, after) for (name, step), (_, after) in pairs if isinstance(step, nn.ReLU)]


def torch_activations(module: nn.Sequential, x: Tensor) -> list[np.ndarray]:
    """What comes into each ReLU."""
    found: list[np.ndarray] = []
    hooks = [
        layer.register_forward_pre_hook(lambda layer, given: found.append(given[0].numpy()))
        for _, layer, _ in _layers(module)
    ]
    with torch.no_grad():
        module(x)
    for hook in hooks:
        hook.remove()
    return found


def with_activations(gradient: onnx.ModelProto, output: str) -> ort.InferenceSession:
    """A gradient graph in onnxruntime, with one of its outputs and with what each Relu of its forward half gives."""
    copy = onnx.ModelProto()
    copy.CopyFrom(gradient)
    relus = [node.output[0] for node in copy.graph.node if node.op_type == "Relu" and not node.name.startswith("grad/")]
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in (output, *relus))
    return ort.InferenceSession(copy.SerializeToString(), providers=["CPUExecutionProvider"])


def run_with_activations(
    session: ort.InferenceSession, feeds: dict[str, np.ndarray]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The gradient and the activations of one and the same run."""
    found, *values = (np.asarray(array) for array in session.run(None, feeds))
    return found, values


def kinks(
    module: nn.Sequential, ours: Sequence[np.ndarray], theirs: Sequence[np.ndarray], exact: Sequence[np.ndarray]
) -> list[Kink]:
    """All kinks between two runs, by what goes into the ReLUs (of onnxruntime: what comes out), beside float64's."""
    found = []
    for (name, _, after), a, b, x in zip(_layers(module), ours, theirs, exact, strict=True):
        size = float(np.sqrt(np.mean(x.astype(np.float64) ** 2)))
        for place in np.argwhere((a > 0) != (b > 0)):
            found.append(Kink(int(place[0]), name, tuple(map(int, place)), abs(float(x[tuple(place)])) / size))
        if isinstance(after, nn.MaxPool2d):
            found += _turned(f"{name} into MaxPool", a, b, x, size)
    return found


def _turned(name: str, a: np.ndarray, b: np.ndarray, exact: np.ndarray, size: float) -> list[Kink]:
    """Windows of 2 x 2 whose maximum is another element."""
    first, second = (_places(array) for array in (a, b))
    flat = np.maximum(exact, 0).reshape(*exact.shape[:2], -1)
    found = []
    for place in map(tuple, np.argwhere(first != second)):
        values = flat[place[:2]]
        apart = abs(float(values[first[place]] - values[second[place]]))
        found.append(Kink(int(place[0]), name, tuple(map(int, place)), apart / size))
    return found


def _places(array: np.ndarray) -> np.ndarray:
    return functional.max_pool2d(torch.from_numpy(array).relu(), 2, return_indices=True)[1].numpy()
