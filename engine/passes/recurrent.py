"""Replaces LSTM, GRU and RNN by a Scan over their steps, after the equations of the ONNX standard.

The input's part of all gates is one product ahead of the Scan; the body adds the state's part. Sequences of unequal
length keep their last state and give zeros behind it; backwards they are reversed one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from .decompositions import decomposes, padded_inputs

Step = Callable[[GraphBuilder, "_Cell", ir.Value, Sequence[ir.Value]], list[ir.Value]]


@dataclass(frozen=True)
class _Cell:
    """One direction of a node: its weights, transposed, and what its attributes say."""

    node: ir.Node
    functions: Sequence[Callable[[GraphBuilder, ir.Value], ir.Value]]
    hidden: int
    recurrent: ir.Value
    recurrent_bias: ir.Value | None
    peepholes: Sequence[ir.Value]

    def flag(self, name: str) -> bool:
        return bool(self.node.attributes.get_int(name, 0))

    def act(self, b: GraphBuilder, k: int, x: ir.Value) -> ir.Value:
        """The k-th activation of what is clipped before."""
        clip = self.node.attributes.get_float("clip", 0.0)
        return self.functions[k](b, b.Clip(x, -clip, clip) if clip else x)


@decomposes("LSTM", "GRU", "RNN", domain="")
def _layers(g: GraphBuilder, node: ir.Node) -> list[ir.Value]:
    """Y and the final states, of both directions and in the node's layout."""
    x: Any = node.inputs[0]
    for value in (x, *node.inputs[5:7]):  # the standard has three axes for them, where inference lost sight of it
        if value is not None and value.shape is None:
            value.shape = ir.Shape([None] * 3)
    direction = node.attributes.get_string("direction", "forward")
    batch_first = bool(node.attributes.get_int("layout", 0))
    time_first = g.Transpose(x, perm=[1, 0, 2]) if batch_first else x
    backwards = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}[direction]
    runs = [_direction(g, node, time_first, k, len(backwards), back) for k, back in enumerate(backwards)]
    y = g.Concat(*(g.Unsqueeze(run[0], [1]) for run in runs), axis=1)
    states = [
        g.Concat(*(g.Unsqueeze(h, [0]) for h in parts), axis=0) for parts in zip(*(r[1:] for r in runs), strict=True)
    ]
    if batch_first:
        y, states = g.Transpose(y, perm=[2, 0, 1, 3]), [g.Transpose(h, perm=[1, 0, 2]) for h in states]
    return [y, *states]


def _direction(g: GraphBuilder, node: ir.Node, x: ir.Value, k: int, many: int, backwards: bool) -> list[ir.Value]:
    """Y (time, batch, hidden) and the final states of one direction."""
    _, weights, recurrent, bias, lengths, *rest = padded_inputs(node, 8)
    cell, input_bias = _cell(g, node, recurrent, bias, rest[2], k, many)
    if lengths is not None and backwards:
        x = g.ReverseSequence(x, g.Cast(lengths, to=ir.DataType.INT64), time_axis=0, batch_axis=1)
    projected = g.MatMul(x, g.Transpose(_pick(g, weights, k), perm=[1, 0]))
    projected = projected if input_bias is None else g.Add(projected, input_bias)
    starts = [_start(g, node, x, h, k, cell.hidden) for h in rest[: 2 if node.op_type == "LSTM" else 1]]
    scans = [projected] if lengths is None else [projected, _within(g, x, lengths)]
    body = _body(g, cell, starts, scans)
    like = ir.Value(name="", type=x.type, shape=ir.Shape([*(x.shape or [None] * 3)[:2], cell.hidden]))
    way = int(backwards and lengths is None)
    *states, y = g.control(
        "Scan", [*starts, *scans], [*starts, like], body=body, num_scan_inputs=len(scans),
        scan_input_directions=[way] * len(scans), scan_output_directions=[way],
    )  # fmt: skip
    if lengths is not None and backwards:
        y = g.ReverseSequence(y, g.Cast(lengths, to=ir.DataType.INT64), time_axis=0, batch_axis=1)
    if lengths is not None:  # onnxruntime's final states of an empty sequence are zero, whatever they start from
        some = g.Unsqueeze(g.Greater(lengths, 0), [1])
        states = [g.Where(some, state, 0) for state in states]
    return [y, *states]


