"""Description of a model and of what can be explained: inputs, score, layers, gradient, activations."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import onnx_ir as ir

from ..attribution.axes import score_axes, with_settled_sizes
from ..attribution.heads import find_head
from ..attribution.output_choice import check_output
from ..attribution.plan import explanation_graph
from ..attribution.score import score_tensor
from ..autodiff.embeddings import note_of
from ..autodiff.paths import depends_on, path_nodes
from ..data.preprocess import METADATA_KEY, Preprocess
from ..detection.recipes import recognised
from ..errors import InputError, ModelError, NoGradientPath, RuntimeUnavailable, UnsupportedOperator
from ..graph.metadata import LABELS, LAYERS
from ..graph.model import Model, is_float
from ..graph.moving_operators import PASSING, QUANTIZING
from ..methods import METHODS
from ..methods.cam_default import default_layer
from ..runtime import blaming_model
from .byte_products import layers_at_risk, products_saturate
from .differentiability import ActivationInfo, GradientInfo, NodeInfo, differentiation, node_info

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

_UNLISTED = PASSING - {"Flatten", "Transpose"} | QUANTIZING  # are no layers of their own
_OWN = frozenset({METADATA_KEY, LABELS, LAYERS})  # metadata that have a place of their own


@dataclass(frozen=True)
class TensorInfo:
    """An input or output; open dimensions are strings."""

    name: str
    dtype: str
    shape: tuple[int | str, ...] | None


@dataclass(frozen=True)
class ScoreInfo:
    """The tensor of scores with its shape, the final activation that it comes from, the tensor before that, and how a
    target names a score."""

    tensor: str
    logits: str
    activation: NodeInfo | None
    shape: tuple[int | str, ...] | None
    target: str


@dataclass(frozen=True)
class LayerInfo:
    """A name that --layer takes; ``default`` marks the layer that grad-cam takes by itself."""

    name: str
    op: str
    tensor: str
    shape: tuple[int | str, ...] | None
    default: bool = False


@dataclass(frozen=True)
class Inspection:
    """The report of ``inspect``; ``note`` says what is explained where the inputs are integers, ``at_risk`` names
    layers whose 8-bit sums this processor may cut off."""

    model: str | None
    producer: str
    opset: int
    nodes: int
    parameters: int
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    score: ScoreInfo | None
    gradient: GradientInfo
    note: str | None
    at_risk: tuple[str, ...]
    activations: tuple[ActivationInfo, ...]
    layers: tuple[LayerInfo, ...]
    preprocess: Preprocess | None
    labels: tuple[str, ...]
    detector: str | None
    metadata: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The report as plain lists and dicts."""
        return asdict(self)


def inspect(model: Model) -> Inspection:
    """Looks at a model without running it; whether 8-bit sums are cut off here is measured by one product."""
    with blaming_model(model):
        return _inspected(model)


def _inspected(model: Model) -> Inspection:
    y = _score_of(model)
    gradient, activations = differentiation(model, y)
    gradient = _as_explained(model, gradient)
    program, sized = model.program, with_settled_sizes(model)
    return Inspection(
        model=str(model.path) if model.path else None,
        producer=f"{program.producer_name or ''} {program.producer_version or ''}".strip(),
        opset=model.original_opset or model.opset,
        nodes=len(model.graph),
        parameters=_parameter_count(model.graph),
        inputs=tuple(map(_tensor, model.inputs)),
        outputs=tuple(map(_tensor, model.outputs)),
        score=_score(model, y) if y is not None else None,
        gradient=gradient,
        note=note_of(model),
        at_risk=_at_risk(model),
        activations=activations,
        layers=_layers(sized, _score_of(sized)),
        preprocess=Preprocess.from_metadata(model.metadata),
        labels=_label_texts(model),
        detector=found.name if (found := recognised(model)) is not None else None,
        metadata={key: _read(text) for key, text in model.metadata.items() if key not in _OWN},
    )


