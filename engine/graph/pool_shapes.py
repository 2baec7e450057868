"""Pools with ceil_mode whose shape the standard's inference gets wrong before opset 22.

There a last window counts that would start behind the image and its pads at the beginning, though no runtime computes
it: MaxPool of 5 elements with kernel 2, stride 2 and pads of 1 has 3 windows, and inference says 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from .traversal import inputs_of, subgraphs

__all__ = ["rewrite_pool"]

_POOLS = frozenset({"AveragePool", "LpPool", "MaxPool"})
_RIGHT = 22  # the first opset whose inference leaves that window out


def rewrite_pool(program: ir.Model) -> bool:
    """Gives the first such pool pads at the end in the place of ceil_mode, in place; false where there is none.

    The shapes of all that depends on it are forgotten.
    """
    if program.graph.opset_imports.get("", 1) >= _RIGHT:
        return False
    for node in program.graph.all_nodes():
        if node.domain != "" or node.op_type not in _POOLS or not node.attributes.get_int("ceil_mode", 0):
            continue
        pads = _pads(node)
        if pads is not None:
            node.attributes.update({"pads": ir.AttrInt64s("pads", pads), "ceil_mode": ir.AttrInt64("ceil_mode", 0)})
            for value in _dependents(program, node):
                value.shape = None
            return True
    return False


def _pads(node: ir.Node) -> list[int] | None:
    """Pads by which the right number of windows fits without ceil_mode, where inference counts more; else None.

    None as well where one axis has a window too many, another one a shortened window, and its pads would count in the
    means or be longer than onnxruntime takes: then there is no equal pool.
    """
    x, kernel = node.inputs[0], _ints(node, "kernel_shape", ())
    sizes = [] if x is None or x.shape is None else [n for n in list(x.shape)[2:] if isinstance(n, int)]
    if len(sizes) < len(kernel) or node.attributes.get_string("auto_pad", "NOTSET") != "NOTSET":
        return None
    rank = len(kernel)
    pads = _ints(node, "pads", [0] * (2 * rank))
    strides, dilations = (_ints(node, name, [1] * rank) for name in ("strides", "dilations"))
    wrong, ends = False, list(pads[rank:])
    for k, (n, s) in enumerate(zip(sizes, strides, strict=True)):
        free = n + pads[k] + ends[k] - dilations[k] * (kernel[k] - 1) - 1
        last = -(-free // s)  # the number of the last window, from 0
        if last * s >= n + pads[k]:
            wrong = True
        else:
            ends[k] += last * s - free
    counted = node.attributes.get_int("count_include_pad", 0) and ends != list(pads[rank:])
    long = any(end >= max(k, 1 + before) for end, k, before in zip(ends, kernel, pads[rank:], strict=True))
    return [*pads[:rank], *ends] if wrong and not (counted or long) else None


def _ints(node: ir.Node, name: str, default: Sequence[int]) -> Sequence[int]:
    given = node.attributes.get_ints(name)
    return default if given is None else given


def _dependents(program: ir.Model, node: ir.Node) -> set[ir.Value]:
    """What is computed from the outputs of a node, themselves and the inputs of subgraphs included."""
    found, before = {*node.outputs}, 0
    while len(found) > before:
        before = len(found)
        for reader in program.graph.all_nodes():
            if not found.isdisjoint(inputs_of(reader)):
                found.update(reader.outputs, *(graph.inputs for graph in subgraphs(reader)))
    return found
