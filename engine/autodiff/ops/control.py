"""Control flow. The gradient of If is an If, that of Scan a Scan and that of Loop a Loop, both run backwards in time.

The values within a subgraph are not seen from outside, so that each gradient computes the body again: of one branch,
or of one step from the state that it began with. The forward node stacks those states for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import onnx_ir as ir

from ...errors import UnsupportedOperator
from ...graph.builder import GraphBuilder
from ...graph.inline import captured, inlined
from ..registry import Inner, flow
from .scatter import zeros
from .subgraph import give_back, input_like, is_real, merged, new_graph, stacked_states, type_inputs

Pairs = Iterator[tuple[ir.Value, ir.Value]]
Maybe = ir.Value | None


@flow("If")
def if_(g: GraphBuilder, node: ir.Node, inner: Inner, *dys: Maybe) -> Pairs:
    xs = [x for x in captured(node) if inner.wants(x)]
    branches = {name: _branch(g, node.attributes[name].as_graph(), inner, dys, xs) for name in node.attributes}
    yield from zip(xs, g.control("If", node.inputs, xs, **branches) if xs else (), strict=True)


def _branch(g: GraphBuilder, branch: ir.Graph, inner: Inner, dys: Sequence[Maybe], xs: Sequence[ir.Value]) -> ir.Graph:
    b = g.nested(new_graph(branch.name))
    outputs = inlined(b, branch, [])
    found = inner(b, merged(b, _given(outputs, dys)), xs)
    for x in xs:
        give_back(b, _or_zeros(b, found, x))
    return b.graph


def _given(ys: Sequence[ir.Value], dys: Sequence[Maybe]) -> list[tuple[ir.Value, ir.Value]]:
    return [(y, dy) for y, dy in zip(ys, dys, strict=True) if dy is not None]


def _or_zeros(b: GraphBuilder, found: Mapping[ir.Value, ir.Value], x: ir.Value) -> ir.Value:
    return found[x] if x in found else zeros(b, x, x)


@flow("Scan")
def scan(g: GraphBuilder, node: ir.Node, inner: Inner, *dys: Maybe) -> Pairs:
    """Reads states, inputs and output gradients from the end; captured values sum theirs up as states."""
    body, many = node.attributes["body"].as_graph(), node.attributes.get_int("num_scan_inputs", 1)
    n, made = len(node.inputs) - many, len(body.outputs)
    axes, ways, out_axes, out_ways = (
        list(node.attributes.get_ints(f"scan_{side}", [0] * count))
        for count, sides in (
            (many, ("input_axes", "input_directions")),
            (made - n, ("output_axes", "output_directions")),
        )
        for side in sides
    )
    type_inputs(body, node.inputs, n, axes)
    xs, reals = [x for x in captured(node) if inner.wants(x)], [k for k in range(n) if is_real(body.inputs[k])]
    _check_ranks(node, xs)
    given = [k for k, dy in enumerate(dys[n:]) if dy is not None]
    wanted = [k for k in range(many) if inner.wants(node.inputs[n + k])]
    starts = _starts(g, node, dys, reals)
    back = _scan_step(g, body, inner, xs, reals, n, wanted, given)
    stacks = stacked_states(g, node, list(body.inputs)[:n])
    like = [*(node.inputs[k] for k in reals), *xs, *(node.inputs[n + k] for k in wanted)]
    found = g.control(
        "Scan",
        [*starts, *(zeros(g, x, x) for x in xs), *stacks, *node.inputs[n:], *(dys[n + k] for k in given)],
        like,
        body=back,
        num_scan_inputs=n + many + len(given),
        scan_input_axes=[0] * n + axes + [out_axes[k] for k in given],
        scan_input_directions=[1] * n + [1 - way for way in ways] + [1 - out_ways[k] for k in given],
        scan_output_axes=[axes[k] for k in wanted],
        scan_output_directions=[1 - ways[k] for k in wanted],
    )
    yield from zip(like, found, strict=True)


def _check_ranks(node: ir.Node, xs: Sequence[ir.Value]) -> None:
    """onnxruntime runs no Scan that carries what has no shape."""
    if open_ranks := [x.name for x in xs if x.shape is None]:
        raise UnsupportedOperator(
            f"operator Scan (node {node.name!r}) cannot be differentiated: it reads {open_ranks[0]!r}, whose rank is "
            "not known before the model runs; declare the shapes in the body that computes it"
        )


def _starts(g: GraphBuilder, node: ir.Node, dys: Sequence[Maybe], reals: Sequence[int]) -> list[ir.Value]:
    """The gradients of the states at the end."""
    return [zeros(g, node.outputs[k], node.outputs[k]) if (dy := dys[k]) is None else dy for k in reals]


def _scan_step(
    g: GraphBuilder, body: ir.Graph, inner: Inner, xs: Sequence[ir.Value], reals: Sequence[int], n: int,
    wanted: Sequence[int], given: Sequence[int],
) -> ir.Graph:  # fmt: skip
    """Gradients of states and sums go in and out, slices of everything else come in, gradients of inputs go out."""
    b = g.nested(new_graph(body.name))
    d_states, sums = [input_like(b, body.inputs[k]) for k in reals], [input_like(b, x) for x in xs]
    reads = [input_like(b, x) for x in body.inputs]
    slices = [input_like(b, body.outputs[n + k]) for k in given]
    outputs = inlined(b, body, reads)
    arrived = [*zip([outputs[k] for k in reals], d_states, strict=True)]
    arrived += zip([outputs[n + k] for k in given], slices, strict=True)
    states, inputs = [reads[k] for k in reals], [reads[n + k] for k in wanted]
    found = inner(b, merged(b, arrived), [*states, *inputs, *xs])
    _finish(b, found, states, xs, sums)
    for x in inputs:
        give_back(b, _or_zeros(b, found, x))
    return b.graph


def _finish(
    b: GraphBuilder, found: Mapping[ir.Value, ir.Value], states: Sequence[ir.Value], xs: Sequence[ir.Value],
    sums: Sequence[ir.Value],
) -> None:  # fmt: skip
    """Gradients of the states before the step, and the sums with what the step adds."""
    for state in states:
        give_back(b, _or_zeros(b, found, state))
    for x, total in zip(xs, sums, strict=True):
        give_back(b, b.Add(total, found[x]) if x in found else total)


@flow("Loop")
def loop(g: GraphBuilder, node: ir.Node, inner: Inner, *dys: Maybe) -> Pairs:
    """As many steps as the loop took, which the height of its stacks tells."""
    body, n = node.attributes["body"].as_graph(), len(node.inputs) - 2
    xs, reals = [x for x in captured(node) if inner.wants(x)], [k for k in range(n) if is_real(body.inputs[2 + k])]
    starts = _starts(g, node, dys, reals)
    stacks = stacked_states(g, node, list(body.inputs)[2:])
    count = g.Reshape(g.Shape((stacks or list(node.outputs))[0], start=0, end=1), g.constant([], ir.DataType.INT64))
    back = _loop_step(g, body, inner, xs, reals, stacks, dys[n:], g.Sub(count, 1))
    like = [*(node.inputs[2 + k] for k in reals), *xs]
    yield from zip(
        like, g.control("Loop", [count, None, *starts, *(zeros(g, x, x) for x in xs)], like, body=back), strict=True
    )


def _loop_step(
    g: GraphBuilder, body: ir.Graph, inner: Inner, xs: Sequence[ir.Value], reals: Sequence[int],
    stacks: Sequence[ir.Value], dys: Sequence[Maybe], last: ir.Value,
) -> ir.Graph:  # fmt: skip
    """One step, from the last to the first."""
    b = g.nested(new_graph(body.name))
    step = b.input(f"{g.prefix}/step", ir.DataType.INT64, [])
    more = b.input(f"{g.prefix}/more", ir.DataType.BOOL, [])
    d_states, sums = [input_like(b, body.inputs[2 + k]) for k in reals], [input_like(b, x) for x in xs]
    at = b.Sub(last, step)
    reads = [at, more, *(b.Gather(stack, at, axis=0) for stack in stacks)]
    outputs = inlined(b, body, reads)[1 : len(stacks) + len(dys) + 1]
    arrived = [*zip([outputs[k] for k in reals], d_states, strict=True)]
    arrived += [(y, b.Gather(dy, at, axis=0)) for y, dy in _given(outputs[len(stacks) :], dys)]
    states = [reads[2 + k] for k in reals]
    give_back(b, more)
    _finish(b, inner(b, merged(b, arrived), [*states, *xs]), states, xs, sums)
    return b.graph
