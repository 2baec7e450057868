"""The attentions between input and score, found by sight, and where the tokens that they mix come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import onnx_ir as ir

from ..autodiff.backward import own_name
from ..autodiff.paths import depends_on, reached_nodes
from ..errors import ModelError
from ..graph.builder import GraphBuilder
from ..graph.traversal import ancestors
from .base import EmitContext
from .cam_tokens import Grid, attends, softmax_of, whole_grid

__all__ = ["AttentionLayers", "attention_layers"]


@dataclass(frozen=True)
class AttentionLayers:
    """The probabilities of each attention, (rows, heads, tokens, tokens) or rows and heads in one axis, in their order.

    ``source`` is the input that gets the credit; ``grid`` folds its patches, None where it counts the tokens itself.
    """

    probabilities: Sequence[ir.Value]
    source: str
    grid: Grid | None

    @property
    def last(self) -> str:
        """The name of the last attention's Softmax."""
        return _name(self.probabilities[-1])


def attention_layers(method: str, context: EmitContext) -> AttentionLayers:
    """All attentions that the score depends on; ModelError where there is none, or one is not over all tokens.

    An attention is the Softmax over the last axis that goes into a product with values. Fused operators of attention
    without a rule are standard operators by now (``expand_functions``).
    """
    behind = depends_on(context.model.graph, context.perturbed_inputs.values())
    path = reached_nodes(context.model.graph, [context.differentiable_score], behind)
    readers = [node for node in path if attends(node, behind)]
    found = dict.fromkeys(softmax for node in readers for x in node.inputs if (softmax := softmax_of(x)) is not None)
    if not found:
        raise ModelError(f"{method} found no attention between input and score: no Softmax goes into a product of data")
    probabilities = [softmax.outputs[0] for softmax in path if softmax in found]
    size = _size(probabilities[-1], -1)
    for value in probabilities:
        _check_square(method, value, size)
    _check_others(method, path, probabilities, size)
    for before, after in pairwise(probabilities):
        if before not in set(ancestors([after])):
            raise ModelError(
                f"{method} follows attentions one behind the other; {_name(before)!r} and {_name(after)!r} stand side "
                "by side"
            )
    return _placed(method, context, probabilities, size)


def by_heads(g: GraphBuilder, value: ir.Value, rows: ir.Value) -> ir.Value:
    """What attention gives, with the heads of each row apart: (rows, heads, tokens, tokens)."""
    return g.Reshape(value, g.Concat(g.Shape(rows, end=1), [-1], g.Shape(value, start=-2), axis=0))


def _placed(method: str, context: EmitContext, probabilities: Sequence[ir.Value], size: int | None) -> AttentionLayers:
    """The attentions with the input whose tokens or patches they mix."""
    for name, about in context.explained.items():
        shape = context.inputs[name].shape or ()
        counted = shape[1] if len(shape) == 3 and about.batch == 0 else None
        if counted is not None and (counted == size or (about.tokens and not isinstance(counted, int) and not size)):
            return AttentionLayers(probabilities, name, None)
    grids = [whole_grid(value, size) if size else None for value in probabilities]
    if grids[0] is None or any(grid != grids[0] for grid in grids):
        odd = next(value for value, grid in zip(probabilities, grids, strict=True) if grid is None or grid != grids[0])
        raise ModelError(
            f"{method}: {_name(odd)!r} attends to {size or 'an open number of'} tokens, which are neither those of an "
            "input nor all patches of a convolution before it; attention in windows or over channels has no rollout"
        )
    if len(context.explained) > 1:
        raise ModelError(f"{method} explains one input of patches; the model has {', '.join(context.explained)}")
    return AttentionLayers(probabilities, next(iter(context.explained)), grids[0])


def _check_square(method: str, value: ir.Value, size: int | None) -> None:
    node, rank = value.producer(), len(value.shape or ())
    axis = node.attributes.get_int("axis", -1) if node is not None else -1
    queries, keys = _size(value, -2), _size(value, -1)
    if rank < 3 or axis not in (-1, rank - 1):
        raise ModelError(f"{method}: {_name(value)!r} of shape {value.shape} is no attention of tokens x tokens")
    if queries not in (None, keys) or keys != size:  # None: open until the model runs
        wanted = f"{size} x {size}, as the last attention" if queries == keys else "as many as it reads"
        raise ModelError(
            f"{method}: {_name(value)!r} attends from {queries} to {keys} tokens, not {wanted}: the rollout needs "
            "the same tokens in all attentions"
        )


def _check_others(method: str, path: Sequence[ir.Node], known: Sequence[ir.Value], size: int | None) -> None:
    """A ModelError for another Softmax over tokens before the last attention: an attention that was not understood."""
    for node in path[: path.index(known[-1].producer())]:  # type: ignore[arg-type]
        value = node.outputs[0]
        if node.op_type == "Softmax" and value not in known and len(value.shape or ()) > 2 and _size(value, -1) == size:
            raise ModelError(f"{method}: {_name(value)!r} is a Softmax over tokens that goes into no product with them")


def _size(value: ir.Value, axis: int) -> int | None:
    size = value.shape[axis] if value.shape is not None and len(value.shape) >= -axis else None
    return size if isinstance(size, int) else None


def _name(value: ir.Value) -> str:
    node = value.producer()
    return own_name(node) if node is not None else str(value.name)
