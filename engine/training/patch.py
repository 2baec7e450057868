"""The Relu policies on the library's gradient graph: what they do to the nodes that differentiate an activation.

Guided backprop puts the positive part of dY before an activation's ReluGrad, the deconvnet puts it in the place of
the ReluGrad. The nodes that the library emits for a forward node bear its name, so that Clip and LeakyRelu, and
activations that were decomposed before, take the same two edits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ..autodiff.overlays import OVERLAYS
from ..autodiff.registry import Overlay
from ..errors import BuilderError
from .rewrites.decompose_activations import ENTRY, EXIT

__all__ = ["GRADIENT_OF", "POLICIES", "gradient_nodes", "has_patch", "patch", "strict_bounds"]

GRADIENT_OF = "_Grad/"  # stands between a forward node's name and what names its gradient's nodes
_STRICT = {"GreaterOrEqual": "Greater", "LessOrEqual": "Less"}


def has_patch(overlay: Overlay) -> bool:
    """Whether ``patch`` knows this very overlay: another one of the same name may hold other rules."""
    return any(overlay is OVERLAYS[policy] for policy in POLICIES)


def patch(gradient: ir.Graph, activation: str, policy: str, forward: Collection[str]) -> bool:
    """Edits the gradient of one activation, by the name of its node, in place; false where the graph has none."""
    entry, leave = (gradient_nodes(gradient, f"{activation}{place}") for place in (ENTRY, EXIT))
    entry, leave = (entry, leave) if leave else (gradient_nodes(gradient, activation),) * 2
    if not leave:
        return False
    dy = _arriving(leave, forward, activation)
    positive = ir.node("Relu", [dy], name=f"{activation}{GRADIENT_OF}positive")
    positive.outputs[0].name = f"{activation}{GRADIENT_OF}positive"
    positive.outputs[0].type, positive.outputs[0].shape = dy.type, dy.shape
    gradient.insert_before(leave[0], positive)
    _EDITS[policy](_Site(gradient, activation, entry, leave, dy, positive))
    return True


@dataclass(frozen=True, eq=False)
class _Site:
    """The gradient of one activation: the nodes that read dY (``leave``), those that give dX (``entry``), and the
    node of dY's positive part."""

    gradient: ir.Graph
    activation: str
    entry: Sequence[ir.Node]
    leave: Sequence[ir.Node]
    dy: ir.Value
    positive: ir.Node


def _guided(site: _Site) -> None:
    for node in site.leave:
        _reread(node, site.dy, site.positive.outputs[0])


def _deconvnet(site: _Site) -> None:
    dx, positive = _leaving(site.entry, site.activation), site.positive
    site.gradient.insert_after(
        positive, again := ir.node("Identity", [positive.outputs[0]], name=f"{positive.name}/dx")
    )
    name, dx.name = dx.name, f"{dx.name}/replaced"
    again.outputs[0].name = name
    again.outputs[0].type, again.outputs[0].shape = dx.type, dx.shape
    dx.replace_all_uses_with(again.outputs[0], replace_graph_outputs=True)


_EDITS = {"guided": _guided, "deconvnet": _deconvnet}
POLICIES = tuple(_EDITS)  # the overlays, by their names in ``OVERLAYS``, that ``patch`` can put on the library's graph


def strict_bounds(gradient: ir.Graph, clips: Iterable[str]) -> None:
    """Makes the gradient of each Clip, by its node's name, 0 at its bounds, as PyTorch and the portable rule do."""
    for clip in clips:
        for node in gradient_nodes(gradient, clip):
            node.op_type = _STRICT.get(node.op_type, node.op_type)


def gradient_nodes(gradient: ir.Graph, forward: str) -> list[ir.Node]:
    """The nodes that the library emitted for a forward node."""
    return [node for node in gradient if (node.name or "").startswith(f"{forward}{GRADIENT_OF}")]


def _arriving(group: Sequence[ir.Node], forward: Collection[str], activation: str) -> ir.Value:
    """dY: the one value that comes to a group from the gradients computed before."""
    own = {value for node in group for value in node.outputs}
    reads = dict.fromkeys(x for node in group for x in node.inputs if x is not None and x not in own)
    return _only([x for x in reads if x.producer() is not None and x.name not in forward], "dY", activation)


def _leaving(group: Sequence[ir.Node], activation: str) -> ir.Value:
    """dX: the one value of a group that is read elsewhere."""
    inside = set(group)
    made = [value for node in group for value in node.outputs]
    read = [v for v in made if v.is_graph_output() or any(user not in inside for user, _ in v.uses())]
    return _only(read, "dX", activation)


def _only(found: Sequence[ir.Value], what: str, activation: str) -> ir.Value:
    if len(found) != 1:
        names = ", ".join(str(value.name) for value in found) or "none"
        raise BuilderError(f"no single {what} in the gradient of activation {activation!r}: {names}")
    return found[0]


def _reread(node: ir.Node, old: ir.Value, new: ir.Value) -> None:
    for k, x in enumerate(node.inputs):
        if x is old:
            node.replace_input_with(k, new)
