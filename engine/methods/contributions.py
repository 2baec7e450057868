"""What each value of the input contributes: value times gradient, and the relevance by a first layer's rule of LRP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from ..autodiff.backward import Activation, Backward, connected
from ..autodiff.layers import LinearLayer
from ..autodiff.moved_relevance import MOVED
from ..autodiff.overlays import EXACT, overlay_of
from ..autodiff.registry import Overlay
from ..autodiff.relevance import LayerRule
from .base import EmitContext

__all__ = ["contributions"]

FirstLayer = tuple[LinearLayer, LayerRule]


def contributions(
    context: EmitContext, overlay: str | Overlay = EXACT
) -> tuple[dict[str, ir.Value], tuple[Activation, ...]]:
    """Value times gradient by input, the relevance of first layers added, and the activations on the way."""
    g, own = context.g, overlay_of(overlay)
    layers = _first_layers(context, own)
    stopped = replace(context, rules=context.rules.stopped_at_first())
    ends = [*context.perturbed_inputs.values(), *(layer.y for layer, _ in layers)]
    found = stopped.backward(ends, own.stopped_at_first())
    direct = _relevances(context, layers, found)
    total = {}
    for name, x in context.perturbed_inputs.items():
        if x not in direct:
            total[name] = g.Mul(x, connected(found, x, [context.score], name))
        else:
            total[name] = g.Add(g.Mul(x, found.gradients[x]), direct[x]) if x in found.gradients else direct[x]
    return total, found.activations


def _first_layers(context: EmitContext, own: Overlay) -> list[FirstLayer]:
    """The layers whose rule gives a relevance; a user's rules lie over those of a method's composite."""
    nodes = [node for node in context.g.graph if node not in context.g.emitted]
    if context.rules.is_whole:
        return list(context.rules.first_layers(nodes))
    return [(layer, rule) for layer, rule in own.first_layers(nodes) if not context.rules.overrides(layer.last)]


def _relevances(context: EmitContext, layers: Sequence[FirstLayer], found: Backward) -> dict[ir.Value, ir.Value]:
    """The relevance that first layers give to the model's inputs, by input."""
    g, seeds = context.g, dict[ir.Value, ir.Value]()
    for layer, rule in layers:
        if layer.y in found.gradients:
            g.prefix = f"relevance/{layer.last.name or layer.last.op_type}"
            given = g.shaped_like(rule(g, layer, g.Mul(layer.y, found.gradients[layer.y])), layer.x)
            seeds[layer.x] = g.Add(seeds[layer.x], given) if layer.x in seeds else given
    return dict(context.builder(g, seeds, context.perturbed_inputs.values(), MOVED).gradients) if seeds else {}
