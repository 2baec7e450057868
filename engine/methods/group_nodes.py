"""Nodes that hide groups of elements, and that give each element the number of its group."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..errors import ModelError
from ..graph.builder import GraphBuilder
from ..graph.shapes import constant_of
from .explained import Explained
from .groups import Grouping

__all__ = ["example_input", "expand_examples", "groups_value", "input_name", "mix", "rows_along", "spread"]


def rows_along(g: GraphBuilder, values: ir.Value, about: Explained) -> ir.Value:
    """Values whose first axis counts rows, with that axis where the input counts examples, or without it."""
    axis, rank = about.batch, g.rank(values)
    if axis is None:
        return g.Squeeze(values, [0])
    return g.Transpose(values, perm=[*range(1, axis + 1), 0, *range(axis + 1, rank)]) if axis else values


def groups_value(g: GraphBuilder, grouping: Grouping, x: ir.Value, about: Explained) -> ir.Value:
    """The group of each element, int64: a constant (*example), or an input of the graph (rows, *example)."""
    if not grouping.by_example(about):
        return g.constant(grouping.of(about), ir.DataType.INT64)
    given = example_input(g, input_name(about), ir.DataType.INT64, about.places, x, about)
    return given if about.channels is None else g.Unsqueeze(given, [1 + about.channels])


def example_input(
    g: GraphBuilder, name: str, dtype: ir.DataType, shape: Sequence[int | None], x: ir.Value, about: Explained
) -> ir.Value:
    """An input of the graph beside the model's, made once: (rows, *shape), with as many rows as x."""
    given = next((value for value in g.graph.inputs if value.name == name), None)
    if given is None:
        rows = 1 if about.batch is None or x.shape is None else x.shape[about.batch]
        given = g.input(name, dtype, ir.Shape([rows, *shape]))
    if given.name != name:
        raise ModelError(f"the model has a tensor {name!r}, which is the name of an input of this method; rename it")
    return given


def input_name(about: Explained) -> str:
    """The name of the graph's input that has the groups of each example."""
    return f"groups/{about.name}"


def spread(g: GraphBuilder, values: ir.Value, groups: ir.Value, about: Explained) -> ir.Value:
    """A number for each group, (rows, groups), as one for each element, which broadcasts over the input.

    ``groups`` as from ``groups_value``. Of a constant, Gather copies the rows of a group at once, which is many times
    faster than to gather in every row.
    """
    if groups.const_value is None:
        flat, dims = g.GatherElements(values, g.Reshape(groups, [0, -1]), axis=1), list(groups.shape or ())[1:]
        return rows_along(g, g.Reshape(flat, [-1, *dims]), about)
    each, rank = g.Gather(g.Transpose(values, perm=[1, 0]), groups, axis=0), g.rank(groups)
    if about.batch is None:
        return g.Squeeze(each, [rank])
    return g.Transpose(each, perm=[*range(about.batch), rank, *range(about.batch, rank)])


def mix(g: GraphBuilder, x: ir.Value, kept: ir.Value, start: ir.Value) -> ir.Value:
    """x where ``kept`` is 1, to the last bit, the baseline where it is 0; by products, which are faster than Where."""
    kept = g.CastLike(kept, x)
    stays = g.Mul(kept, x)
    if g.rank(x) == 2:  # a table, whose NaN may be a missing value, and NaN times 0 is NaN
        stays = g.Where(g.Equal(kept, 0), 0, stays)
    held = constant_of(start)
    if held is not None and not held.any():
        return g.shaped_like(stays, x)
    return g.shaped_like(g.Add(stays, g.Mul(g.Sub(1, kept), start)), x)


def expand_examples(g: GraphBuilder, values: ir.Value, about: Explained) -> ir.Value:
    """Values that broadcast over the input, in its shape."""
    shape = [size or 1 for size in about.shape]
    if about.batch is not None:
        shape.insert(about.batch, 1)
    return g.Expand(values, g.constant(shape, ir.DataType.INT64))
