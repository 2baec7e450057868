"""The float32 shadow graph of a quantised or half-precision model; the gradient is taken of it.

The forward pass stays as it was shipped, bit for bit: its scores are the model's. onnxruntime runs DequantizeLinear,
Conv, QuantizeLinear as one integer kernel only while no other node reads the floats between them. So the reverse pass
reads a shadow graph, which computes these floats again:

* quantised tensors are those of the forward pass (``reuse_quantized``), so every layer sees the deployed activations;
  around them QuantizeLinear differentiates straight through, by numbers that are not rounded yet;
* results of dynamic quantisation and of half precision are computed again from the model's inputs, in float32.

Forward pass and shadow graph share no node that an optimiser could merge: the inputs pass through a Cast, or through
Max(x, x). A float32 model has no shadow graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.model import Model
from ..graph.node_names import SHADOW
from ..graph.traversal import ancestors
from ..passes.cast_to_float32 import HALVES, cast_to_float32
from ..passes.commute_rounding import commute_rounding
from ..passes.quantised import QUANTISED
from ..passes.restore_relu import restore_relu
from .expand_functions import expand_functions
from .ops.quantization import dequantised
from .registry import Overlay
from .streams import Stream

__all__ = ["Float32Shadow", "add_float32_shadow", "float32_form"]

_QUANTISING = frozenset({"DequantizeLinear", "DynamicQuantizeLinear", "QuantizeLinear", "ConvInteger", "MatMulInteger"})
_RANDOM = frozenset({"Bernoulli", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"})
_COMPARED = frozenset({ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.INT32, ir.DataType.INT64})


@dataclass(frozen=True, eq=False)
class Float32Shadow(Stream):
    """The stream of the float32 shadow graph; empty for a float32 model."""

    shared_tensors: Mapping[ir.Value, ir.Value] = field(default_factory=dict)

    def __call__(self, value: ir.Value) -> ir.Value:
        """The value of the shadow graph for a value of the model; for a quantised value, its input before rounding."""
        found = super().__call__(value)
        producer = found.producer()
        rounded = self.values and producer is not None and producer.op_type == "QuantizeLinear"
        return producer.inputs[0] or found if rounded and producer is not None else found

    def substitute_input(self, g: GraphBuilder, x: ir.Value, moved: ir.Value) -> ir.Value:
        """Replaces x in the shadow graph by its perturbed value ``moved`` and returns it."""
        own = self(x)
        if own is x:
            return moved
        if not x.is_graph_input():  # the shadow graph computes such a value itself
            copy = g.Cast(moved, to=own.dtype) if moved.dtype != own.dtype else g.Max(moved, moved)
            own.replace_all_uses_with(g.shaped_like(copy, x))
            return copy
        return own

    def reuse_quantized(self, g: GraphBuilder) -> None:
        """Connects the shadow graph to the quantised tensors of the forward pass; call it after the differentiation.

        Their DequantizeLinear is decomposed, as onnxruntime would merge it with that of the forward pass.
        """
        for own, shipped in self.shared_tensors.items():
            own.replace_all_uses_with(shipped if own.dtype == shipped.dtype else g.Cast(shipped, to=own.dtype))
        for node in [node for node in g.graph if (node.name or "").startswith(SHADOW)] if self.values else ():
            if node.op_type == "DequantizeLinear":
                g.prefix = node.name or SHADOW
                node.outputs[0].replace_all_uses_with(dequantised(g, node))
        if self.values:
            g.graph.sort()


def add_float32_shadow(
    model: Model,
    of: Sequence[str] | str,
    wrt: Sequence[str] | str,
    layers: Sequence[str] | str | None = None,
    overlay: Overlay | None = None,
) -> Float32Shadow:
    """Makes a model differentiable between two sets of tensors, in place; with respect to layers between, too.

    In a float32 model, operators without a rule, not even by the overlay, are expanded. Any other model is left as it
    is, and a shadow graph is added beside it.
    """
    if not _has_low_precision(model, of):
        expand_functions(model, of, wrt, overlay)
        return Float32Shadow()
    form = model.copy()
    heads = _float32_form(form, of, wrt, layers, overlay)
    return _merge(
        model, form, {**ir.convenience.create_value_mapping(form.graph), **heads, **_copied_inputs(form, heads)}
    )


def float32_form(model: Model, of: Sequence[str] | str, wrt: Sequence[str] | str) -> Model:
    """The model that ``add_float32_shadow`` differentiates, alone and under its own names."""
    form = model.copy()
    if _has_low_precision(form, of):
        _float32_form(form, of, wrt, None, None)
    else:
        expand_functions(form, of, wrt)
    return form


def _has_low_precision(model: Model, of: Sequence[str] | str) -> bool:
    """Whether a tensor depends on values that are quantised or in half precision."""
    heads = [model.value(name) for name in ([of] if isinstance(of, str) else of)]
    return any(value.dtype in HALVES or _quantises(value.producer()) for value in ancestors(heads))


def _quantises(node: ir.Node | None) -> bool:
    return node is not None and (node.op_type in _QUANTISING or (node.domain, node.op_type) in QUANTISED)


def _float32_form(
    form: Model,
    of: Sequence[str] | str,
    wrt: Sequence[str] | str,
    layers: Sequence[str] | str | None,
    overlay: Overlay | None,
) -> Mapping[str, ir.Value]:
    """Rewrites a copy in place; gives the float32 forms of half-precision inputs and weights, by name."""
    heads = cast_to_float32(form.program, [form.value(name).name for name in ([wrt] if isinstance(wrt, str) else wrt)])
    expand_functions(form, of, wrt, overlay)
    restore_relu(form.program)
    named = [wrt, of, layers or ()]
    kept = [form.value(name) for names in named for name in ([names] if isinstance(names, str) else names)]
    while commute_rounding(form.program, kept):
        pass
    return heads


def _copied_inputs(form: Model, heads: Mapping[str, ir.Value]) -> dict[str, ir.Value]:
    """Copies of the other inputs that the optimiser cannot merge with the originals."""
    g, copies = GraphBuilder(form.graph, prefix="input"), {}
    for value in form.graph.inputs:
        if str(value.name) not in heads and value.dtype in _COMPARED:
            uses = list(value.uses())
            copy = copies[str(value.name)] = g.shaped_like(g.Max(value, value), value)
            for node, index in uses:
                node.replace_input_with(index, copy)
            if (node := copy.producer()) is not None:
                form.graph.remove(node)
                form.graph.insert_before(form.graph[0], node)
    return copies


def _replace_inside(value: ir.Value, own: ir.Value) -> None:
    """Replaces a value where nodes read it; as an output of its graph it stays."""
    for node, place in list(value.uses()):
        node.replace_input_with(place, own)


def _merge(model: Model, form: Model, values: Mapping[str, ir.Value]) -> Float32Shadow:
    """Moves the nodes of the float form into the model's graph; inputs and weights are the model's own."""
    own = ir.convenience.create_value_mapping(model.graph)
    shared_tensors = {
        value: own[name]
        for name, value in values.items()
        if name in own and (_is_quantised(value) or _is_random(value)) and value.producer() is not None
    }
    form.graph.outputs.clear()  # inputs and weights may be among them
    for value in (*form.graph.inputs, *form.graph.initializers.values()):
        if str(value.name) in own:
            _replace_inside(value, own[str(value.name)])
    _rename(form.graph)
    graph, nodes = form.graph, list(form.graph)
    added = [value for value in graph.initializers.values() if value.uses()]
    graph.remove(nodes)
    for value in added:
        graph.initializers.pop(str(value.name))
        value.name = f"{SHADOW}{value.name}"
        model.graph.register_initializer(value)
    model.graph.extend(nodes)
    kept = {name: value for name, value in values.items() if value.producer() is not None}
    return Float32Shadow(kept, shared_tensors)


def _rename(graph: ir.Graph) -> None:
    for node in graph.all_nodes():
        node.name = f"{SHADOW}{node.name or node.outputs[0].name}"
        for value in node.outputs:
            value.name = value.name and f"{SHADOW}{value.name}"


def _is_quantised(value: ir.Value) -> bool:
    """Whether the forward pass materialises this quantised tensor, so that the shadow graph can read it.

    The output of DynamicQuantizeLinear is excluded: a runtime may fuse the operator with the product that reads it.
    """
    kind, node = value.dtype, value.producer()
    if kind is None or node is None or node.op_type == "DynamicQuantizeLinear":
        return False
    return (kind.is_integer() and kind.bitwidth <= 16) or (kind.is_floating_point() and kind.bitwidth <= 8)


def _is_random(value: ir.Value) -> bool:
    node = value.producer()
    return node is not None and node.domain == "" and node.op_type in _RANDOM
