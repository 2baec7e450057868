"""Where two forward passes of one torch.nn.Sequential stand on different sides of a kink.

Of a ReLU that is the sign of what comes in, of a max-pool which element of a window is the greatest.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Kink", "kinks", "on_the_side_of", "run_with_activations", "torch_activations", "with_activations"]


@dataclass(frozen=True)
class Kink:
    """A ReLU by its name, or the max-pool that follows it, a place in what that gets or gives, and how near it is.

    ``distance`` is over the layer's root mean square: of a ReLU the size of what comes in, of a max-pool by how much
    the two candidates for the maximum differ, both in float64.
    """

    relu: str
    pool: bool
    place: tuple[int, ...]
    distance: float

    def __str__(self) -> str:
        return f"{'the max-pool behind ' if self.pool else ''}ReLU {self.relu} at {self.place[1:]}, {self.distance:.0e}"

    @property
    def elements(self) -> list[tuple[int, ...]]:
        """The places in what comes into the ReLU."""
        if not self.pool:
            return [self.place]
        image, channel, row, column = self.place
        return [(image, channel, 2 * row + k // 2, 2 * column + k % 2) for k in range(4)]


def _layers(module: nn.Sequential) -> list[tuple[str, nn.Module, nn.Module]]:
    """Each ReLU and the layer that follows it."""
    steps = list(module.named_children())
    pairs = itertools.pairwise(steps)
    return [(name, step, after) for (name, step), (_, after) in pairs if isinstance(step, nn.ReLU)]


def torch_activations(module: nn.Sequential, x: Tensor) -> list[np.ndarray]:
    """The input of each ReLU."""
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
            found.append(Kink(name, False, tuple(map(int, place)), abs(float(x[tuple(place)])) / size))
        if isinstance(after, nn.MaxPool2d):
            found += _turned(name, a, b, x, size)
    return found


def _turned(name: str, a: np.ndarray, b: np.ndarray, exact: np.ndarray, size: float) -> list[Kink]:
    """Windows of 2 x 2 whose maximum is another element."""
    first, second = (_places(array) for array in (a, b))
    flat = np.maximum(exact, 0).reshape(*exact.shape[:2], -1)
    found = []
    for place in map(tuple, np.argwhere(first != second)):
        values = flat[place[:2]]
        apart = abs(float(values[first[place]] - values[second[place]]))
        found.append(Kink(name, True, tuple(map(int, place)), apart / size))
    return found


@contextmanager
def on_the_side_of(module: nn.Sequential, ours: Sequence[np.ndarray], turned: Sequence[Kink]) -> Iterator[None]:
    """Within it what comes into the ReLUs is, at the kinks alone, what the other run has there."""
    hooks = []
    for (name, layer, _), values in zip(_layers(module), ours, strict=True):
        places = [place for kink in turned if kink.relu == name for place in kink.elements]
        if places:
            at = tuple(map(list, zip(*places, strict=True)))
            hooks.append(layer.register_forward_pre_hook(_moved(at, torch.from_numpy(values[at]))))
    yield
    for hook in hooks:
        hook.remove()


def _moved(at: tuple[list[int], ...], values: Tensor) -> Callable[[nn.Module, tuple[Tensor]], tuple[Tensor]]:
    """A constant is added, so that gradients pass as they did."""

    def hook(layer: nn.Module, given: tuple[Tensor]) -> tuple[Tensor]:
        (x,) = given
        step = torch.zeros_like(x)
        step[at] = values - x.detach()[at]
        return (x + step,)

    return hook


def _places(array: np.ndarray) -> np.ndarray:
    return functional.max_pool2d(torch.from_numpy(array).relu(), 2, return_indices=True)[1].numpy()