def _at_risk(model: Model) -> tuple[str, ...]:
    """Layers whose 8-bit sums are cut off here; none where no runtime is installed that could tell."""
    layers = tuple(layers_at_risk(model))
    try:
        return layers if layers and products_saturate() else ()
    except RuntimeUnavailable:
        return ()


def _as_explained(model: Model, found: GradientInfo) -> GradientInfo:
    """The same, or why an Explainer cannot be built all the same; which axis counts examples only a run may tell."""
    if found.differentiable:
        try:
            explanation_graph(model, METHODS["saliency"]())
        except (NoGradientPath, UnsupportedOperator) as error:
            return replace(found, differentiable=False, reason=str(error))
        except (InputError, ModelError):
            return found
    return found


def _score_of(model: Model) -> ir.Value | None:
    try:
        return score_tensor(model, "logit")
    except ModelError:  # outputs without floats: nothing to explain, the rest is still worth telling
        return None


def _score(model: Model, y: ir.Value) -> ScoreInfo:
    head = find_head(y)
    found = node_info(head.node) if head is not None else None
    logits = head.tensor if head is not None and head.tensor is not None else y
    return ScoreInfo(str(y.name), str(logits.name), found, _shape(y), _naming(model, y))


def _naming(model: Model, y: ir.Value) -> str:
    if not model.inputs:
        return "the model has no input, so there is nothing to explain"
    try:
        if recognised(model) is None:
            with warnings.catch_warnings(action="ignore"):
                check_output(model, "logit")
        return "it is an input of the model" if y.is_graph_input() else score_axes(model, "logit").naming
    except InputError as error:  # they are none, or of another output
        return str(error)


def _layers(model: Model, y: ir.Value | None) -> tuple[LayerInfo, ...]:
    """The framework's layers where the metadata have them, and every node on the way that computes something."""
    ends = () if y is None else (y,)
    floats = [value for value in model.inputs if is_float(value)]
    path = path_nodes(model.graph, ends, depends_on(model.graph, floats or model.inputs))
    nodes = [node for node in path if node.op_type not in _UNLISTED and is_float(node.outputs[0])]
    last = _cam_layer(model, y, floats or model.inputs)
    named = [_layer(name, model.value(model.layer(name).tensor), None) for name in model.layers]
    own = [_layer(_usable(model, node), node.outputs[0], last) for node in nodes]
    return (*named, *(layer for layer in own if layer.name not in model.layers))


def _cam_layer(model: Model, y: ir.Value | None, wrt: Sequence[ir.Value]) -> str | None:
    """The tensor that grad-cam takes by itself, if there is one."""
    try:
        return None if y is None else default_layer("grad-cam", model, y, wrt).tensor
    except ModelError:
        return None


def _layer(name: str, value: ir.Value, default: str | None) -> LayerInfo:
    node = value.producer()
    op = node.op_type if node is not None else "input"
    return LayerInfo(name, op, str(value.name), _shape(value), value.name == default)


def _usable(model: Model, node: ir.Node) -> str:
    """The node's name, or its tensor's where the name would be understood as something else."""
    tensor = str(node.outputs[0].name)
    return node.name if node.name and model.layer(node.name).tensor == tensor else tensor


def _tensor(value: ir.Value) -> TensorInfo:
    return TensorInfo(str(value.name), "unknown" if value.dtype is None else value.dtype.name.lower(), _shape(value))


def _shape(value: ir.Value) -> tuple[int | str, ...] | None:
    return None if value.shape is None else tuple(d if isinstance(d, int) else d.value or "?" for d in value.shape)


def _parameter_count(graph: ir.Graph) -> int:
    """Elements of all weights; int64 initializers are axes and shapes."""
    weights = [v.const_value for v in graph.initializers.values() if v.const_value is not None]
    return sum(math.prod(w.shape.numpy()) for w in weights if w.dtype != ir.DataType.INT64)


def _label_texts(model: Model) -> tuple[str, ...]:
    labels = model.labels or ()
    return tuple(map(str, labels.values() if isinstance(labels, Mapping) else labels))


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
