"""The gradient of Einsum: an Einsum in which dY and one operand change places."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ..registry import Node

__all__ = ["operand_gradients"]


def operand_gradients(g: GraphBuilder, node: Node, dy: ir.Value) -> list[ir.Value]:
    """One gradient per operand."""
    terms, output = _explicit(node.attributes.get_string("equation"), [g.rank(x) for x in node.inputs], g.rank(dy))
    return [_operand_gradient(g, node.inputs, terms, output, dy, k) for k in range(len(terms))]


def _operand_gradient(
    g: GraphBuilder, inputs: Sequence[ir.Value], terms: list[str], output: str, dy: ir.Value, k: int
) -> ir.Value:
    """Sums over letters that only this operand has become repetitions, which a factor of ones writes.

    A letter that it has twice is a diagonal: the second one gets a name of its own and a unit matrix ties the two.
    onnxruntime refuses terms without letters, so that a scalar dY is multiplied in at the end.
    """
    x, (term, diagonals) = inputs[k], _distinct(g, inputs[k], terms[k])
    others = [(v, t) for j, (v, t) in enumerate(zip(inputs, terms, strict=True)) if j != k]
    factors = [*([(dy, output)] if output else []), *others, *diagonals]
    if not factors or not set(term) <= set("".join(t for _, t in factors)):
        factors.append((g.Expand(g.constant(1, x.dtype), g.shape(x)), term))
    equation = ",".join(t for _, t in factors) + "->" + term
    product = g.Einsum(*(v for v, _ in factors), equation=equation)
    return g.sum_to(product if output else g.Mul(product, dy), x)


def _distinct(g: GraphBuilder, x: ir.Value, term: str) -> tuple[str, list[tuple[ir.Value, str]]]:
    """A term whose letters all differ, with a unit matrix for each that was there before."""
    letters, diagonals = "", []
    for axis, c in enumerate(term):
        own = c if c not in letters else next(s for s in reversed(ascii_letters) if s not in term + letters)
        if own != c:
            square = g.Expand(g.constant(0, x.dtype), g.vector([g.dim(x, axis)] * 2))
            diagonals.append((g.EyeLike(square), c + own))
        letters += own
    return letters, diagonals


def _explicit(equation: str, ranks: list[int], rank: int) -> tuple[list[str], str]:
    """Operand and output terms with every axis of an ellipsis written as a letter of its own."""
    left, arrow, output = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow:
        letters = [c for c in sorted(set(left)) if c.isalpha() and left.count(c) == 1]
        output = ("..." if "..." in left else "") + "".join(letters)
    spare = "".join(c for c in ascii_letters if c not in equation)
    widest = max(r - len(t.replace("...", "")) for t, r in zip(terms, ranks, strict=True))
    axes = spare[:widest]

    def write_out(term: str, rank: int) -> str:
        width = rank - len(term.replace("...", ""))
        return term.replace("...", axes[len(axes) - width :])

    return [write_out(t, r) for t, r in zip(terms, ranks, strict=True)], write_out(output, rank)
