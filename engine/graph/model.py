"""Model: a checked, shape-inferred ONNX graph, at an opset that the rules speak."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass

from ..errors import InputError, ModelError
from ..support.choice import nearest
from .infer_graph import infer_graph
from .metadata import LABELS, LAYERS, LayerEntry, class_names, entry, letters
from .named_sizes import name_sizes
from .pool_shapes import rewrite_pool
from .sequence_types import type_sequences
from .shapes import complete, static_shape
from .weights import LIMIT, content_of, embedded, take_out, weight_bytes

__all__ = ["Layer", "Model", "Source", "infer_shapes", "is_float"]

LIFT_CONSTANTS = LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)  # rules read small ones, too
_FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16})


@dataclass(frozen=True)
class Layer:
    """A layer as users name it: its tensor, and the axes of that tensor, one letter each (``"NCHW"``)."""

    name: str
    tensor: str
    layout: str | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """An ONNX model, ready to be differentiated. Made by ``load``; never changed after that.

    ``original_opset`` is that of the file, before any upgrade.
    """

    program: ir.Model
    path: Path | None = None
    original_opset: int | None = None

    def __repr__(self) -> str:
        """The file, and the inputs and outputs with their shapes, in one line."""
        inputs, outputs = (", ".join(map(_described, values)) for values in (self.inputs, self.outputs))
        return f"Model({self.path.name if self.path else self.graph.name}: {inputs} -> {outputs})"

    @property
    def graph(self) -> ir.Graph:
        return self.program.graph

    @property
    def inputs(self) -> list[ir.Value]:
        return list(self.graph.inputs)

    @property
    def outputs(self) -> list[ir.Value]:
        return list(self.graph.outputs)

    @property
    def opset(self) -> int:
        return self.graph.opset_imports[""]

    @property
    def metadata(self) -> dict[str, str]:
        return self.program.metadata_props

    @property
    def labels(self) -> list[str] | dict[int, str] | None:
        """Class names, where the model's metadata has them."""
        return entry(self.metadata, LABELS) or class_names(self.metadata) or letters(self.metadata) or None

    def copy(self) -> Model:
        """A model whose graph may be changed; the weights are shared."""
        return replace(self, program=self.program.clone())

    @property
    def folder(self) -> Path | None:
        """Where weights outside of the file lie."""
        return self.path.parent.resolve() if self.path else None

    def proto(self, embed: bool = True) -> onnx.ModelProto:
        """The model as a message, with the weights inside, or with external ones left in their files.

        Those of 2 GB and more, which no message holds, are left there anyway.
        """
        external = any(isinstance(v.const_value, ir.ExternalTensor) for v in self.graph.initializers.values())
        return ir.to_proto(embedded(self.copy().program) if embed and external and not self.large else self.program)

    @property
    def digest(self) -> str:
        """The sha256 of the message and of the large weights, wherever those lie."""
        program = self.program.clone()
        weights = take_out(program)
        found = hashlib.sha256(ir.to_proto(program).SerializeToString(deterministic=True))
        for tensor in weights.values():
            found.update(content_of(tensor))
        return found.hexdigest()

    @property
    def large(self) -> bool:
        """Whether the weights are too many for one message."""
        return weight_bytes(self.program) >= LIMIT

    @cached_property
    def layers(self) -> dict[str, Layer]:
        """The layers by the names of the source framework, from the metadata that converters write."""
        entries: dict[str, LayerEntry] = entry(self.metadata, LAYERS) or {}
        return {name: Layer(name, held.tensor, held.layout) for name, held in entries.items()}

    def layer(self, name: str) -> Layer:
        """A layer by its framework name, its node or its output tensor."""
        tensors = ir.convenience.create_value_mapping(self.graph)
        if found := self.layers.get(name):
            if found.tensor not in tensors:
                raise ModelError(f"the metadata say that layer {name!r} is {found.tensor!r}, which is not in the model")
            return found
        if name in tensors:
            return Layer(name, name)
        nodes = {node.name: node for node in self.graph if node.name}
        if name in nodes:
            return Layer(name, str(nodes[name].outputs[0].name))
        known = list(dict.fromkeys([*self.layers, *nodes, *tensors]))
        near = nearest(name, known, most=3)
        hint = f"did you mean {', '.join(map(repr, near))}?" if near else "'onnxray inspect' lists the layers"
        raise ModelError(f"no layer, node or tensor {name!r} in the model; {hint}")

    def value(self, name: str) -> ir.Value:
        """The value behind a tensor, layer or node name, in this order: a layer may have the name of another tensor."""
        tensors = ir.convenience.create_value_mapping(self.graph)
        return tensors[name if name in tensors else self.layer(name).tensor]

    def values(self, names: Sequence[str] | str) -> list[ir.Value]:
        """The floating-point values behind names, each once."""
        found = list(dict.fromkeys(self.value(name) for name in ([names] if isinstance(names, str) else names)))
        for value in found:
            if not is_float(value):
                raise InputError(f"{value.name!r} is {value.type}, which has no gradient; name a float tensor")
        return found


Source = Model | str | PathLike[str] | bytes | onnx.ModelProto


def infer_shapes(program: ir.Model) -> None:
    """Notes the type and shape of every value that the standard's inference can tell.

    A pool that it gets wrong is rewritten in place, as an equal one that it gets right.
    """
    _infer(program)
    while rewrite_pool(program):
        _infer(program)
    type_sequences(program.graph)


def _infer(program: ir.Model) -> None:
    _infer_once(program)
    while sum(complete(node) for node in program.graph.all_nodes()):
        for node in program.graph.all_nodes():
            if node.op_type == "Shape" and not static_shape(node.outputs[0]):
                node.outputs[0].shape = None  # its length was made up while the rank was unknown
        _infer_once(program)


def _infer_once(program: ir.Model) -> None:
    infer_graph(program)
    name_sizes(program.graph)


def is_float(value: ir.Value) -> bool:
    """Whether gradients exist for a value's type; a sequence or an optional of floats is no tensor of floats."""
    return value.dtype in _FLOATS and not isinstance(value.type, ir.SequenceType | ir.OptionalType)


def _described(value: ir.Value) -> str:
    dims = None if value.shape is None else [d if isinstance(d, int) else d.value or "?" for d in value.shape]
    return f"{value.name} of unknown shape" if dims is None else f"{value.name} ({', '.join(map(str, dims))})"
