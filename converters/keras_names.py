"""Names of Keras layers: made unique for TensorFlow while a model is traced, and put back into the graph.

TensorFlow appends `_1` to a scope used twice and refuses blanks; Keras itself calls layers `dense_1`. Stripping
suffixes is therefore ambiguous, and a temporary name per layer is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx

from .quiet import require
from .subgraphs import every_node

__all__ = ["layer_paths", "real_names", "scopes_of", "temporary_names"]

TOKEN = re.compile(r"^(oxr\d{5})(?:_(\d+))?$")
COUNTER = re.compile(r"__\d+")

Paths = dict[str, str]


def layer_paths(model: Any, cells: bool = False) -> list[tuple[Any, str]]:
    """Every layer of a model with its path, such as `mobilenetv2/Conv_1` in a nested model.

    The cells of recurrent layers come on demand only, for they are called once a time step.
    """
    recurrent = require("keras").layers.RNN
    found: dict[int, tuple[Any, str]] = {}

    def walk(parent: Any, prefix: str) -> None:
        for layer in children(parent):
            if id(layer) not in found and layer is not model:
                found[id(layer)] = (layer, prefix + layer.name)
                if cells or not isinstance(layer, recurrent):
                    walk(layer, f"{prefix}{layer.name}/")

    walk(model, "")
    return list(found.values())


def children(layer: Any) -> list[Any]:
    """The layers right below one, in the order of the model where it has one."""
    below = list(layer._flatten_layers(include_self=False, recursive=False))
    order = {id(child): index for index, child in enumerate(getattr(layer, "layers", ()))}
    return sorted(below, key=lambda child: order.get(id(child), -1))


@contextmanager
def temporary_names(model: Any) -> Iterator[Paths]:
    """Give every layer a unique name; the table from that name to the layer's path is what comes back."""
    layers = layer_paths(model, cells=True)
    kept = [(layer, layer.name) for layer, _ in layers]
    table: Paths = {}
    try:
        for index, (layer, path) in enumerate(layers):
            layer.name = f"oxr{index:05d}"
            table[layer.name] = path
        yield table
    finally:
        for layer, name in kept:
            layer.name = name


def scopes_of(node: onnx.NodeProto, table: Paths) -> list[str]:
    """The layers that a node was made in, outermost first."""
    tokens = (TOKEN.match(part) for part in node.name.split("/"))
    return [table[found[1]] for found in tokens if found and found[1] in table]


def real_names(model: onnx.ModelProto, table: Paths) -> dict[str, str]:
    """Name the nodes after their layers, and return such names for the tensors too."""
    nodes = list(every_node(model.graph))
    tensors = dict.fromkeys(name for node in nodes for name in (*node.input, *node.output) if name)
    namer = Namer(table, [*(node.name for node in nodes), *tensors])
    for node in nodes:
        node.name = namer.name(node.name)
    return {name: namer.name(name) for name in tensors}


class Namer:
    """From temporary to real names: the k-th call of a shared layer ends in `:k`, counters start anew."""

    def __init__(self, table: Paths, names: list[str]) -> None:
        self.table = table
        self.calls: dict[tuple[str, str], list[int]] = {}
        self.counters: dict[str, str] = {}
        for name in names:
            self.collect(name)

    def collect(self, name: str) -> None:
        """Note the suffixes under which each scope occurs."""
        prefix = ""
        for part in name.split("/"):
            found = TOKEN.match(part)
            if found:
                seen = self.calls.setdefault((prefix, found[1]), [])
                seen.extend({int(found[2] or 0)} - set(seen))
            prefix += part + "/"

    def name(self, name: str) -> str:
        """The real name of a node or tensor."""
        prefix, parts = "", []
        for part in name.split("/"):
            parts.append(self.part(prefix, part))
            prefix += part + "/"
        text = COUNTER.sub(lambda m: self.counters.setdefault(m[0], f"__{len(self.counters)}"), "/".join(parts))
        return text.removesuffix(":0")

    def part(self, prefix: str, part: str) -> str:
        """The real name of one scope."""
        found = TOKEN.match(part)
        if not found or found[1] not in self.table:
            return part
        call = sorted(self.calls[prefix, found[1]]).index(int(found[2] or 0))
        plain = self.table[found[1]].rpartition("/")[2]
        return f"{plain}:{call}" if call else plain
