"""What a model is and what can be explained of it: inputs, score, layers, gradient, activations."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import onnx_ir as ir

from .errors import ModelError, UnsupportedOperator
from .gradient import backward
from .graph import GraphBuilder
from .model import Model, is_float
from .overlays import ACTIVATIONS, OVERLAYS
from .passes.expand import expand_functions
from .paths import influenced, nodes_between
from .preprocess import METADATA_KEY, Preprocess
from .rules import NO_GRADIENT, rule_for
from .target import score_tensor, softmax_before

__all__ = [
    "ActivationInfo",
    "GradientInfo",
    "Inspection",
    "LayerInfo",
    "NodeInfo",
    "ScoreInfo",
    "TensorInfo",
    "inspect",
]

_SIZES_ONLY = frozenset({"Shape", "Size"})  # they read no values, so that nothing is lost at them
_MOVES = frozenset(
    {"Identity", "Cast", "Dropout", "Reshape", "Squeeze", "Unsqueeze", "QuantizeLinear", "DequantizeLinear"}
)
_OWN = frozenset({METADATA_KEY, "onnxray.labels", "onnxray.layers"})  # metadata that have a place of their own


@dataclass(frozen=True)
class TensorInfo:
    """An input or output; open dimensions are strings."""

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None


@dataclass(frozen=True)
class ScoreInfo:
    """The tensor of scores, the final activation that it comes from, and the tensor before that."""

    tensor: str
    logits: str
    activation: NodeInfo | None


@dataclass(frozen=True)
class NodeInfo:
    """A node by its name, or its output where it has none, and its operator."""

    node: str
    op: str


@dataclass(frozen=True)
class LayerInfo:
    """A name that --layer takes; ``default`` marks the layer that grad-cam takes by itself."""

    name: str
    op: str
    tensor: str
    shape: tuple[int | str, ...] | None
    default: bool = False


@dataclass(frozen=True)
class ActivationInfo:
    """An activation node, and whether guided backprop and the deconvnet override it (they treat the same nodes)."""

    node: str
    op: str
    overridden: bool


@dataclass(frozen=True)
class GradientInfo:
    """Whether a gradient reaches the score; the nodes that stop it, and those that nobody can differentiate."""

    differentiable: bool
    stops: tuple[NodeInfo, ...] = ()
    unsupported: tuple[NodeInfo, ...] = ()
    reason: str | None = None  # why a rule refused a node


@dataclass(frozen=True)
class Inspection:
    """The report of ``inspect``."""

    model: str | None
    producer: str
    opset: int
    nodes: int
    parameters: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    score: ScoreInfo | None
    gradient: GradientInfo
    activations: tuple[ActivationInfo, ...]
    layers: tuple[LayerInfo, ...]
    preprocess: Preprocess | None
    labels: tuple[str, ...]
    metadata: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The report as plain lists and dicts."""
        return asdict(self)


def inspect(model: Model) -> Inspection:
    """Looks at a model without running it."""
    y, xs = _score_of(model), [value for value in model.inputs if is_float(value)]
    path = nodes_between(model.graph, [y], influenced(model.graph, xs)) if y is not None else []
    gradient, activations = _differentiation(model, y, xs)
    program = model.program
    return Inspection(
        model=str(model.path) if model.path else None,
        producer=f"{program.producer_name or ''} {program.producer_version or ''}".strip(),
        opset=model.opset,
        nodes=len(model.graph),
        parameters=_parameter_count(model.graph),
        inputs=tuple(map(_tensor, model.inputs)),
        outputs=tuple(map(_tensor, model.outputs)),
        score=_score(y) if y is not None else None,
        gradient=gradient,
        activations=activations,
        layers=_layers(model, path),
        preprocess=Preprocess.from_metadata(model.metadata),
        labels=_label_texts(model),
        metadata={key: _read(text) for key, text in model.metadata.items() if key not in _OWN},
    )


def _score_of(model: Model) -> ir.Value | None:
    try:
        return score_tensor(model, "logit")
    except ModelError:  # outputs without floats: nothing to explain, the rest is still worth telling
        return None


def _score(y: ir.Value) -> ScoreInfo:
    activation, _ = softmax_before(y)
    before = activation.inputs[0] if activation is not None else None
    if activation is None or before is None:
        return ScoreInfo(str(y.name), str(y.name), None)
    return ScoreInfo(str(y.name), str(before.name), _node(activation))