def _cell(
    g: GraphBuilder, node: ir.Node, recurrent: Any, bias: ir.Value | None, peepholes: ir.Value | None, k: int, many: int
) -> tuple[_Cell, ir.Value | None]:
    """The cell, and the bias that can be added ahead: all of it, but for a GRU that resets after the product."""
    hidden = g.dim(recurrent, 2)
    if not isinstance(hidden, int):
        raise ValueError("the hidden size must be known before the model runs")
    before, after = (None, None) if bias is None else g.Split(_pick(g, bias, k), num_outputs=2, outputs=2)
    if node.attributes.get_int("linear_before_reset", 0) == 0 and before is not None:
        before, after = g.Add(before, after), None
    cut = None if peepholes is None else g.Split(_pick(g, peepholes, k), num_outputs=3, outputs=3)
    functions = _functions(node, many)
    each = len(functions) // many
    turned = g.Transpose(_pick(g, recurrent, k), perm=[1, 0])
    return _Cell(node, functions[k * each : (k + 1) * each], hidden, turned, after, cut or ()), before


def _pick(g: GraphBuilder, value: Any, k: int) -> ir.Value:
    """The part of a tensor that belongs to a direction."""
    return g.Gather(value, g.constant(k, ir.DataType.INT64), axis=0)


def _start(g: GraphBuilder, node: ir.Node, x: ir.Value, state: ir.Value | None, k: int, hidden: int) -> ir.Value:
    if state is None:
        return g.Expand(g.constant(0, x.dtype), g.vector([g.dim(x, 1), hidden]))
    axis = 1 if node.attributes.get_int("layout", 0) else 0
    return g.Gather(state, g.constant(k, ir.DataType.INT64), axis=axis)


def _within(g: GraphBuilder, x: ir.Value, lengths: ir.Value) -> ir.Value:
    """(time, batch, 1): whether a step lies within its sequence."""
    steps = g.Unsqueeze(g.counted(x, 0), [1])
    return g.Unsqueeze(g.Less(steps, g.Cast(lengths, to=ir.DataType.INT64)), [2])


def _body(g: GraphBuilder, cell: _Cell, starts: Sequence[ir.Value], scans: Sequence[ir.Value]) -> ir.Graph:
    b = g.nested(ir.Graph([], [], nodes=[], name=f"{g.prefix}/step"))
    states = [b.input(f"{g.prefix}/state", h.dtype or ir.DataType.FLOAT, h.shape) for h in starts]
    reads = [
        b.input(f"{g.prefix}/read", v.dtype or ir.DataType.FLOAT, ir.Shape(list(v.shape or [])[1:])) for v in scans
    ]
    after = _STEPS[cell.node.op_type](b, cell, reads[0], states)
    y = after[0]
    if len(reads) > 1:
        after = [b.Where(reads[1], new, old) for new, old in zip(after, states, strict=True)]
        y = b.Where(reads[1], y, 0)
    for k, value in enumerate([*after, y]):
        b.output(value, f"{g.prefix}/next_{k}")
    return b.graph


