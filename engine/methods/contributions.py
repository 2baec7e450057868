"""What each value of the input contributes: value times gradient, and the relevance by a first layer's rule of LRP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from ..autodiff.backward import Activation, Backward, connected
from ..autodiff.layers import LinearLayer
from ..autodiff.lrp_overlay import MOVED, Composite
from ..autodiff.overlays import EXACT, overlay_of
from ..autodiff.registry import Overlay
from ..autodiff.relevance import LayerRule
from .base import EmitContext

__all__ = ["contributions"]


def contributions(
    context: EmitContext, overlay: str | Overlay = EXACT
) -> tuple[dict[str, ir.Value], tuple[Activation, ...]]:
    """Value times gradient by input, the relevance of first layers added, and the activations on the way."""
    g, own = context.g, overlay_of(overlay)
    rule, layers = _first_layers(context, own)
    stopped = replace(context, rules=_stopped(context.rules))
    found = stopped.backward([*context.perturbed_inputs.values(), *(layer.y for layer in layers)], _stopped(own))
    direct = _relevances(context, rule, layers, found) if rule else {}
    total = {}
    for name, x in context.perturbed_inputs.items():
        if x not in direct:
            total[name] = g.Mul(x, connected(found, x, [context.score], name))
        else:
            total[name] = g.Add(g.Mul(x, found.gradients[x]), direct[x]) if x in found.gradients else direct[x]
    return total, found.activations


def _first_layers(context: EmitContext, own: Overlay) -> tuple[LayerRule | None, list[LinearLayer]]:
    """The rule that gives a relevance, and its layers; a user's rules lie over those of a method's composite."""
    nodes = [node for node in context.g.graph if node not in context.g.emitted]
    if isinstance(context.rules, Composite):
        return context.rules.first, context.rules.first_layers(nodes)
    if not isinstance(own, Composite):
        return None, []
    return own.first, [layer for layer in own.first_layers(nodes) if not context.rules.overrides(layer.last)]


def _stopped(overlay: Overlay) -> Overlay:
    return replace(overlay, stopped=True) if isinstance(overlay, Composite) and overlay.first else overlay


def _relevances(
    context: EmitContext, rule: LayerRule, layers: Sequence[LinearLayer], found: Backward
) -> dict[ir.Value, ir.Value]:
    """The relevance that first layers give to the model's inputs, by input."""
    g, seeds = context.g, dict[ir.Value, ir.Value]()
    for layer in layers:
        if layer.y in found.gradients:
            g.prefix = f"relevance/{layer.last.name or layer.last.op_type}"
            given = g.shaped_like(rule(g, layer, g.Mul(layer.y, found.gradients[layer.y])), layer.x)
            seeds[layer.x] = g.Add(seeds[layer.x], given) if layer.x in seeds else given
    return dict(context.builder(g, seeds, context.perturbed_inputs.values(), MOVED).gradients) if seeds else {}
