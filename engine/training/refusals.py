"""Refuses nodes that the library is known to differentiate wrongly in silence and that no rewrite corrects."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import onnx_ir as ir

from ..autodiff.backward import BROADCASTING
from ..autodiff.ops.window import spatial_shape
from ..autodiff.paths import depends_on
from ..autodiff.registry import Overlay
from ..errors import BuilderError
from ..graph.shapes import static_shape
from .patch import POLICIES, has_patch

__all__ = ["HEAD", "refuse", "refuse_overlay", "refuse_raw"]

HEAD = "onnxray/head"  # how the nodes begin that make one score of the outputs
_CONTROL = frozenset({"If", "Loop", "Scan"})
_SCATTERS = frozenset({"ScatterElements", "ScatterND"})


def refuse(program: ir.Model, path: Iterable[ir.Node]) -> None:
    """Raises BuilderError, naming the first node of the gradient's path that is not right."""
    ends = set(program.graph.outputs)
    for node in path:
        reason = _reason(node) or _lost(program.graph, node, ends)
        if reason:
            raise BuilderError(
                f"onnxruntime-training gets operator {node.op_type} (node {node.name!r}) wrong: {reason}; "
                "use builder='portable'"
            )


def refuse_overlay(overlay: Overlay, path: Iterable[ir.Node]) -> None:
    """Raises BuilderError where rules that the library's graph cannot be patched with override a node of the path."""
    node = next((node for node in path if overlay.overrides(node)), None)
    if node is not None and not has_patch(overlay):
        raise BuilderError(
            f"onnxruntime-training cannot take the rules of overlay {overlay.name!r}, which override operator "
            f"{node.op_type} (node {node.name!r}): it knows {' and '.join(POLICIES)} alone; use builder='portable'"
        )


def refuse_raw(path: Iterable[ir.Node]) -> None:
    """Raises BuilderError where the library's own kernels, which only ``runtime="training"`` runs, would go wrong."""
    for node in path:
        reason = _open_shape(node) or _wrong_kernel(node)
        if reason:
            raise BuilderError(
                f"runtime='training' gets operator {node.op_type} (node {node.name!r}) wrong: {reason}; "
                "runtime='onnxruntime' has the same gradient in standard operators"
            )


def _open_shape(node: ir.Node) -> str:
    """Why a node with open dimensions is refused, or "": MaxPoolGrad writes out of bounds; AveragePoolGrad returns an
    empty tensor; open dimensions with different names are treated as equal."""
    fix = "fix the sizes of the model's inputs"
    x = node.inputs[0] if node.inputs else None
    if node.op_type == "AveragePool" and (x is None or static_shape(x) is None):
        return f"its batch or size is open; {fix}"
    if node.op_type == "MaxPool" and (x is None or spatial_shape(x) is None):
        return f"its size is open; {fix}"
    if node.op_type in BROADCASTING and not (node.name or "").startswith(HEAD) and not _broadcast_is_known(node):
        return f"it may broadcast dimensions that are open; {fix}"
    return ""


def _broadcast_is_known(node: ir.Node) -> bool:
    """Whether it is known which dimensions an operator broadcasts."""
    shapes = [list(x.shape)[::-1] if x.shape is not None else None for x in node.inputs if x is not None]
    if None in shapes:
        return False
    rows = itertools.zip_longest(*(shape for shape in shapes if shape is not None), fillvalue=1)
    return all(sum(not isinstance(d, int) for d in set(row)) == 0 or len(set(row)) == 1 for row in rows)


def _wrong_kernel(node: ir.Node) -> str:
    """Faults that were found by comparing the library's kernels with central differences, operator by operator."""
    number = node.attributes.get_int
    if node.op_type == "Gelu" and node.attributes.get_string("approximate", "none") != "none":
        return "it takes the tanh form for that of erf"
    if node.op_type == "AveragePool":
        kernel, dilations = (node.attributes.get_ints(name, ()) for name in ("kernel_shape", "dilations"))
        if (
            len(kernel) > 2
            or any(d != 1 for d in dilations)
            or (number("ceil_mode", 0) and number("count_include_pad", 0))
        ):
            return "it knows no dilations, no volumes, and no ceil_mode that counts pads"
    if node.op_type.startswith("Reduce") and number("noop_with_empty_axes", 0):
        return "it takes no notice of noop_with_empty_axes"
    return ""


def _reason(node: ir.Node) -> str:
    if node.op_type in _CONTROL:
        return "it does not differentiate into subgraphs"
    if node.op_type in _SCATTERS and node.attributes.get_string("reduction", "none") != "none":
        return "it takes no notice of the reduction"
    return ""


def _lost(graph: ir.Graph, node: ir.Node, ends: set[ir.Value]) -> str:
    """Outputs that a node of several loses: a Split is taken back by joining the gradients that there are."""
    if node.op_type == "Split" and any(not depends_on(graph, [part]) & ends for part in node.outputs):
        return "a part of it leads nowhere, and its length is not known"
    if node.op_type == "LayerNormalization" and any(depends_on(graph, [v]) & ends for v in node.outputs[1:]):
        return "it drops the gradients of mean and deviation"
    return ""