def _lstm(b: GraphBuilder, cell: _Cell, x: ir.Value, states: Sequence[ir.Value]) -> list[ir.Value]:
    """Gates in the order input, output, forget, cell; peepholes input, output, forget."""
    h, c = states
    i, o, f, z = b.Split(b.Add(x, b.MatMul(h, cell.recurrent)), axis=-1, num_outputs=4, outputs=4)
    if cell.peepholes:
        i, f = b.Add(i, b.Mul(cell.peepholes[0], c)), b.Add(f, b.Mul(cell.peepholes[2], c))
    i = cell.act(b, 0, i)
    f = b.Sub(1, i) if cell.flag("input_forget") else cell.act(b, 0, f)
    new = b.Add(b.Mul(f, c), b.Mul(i, cell.act(b, 1, z)))
    o = cell.act(b, 0, b.Add(o, b.Mul(cell.peepholes[1], new)) if cell.peepholes else o)
    return [b.Mul(o, cell.functions[2](b, new)), new]


def _gru(b: GraphBuilder, cell: _Cell, x: ir.Value, states: Sequence[ir.Value]) -> list[ir.Value]:
    """Gates in the order update, reset, hidden."""
    (h,), n = states, cell.hidden
    ways = b.Split(cell.recurrent, [2 * n, n], axis=-1, outputs=2)
    bias = (None, None) if cell.recurrent_bias is None else b.Split(cell.recurrent_bias, [2 * n, n], outputs=2)
    xg, xh = b.Split(x, [2 * n, n], axis=-1, outputs=2)
    gates = b.Add(xg, b.MatMul(h, ways[0]))
    gates = gates if bias[0] is None else b.Add(gates, bias[0])
    z, r = (cell.act(b, 0, gate) for gate in b.Split(gates, axis=-1, num_outputs=2, outputs=2))
    if cell.flag("linear_before_reset"):
        product = b.MatMul(h, ways[1])
        inner = b.Mul(r, product if bias[1] is None else b.Add(product, bias[1]))
    else:
        inner = b.MatMul(b.Mul(r, h), ways[1])
    new = cell.act(b, 1, b.Add(xh, inner))
    return [b.Add(b.Mul(b.Sub(1, z), new), b.Mul(z, h))]


def _rnn(b: GraphBuilder, cell: _Cell, x: ir.Value, states: Sequence[ir.Value]) -> list[ir.Value]:
    return [cell.act(b, 0, b.Add(x, b.MatMul(states[0], cell.recurrent)))]


_STEPS: dict[str, Step] = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}
_DEFAULTS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}
# Defaults of alpha and beta, for the activations that have them.
_ALPHA = {"LeakyRelu": 0.01, "ThresholdedRelu": 1.0, "HardSigmoid": 0.2, "Elu": 1.0, "Affine": 1.0, "ScaledTanh": 1.0}
_BETA = {"HardSigmoid": 0.5, "Affine": 0.0, "ScaledTanh": 1.0}


def _functions(node: ir.Node, many: int) -> list[Callable[[GraphBuilder, ir.Value], ir.Value]]:
    """The activations of all directions; each takes the next alpha and beta that are given, where it has them."""
    names = node.attributes.get_strings("activations", _DEFAULTS[node.op_type] * many)
    alphas, betas = (iter(node.attributes.get_floats(f"activation_{name}", ())) for name in ("alpha", "beta"))
    return [_function(_known(name), alphas, betas) for name in names]


def _known(name: str) -> str:
    plain = ("Relu", "Sigmoid", "Softplus", "Softsign", "Tanh")
    for known in (*_ALPHA, *plain):
        if known.lower() == name.lower():
            return known
    raise ValueError(f"no activation {name!r} in the standard")


def _function(
    name: str, alphas: Iterator[float], betas: Iterator[float]
) -> Callable[[GraphBuilder, ir.Value], ir.Value]:
    a = next(alphas, _ALPHA[name]) if name in _ALPHA else None
    c = next(betas, _BETA[name]) if name in _BETA else None
    if name == "Affine":
        return lambda b, x: b.Add(b.Mul(x, a), c)
    if name == "ScaledTanh":
        return lambda b, x: b.Mul(b.Tanh(b.Mul(x, c)), a)
    return lambda b, x: getattr(b, name)(x, alpha=a, beta=c)
