"""Rows of one run that share what the model computes of their example: the model runs once for each example.

The inputs of such a run are those of the examples, its points those of all rows, turn by turn: each example at one
point, each at the next. A value of the model is repeated for every turn where rows begin to differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from ..autodiff.streams import Stream, add_stream, shared_values
from ..graph.builder import GraphBuilder
from ..graph.traversal import DependsOn, subgraphs
from .base import EmitContext

__all__ = ["Rows"]


@dataclass(frozen=True)
class Rows:
    """Repeats values of a graph for every row; ``point`` (rows,) is a number of each row.

    ``shared``: whether examples are computed once. Else there are as many examples as rows, and nothing is repeated.
    """

    context: EmitContext
    point: ir.Value
    shared: bool
    made: dict[ir.Value, ir.Value] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, context: EmitContext, point: ir.Value, start: ir.Value) -> Rows:
        """Shared where what the score reads beside ``start`` counts examples along its first axis."""
        batch = start.shape[0] if start.shape else None
        inputs = (about.batch == 0 for about in context.explained.values())
        known = isinstance(batch, ir.SymbolicDim) and batch.value is not None
        read = shared_values(context.g, dict.fromkeys([start, context.settled]), [context.score])
        return cls(context, point, known and all(inputs) and _count_examples(read, batch))

    def __call__(self, value: ir.Value) -> ir.Value:
        """The value of the example of each row."""
        if not self.shared:
            return value
        if value not in self.made:
            self.made[value] = self._repeated(self.context.g, value)
        return self.made[value]

    def stream(self, start: ir.Value, instead: ir.Value) -> ir.Value:
        """The score of each row where another value stands ``instead`` of one of the model."""
        g, score, settled = self.context.g, self.context.score, self.context.settled
        varies = DependsOn(ir.Value.is_graph_input)
        found = add_stream(
            g, {start: instead, settled: self(settled)}, [score], lambda value: self(value) if varies(value) else value
        )
        if self.shared:
            _name_rows(found, g.graph.inputs, start.shape[0] if start.shape else None, self.point)
        return found(score)

    def _repeated(self, g: GraphBuilder, value: ir.Value) -> ir.Value:
        turns = g.Div(g.Shape(self.point), g.Shape(value, start=0, end=1))
        each = g.Expand(g.Unsqueeze(value, [0]), g.Concat(turns, [1] * g.rank(value), axis=0))
        sizes = g.Concat([-1], g.Shape(value, start=1), axis=0) if g.rank(value) > 1 else [-1]
        rows = g.Reshape(each, sizes)
        rows.shape = ir.Shape([*(self.point.shape or ()), *list(value.shape or ())[1:]])
        return rows


def _count_examples(values: Sequence[ir.Value], batch: object) -> bool:
    """Whether those of the values that depend on the model's inputs count examples along their first axis."""
    varies = DependsOn(ir.Value.is_graph_input)
    return all(value.shape and value.shape[0] == batch for value in values if varies(value))


def _name_rows(stream: Stream, given: Sequence[ir.Value], batch: object, point: ir.Value) -> None:
    """Values of the stream have the rows where the model's have the examples: runtimes compare the names of sizes.

    Other sizes keep their names where the ``given`` inputs have them; else they may grow with the rows too, as where
    examples and heads are one axis, and are left open.
    """
    rows = list(point.shape or ())
    kept = {size for x in given for size in x.shape or ()} - {batch} | {*rows}
    for value in _values(stream):
        if value.shape is not None:
            first = rows if value.shape and value.shape[0] == batch else list(value.shape)[:1]
            sizes = [*first, *list(value.shape)[1:]]
            value.shape = ir.Shape([size if isinstance(size, int) or size in kept else None for size in sizes])


def _values(stream: Stream) -> Iterator[ir.Value]:
    """The values of a stream, those in subgraphs of its nodes included."""
    for value in stream.values.values():
        yield value
        maker = value.producer()
        for graph in subgraphs(maker) if maker else ():
            yield from graph.inputs
            yield from (inner for node in graph.all_nodes() for inner in node.outputs)
