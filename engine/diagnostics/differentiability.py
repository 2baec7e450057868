"""Differentiability of a model: nodes that stop the gradient, have no rule, or are overridden by a Relu policy."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from ..autodiff.backward import backward
from ..autodiff.embeddings import starts
from ..autodiff.float32_shadow import float32_form
from ..autodiff.overlays import EXACT
from ..autodiff.paths import depends_on, path_nodes, reached_nodes
from ..autodiff.registry import FLOWS, NO_GRADIENT, RULES
from ..autodiff.relu_policies import ACTIVATIONS, GUIDED
from ..errors import UnsupportedOperator
from ..graph.builder import GraphBuilder
from ..graph.model import Model

__all__ = ["ActivationInfo", "GradientInfo", "NodeInfo", "differentiation", "node_info"]

_SIZES_ONLY = frozenset({"Shape", "Size"})  # they read no values, so that nothing is lost at them


@dataclass(frozen=True)
class NodeInfo:
    """A node by its name, or its output where it has none, and its operator."""

    node: str
    op: str


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


def differentiation(model: Model, y: ir.Value | None) -> tuple[GradientInfo, tuple[ActivationInfo, ...]]:
    """Both as a method finds them: after operators without a rule were expanded through their function bodies."""
    copy = model.copy()
    names = [start.tensor for start in starts(copy)]
    if y is None or not names:
        return GradientInfo(differentiable=False), ()
    try:
        copy = float32_form(copy, str(y.name), names)
    except UnsupportedOperator as error:
        return GradientInfo(differentiable=False, reason=str(error)), ()
    score, inputs = copy.value(str(y.name)), copy.values(names)
    path = path_nodes(copy.graph, [score], depends_on(copy.graph, inputs))
    kin = [node for node in path if node.domain == "" and node.op_type in ACTIVATIONS]
    found = tuple(ActivationInfo(_name(node), node.op_type, GUIDED.overrides(node)) for node in kin)
    return _gradient(copy, score, inputs, path), found


def _gradient(model: Model, y: ir.Value, xs: list[ir.Value], path: list[ir.Node]) -> GradientInfo:
    """Tries the reverse pass, which changes the model."""
    stops = {node: None for node in path if _key(node) in NO_GRADIENT and node.op_type not in _SIZES_ONLY}
    reached = reached_nodes(model.graph, [y], depends_on(model.graph, xs))
    unsupported = tuple(node_info(node) for node in reached if _key(node) not in {*NO_GRADIENT, *FLOWS, *RULES})
    if unsupported:
        return GradientInfo(False, tuple(map(node_info, stops)), unsupported)
    g = GraphBuilder(model.graph)
    try:
        found = backward(g, {y: g.input("seed", y.dtype or ir.DataType.FLOAT, y.shape)}, xs, EXACT)
    except UnsupportedOperator as error:
        return GradientInfo(False, tuple(map(node_info, stops)), reason=str(error))
    ends = stops | {node: None for node in found.blockers if node.op_type not in _SIZES_ONLY}
    return GradientInfo(bool(found.gradients), tuple(map(node_info, ends)))


def _name(node: ir.Node) -> str:
    return node.name or str(node.outputs[0].name)


def node_info(node: ir.Node) -> NodeInfo:
    """How reports name a node."""
    return NodeInfo(_name(node), f"{node.domain}::{node.op_type}" if node.domain else node.op_type)


def _key(node: ir.Node) -> tuple[str, str]:
    return node.domain, node.op_type