def _differentiation(
    model: Model, y: ir.Value | None, xs: list[ir.Value]
) -> tuple[GradientInfo, tuple[ActivationInfo, ...]]:
    """Both as a method finds them: after operators without a rule were expanded through their function bodies."""
    if y is None or not xs:
        return GradientInfo(differentiable=False), ()
    copy, names = model.copy(), [str(x.name) for x in xs]
    expand_functions(copy, str(y.name), names)
    score, inputs = copy.value(str(y.name)), copy.values(names)
    path = nodes_between(copy.graph, [score], influenced(copy.graph, inputs))
    kin = [node for node in path if node.domain == "" and node.op_type in ACTIVATIONS]
    found = tuple(ActivationInfo(_name(node), node.op_type, OVERLAYS["guided"].overrides(node)) for node in kin)
    return _gradient(copy, score, inputs, path), found


def _gradient(model: Model, y: ir.Value, xs: list[ir.Value], path: list[ir.Node]) -> GradientInfo:
    """Tries the reverse pass, which changes the model."""
    stops = {node: None for node in path if _key(node) in NO_GRADIENT and node.op_type not in _SIZES_ONLY}
    unsupported = tuple(_node(node) for node in path if _key(node) not in NO_GRADIENT and rule_for(node) is None)
    if unsupported:
        return GradientInfo(False, tuple(map(_node, stops)), unsupported)
    g = GraphBuilder(model.graph)
    try:
        found = backward(g, {y: g.input("seed", y.dtype or ir.DataType.FLOAT, y.shape)}, xs, OVERLAYS["exact"])
    except UnsupportedOperator as error:
        return GradientInfo(False, tuple(map(_node, stops)), reason=str(error))
    ends = stops | {node: None for node in found.blockers if node.op_type not in _SIZES_ONLY}
    return GradientInfo(bool(found.gradients), tuple(map(_node, ends)))


def _layers(model: Model, path: Iterable[ir.Node]) -> tuple[LayerInfo, ...]:
    """The framework's layers where the metadata have them, and every node on the way that computes something."""
    nodes = [node for node in path if node.op_type not in _MOVES and is_float(node.outputs[0])]
    last = next((node for node in reversed(nodes) if node.op_type == "Conv"), None)
    named = [_layer(layer.name, model.value(layer.name), None) for layer in model.layers.values()]
    own = [_layer(_usable(model, node), node.outputs[0], last) for node in nodes]
    return (*named, *(layer for layer in own if layer.name not in model.layers))


def _layer(name: str, value: ir.Value, default: ir.Node | None) -> LayerInfo:
    node = value.producer()
    op = node.op_type if node is not None else "input"
    return LayerInfo(name, op, str(value.name), _shape(value), node is not None and node is default)


def _usable(model: Model, node: ir.Node) -> str:
    """The node's name, or its tensor's where the name would be understood as something else."""
    tensor = str(node.outputs[0].name)
    return node.name if node.name and model.layer(node.name).tensor == tensor else tensor


def _tensor(value: ir.Value) -> TensorInfo:
    return TensorInfo(str(value.name), "unknown" if value.dtype is None else value.dtype.name.lower(), _shape(value))


def _shape(value: ir.Value) -> tuple[int | str, ...] | None:
    return None if value.shape is None else tuple(d if isinstance(d, int) else d.value or "?" for d in value.shape)


def _name(node: ir.Node) -> str:
    return node.name or str(node.outputs[0].name)


def _node(node: ir.Node) -> NodeInfo:
    return NodeInfo(_name(node), f"{node.domain}::{node.op_type}" if node.domain else node.op_type)


def _key(node: ir.Node) -> tuple[str, str]:
    return node.domain, node.op_type


def _parameter_count(graph: ir.Graph) -> int:
    """Elements of all weights; int64 initializers are axes and shapes."""
    weights = [v.const_value for v in graph.initializers.values() if v.const_value is not None]
    return sum(math.prod(w.shape.numpy()) for w in weights if w.dtype != ir.DataType.INT64)


def _label_texts(model: Model) -> tuple[str, ...]:
    labels: Any = model.labels or ()
    return tuple(map(str, labels.values() if isinstance(labels, Mapping) else labels))


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
