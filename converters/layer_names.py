"""The layer map: the tensor of the graph that holds a layer's value, found by name and proved by value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import onnx
import onnx_ir as ir
from onnxray.graph.moving_operators import CASTING
from onnxray.graph.traversal import ancestors

from .candidates import LayerValue
from .parity import allowed, difference
from .subgraphs import reads

__all__ = ["FIRST", "LAST", "Resolver", "call_name", "leaving", "resolve"]

SPATIAL = {0: "", 1: "L", 2: "HW", 3: "DHW"}
# The axes of feature maps by rank, channels last or first.
LAST = {1: "N", 2: "NC", 3: "NLC", 4: "NHWC", 5: "NDHWC"}
FIRST = {1: "N", 2: "NC", 3: "NCL", 4: "NCHW", 5: "NCDHW"}

Entry = dict[str, str]


def call_name(found: Iterable[str], layer: str) -> str:
    """The name of a layer's next call, after those found: plain, then `dense:1`, `dense:2`."""
    calls = sum(name == layer or name.startswith(f"{layer}:") for name in found)
    return f"{layer}:{calls}" if calls else layer


def leaving(model: onnx.ModelProto, scopes_of: Callable[[onnx.NodeProto], Iterable[str]]) -> dict[str, list[str]]:
    """For each scope its tensors: those consumed outside it first, and of these the last one first."""
    members: dict[str, list[int]] = {}
    for index, node in enumerate(model.graph.node):
        for scope in scopes_of(node):
            members.setdefault(scope, []).append(index)
    users = consumers(model)
    return {scope: outermost(model, indices, users) for scope, indices in members.items()}


def consumers(model: onnx.ModelProto) -> dict[str, set[int]]:
    """The indices of the nodes that read each tensor; -1 stands for the outside."""
    users: dict[str, set[int]] = {value.name: {-1} for value in model.graph.output}
    for index, node in enumerate(model.graph.node):
        for name in reads(node):
            users.setdefault(name, set()).add(index)
    return users


def outermost(model: onnx.ModelProto, indices: list[int], users: Mapping[str, set[int]]) -> list[str]:
    """The tensors of some nodes, those that leave first."""
    inside = set(indices)
    names = [name for i in reversed(indices) for name in model.graph.node[i].output if name]
    return sorted(names, key=lambda name: users.get(name, set()) <= inside)


def resolve(
    model: onnx.ModelProto,
    tensors: Mapping[str, np.ndarray],
    layers: Mapping[str, LayerValue | str],
    scopes: Mapping[str, list[str]],
) -> tuple[dict[str, Entry], dict[str, str]]:
    """Find every layer's tensor: a map of those found, and for each of the others a reason."""
    resolver = Resolver.of(model, tensors)
    found: dict[str, Entry] = {}
    missing: dict[str, str] = {}
    for name, layer in layers.items():
        plain = name.rpartition(":")[0] if name not in scopes else name
        answer = layer if isinstance(layer, str) else resolver.find(layer, scopes.get(plain, []))
        if isinstance(answer, str):
            missing[name] = answer
        else:
            found[name] = answer
    return found, missing


@dataclass(frozen=True)
class Resolver:
    """The tensors of a graph that its outputs depend on, ready to be searched for a value."""

    tensors: Mapping[str, np.ndarray]
    makers: Mapping[str, ir.Node]
    sizes: Mapping[int, list[str]]

    @classmethod
    def of(cls, model: onnx.ModelProto, tensors: Mapping[str, np.ndarray]) -> Resolver:
        """Keep the floating-point tensors on a way to an output: a side branch would have no gradient."""
        graph = ir.from_proto(model).graph
        makers = {str(value.name): node for node in graph for value in node.outputs}
        on_the_way = {value.name for value in ancestors(graph.outputs)}
        kept = {k: v for k, v in tensors.items() if k in on_the_way and v.dtype.kind == "f"}
        sizes: dict[int, list[str]] = {}
        for name, value in kept.items():
            sizes.setdefault(value.size, []).append(name)
        return cls(kept, makers, sizes)

    def find(self, layer: LayerValue, candidates: list[str]) -> Entry | str:
        """The tensor of one layer with its layout, or why there is none."""
        if layer.value.dtype.kind != "f" or layer.value.ndim < 1:
            return "its output is no floating-point tensor"
        if name := self.first(candidates, layer):
            return self.earliest(name, layer, set(candidates))
        if np.ptp(layer.value) == 0:
            return "its value is the same everywhere on the samples, so nothing can be proved"
        if name := self.first(self.sizes.get(layer.value.size, []), layer):
            return self.earliest(name, layer, set())
        return "no tensor on the way to the outputs has its value: unused, or merged with a neighbour"

    def first(self, names: list[str], layer: LayerValue) -> str | None:
        """The first of some tensors that has the layer's value, preferably with the batch first."""
        other = None
        for name in names:
            layout = self.layout(name, layer)
            if layout and layout.startswith("N"):
                return name
            other = other or (name if layout else None)
        return other

    def earliest(self, name: str, layer: LayerValue, inside: set[str]) -> Entry:
        """Walk back over nodes that only move data, to the tensor that every consumer of the layer reads.

        The batch stays first: a feature map by example is what the methods want.
        """
        layout = self.layout(name, layer) or ""
        while (node := self.makers.get(name)) is not None and node.op_type in CASTING:
            source = node.inputs[0]
            earlier = self.layout(str(source.name), layer) if source is not None and source.name in inside else None
            if source is None or not earlier or not earlier.startswith("N"):
                break
            name, layout = str(source.name), earlier
        return {"tensor": name, "layout": layout}

    def layout(self, name: str, layer: LayerValue) -> str | None:
        """Name the axes of a tensor if it has the layer's value, in any order of the axes."""
        tensor = self.tensors.get(name)
        if tensor is None or tensor.size != layer.value.size:
            return None
        axes = layer.axes or unnamed(layer.value)
        for order in orders(layer.value.shape, tensor.shape):
            if same(layer.value.transpose(order), tensor):
                return "".join(axes[i] for i in order)
        return padded(tensor, layer)


def orders(source: tuple[int, ...], target: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The orders of axes that turn one shape into another, the unchanged one first."""
    if len(source) != len(target) or len(source) > 5 or sorted(source) != sorted(target):
        return []
    return [p for p in permutations(range(len(source))) if tuple(source[i] for i in p) == target]


def same(wanted: np.ndarray, got: np.ndarray) -> bool:
    """Equal within the tolerance of the parity check; a glance at one corner settles most cases."""
    limit = allowed(wanted)
    corner = tuple(slice(0, 1) for _ in wanted.shape[:-1])
    return difference(wanted[corner], got[corner]) <= limit and difference(wanted, got) <= limit


def padded(tensor: np.ndarray, layer: LayerValue) -> str | None:
    """Match a vector per example that one side keeps with axes of size one, such as (N, C, 1, 1) for (N, C)."""
    count = len(layer.value)
    width = layer.value.size // max(count, 1)
    vector = all(width in v.shape[1:] and v.ndim >= 2 and len(v) == count for v in (tensor, layer.value))
    if (
        not vector
        or tensor.ndim - 2 not in SPATIAL
        or not same(layer.value.reshape(count, -1), tensor.reshape(count, -1))
    ):
        return None
    channel = tensor.shape.index(width, 1)
    spatial = SPATIAL[tensor.ndim - 2]
    return "N" + spatial[: channel - 1] + "C" + spatial[channel - 1 :]


def unnamed(value: np.ndarray) -> str:
    """A layout where the framework does not name the axes: only the batch is known."""
    return "N" + "?" * (value.ndim - 1)
