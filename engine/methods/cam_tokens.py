"""Maps of tokens: the grid of patches that (N, T, C) comes from, and the attention that reads it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..graph.traversal import ancestors

__all__ = ["CONVOLUTIONS", "TOKEN_NORMS", "Grid", "attends", "grid_of", "softmax_of", "tokens_of", "whole_grid"]

EXTRA = 16  # tokens of class and registers that may stand before those of the patches
CONVOLUTIONS = frozenset({"Conv", "ConvInteger", "QLinearConv"})
TOKEN_NORMS = frozenset({"LayerNormalization", "RMSNormalization"})
_MOVES = frozenset({
    "Cast", "Concat", "Dropout", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Slice", "Split",
    "Squeeze", "Transpose", "Unsqueeze",
})  # fmt: skip
_KEEPS_SOFTMAX = frozenset({
    "Cast", "DequantizeLinear", "Dropout", "Identity", "QuantizeLinear", "Reshape", "Transpose",
})  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """The places of tokens: their axis, height and width of the patches, tokens before these, and all together."""

    axis: int
    sizes: tuple[int, ...]
    extra: int
    whole: int

    def fold(self, g: GraphBuilder, tokens: ir.Value) -> ir.Value:
        """(N, T, C) as (N, h, w, C), or (N, C, T) as (N, C, h, w), without the tokens before and behind the patches."""
        end = self.extra + self.sizes[0] * self.sizes[1]
        patches = g.Slice(tokens, [self.extra], [end], [self.axis]) if self.whole != end or self.extra else tokens
        return g.Reshape(patches, [0, *self.sizes, -1] if self.axis == 1 else [0, -1, *self.sizes])


def grid_of(value: ir.Value) -> list[Grid]:
    """Which axes of a tensor of rank 3 may count the patches of a convolution before it; none where sizes are open.

    The latest convolution whose grid fits tells it; of grids that later layers merge, as Swin's do, halves fit, too.
    """
    shape = value.shape
    if shape is None or len(shape) != 3:
        return []
    grids = list(_grids(value))
    found = [_fitting(axis, size, grids) for axis, size in enumerate(shape) if axis and isinstance(size, int)]
    return [_placed(value, one) for one in found if one is not None]


def whole_grid(value: ir.Value, size: int) -> Grid | None:
    """The grid that so many tokens, which a value is computed of, are of one convolution, with tokens before it."""
    found = _fitting(1, size, list(_grids(value)), halved=False)
    return None if found is None else _placed(value, found)


def _placed(value: ir.Value, grid: Grid) -> Grid:
    """A grid that leaves out tokens behind its patches, such as the queries of YOLOS: what a Concat adds there."""
    for one in ancestors([value]) if grid.extra else ():
        node, shape = one.producer(), one.shape
        if node is None or node.op_type != "Concat" or shape is None or len(shape) != 3:
            continue
        axis = node.attributes.get_int("axis", 1) % 3
        sizes = [x.shape[axis] if x is not None and x.shape is not None else None for x in node.inputs]
        known = [size for size in sizes if isinstance(size, int)]
        if shape[axis] == grid.whole and len(known) == len(sizes):
            behind = sum(known[known.index(max(known)) + 1 :])
            return replace(grid, extra=max(grid.extra - behind, 0))
    return grid


def _grids(value: ir.Value) -> Iterator[tuple[int, ...]]:
    """The grids of the convolutions of pictures before a value, the latest first."""
    producer = value.producer()
    graph = producer.graph if producer is not None else None
    makers = {node for one in ancestors([value]) if (node := one.producer()) is not None}
    for node in reversed(graph) if graph is not None else ():
        shape = node.outputs[0].shape
        if node.op_type in CONVOLUTIONS and node in makers and shape is not None and len(shape) == 4:
            height, width = shape[2], shape[3]
            if isinstance(height, int) and isinstance(width, int):
                yield height, width


def _fitting(axis: int, size: int, grids: Sequence[tuple[int, ...]], halved: bool = True) -> Grid | None:
    """The grid of so many tokens: a whole one with the fewest tokens besides, else a halved one without any."""
    whole = [(size - h * w, (h, w)) for h, w in grids if 0 <= size - h * w <= EXTRA and h * w > 1]
    if whole:
        extra, sizes = min(whole, key=lambda one: one[0])
        return Grid(axis, sizes, extra, size)
    merged = [(h >> k, w >> k) for h, w in grids for k in range(1, 8)] if halved else []
    return next((Grid(axis, sizes, 0, size) for sizes in merged if sizes[0] * sizes[1] == size > 1), None)


def attends(node: ir.Node, behind: set[ir.Value]) -> bool:
    """Whether a node multiplies two tensors that depend on the data, one of them the softmax of such a product."""
    if node.op_type in ("Attention", "MultiHeadAttention"):
        return True
    varying = [x for x in node.inputs if x in behind]
    return node.op_type in ("MatMul", "Einsum") and len(varying) == 2 and any(map(softmax_of, varying))


def softmax_of(value: ir.Value | None) -> ir.Node | None:
    """The Softmax that gives a value, moved and rounded or not, or with zeros where it is NaN, as PyTorch exports."""
    while value is not None and (node := value.producer()) is not None:
        if node.op_type == "Softmax":
            return node
        if node.op_type == "Where":
            return next((found for x in node.inputs[1:] if (found := softmax_of(x)) is not None), None)
        value = node.inputs[0] if node.op_type in _KEEPS_SOFTMAX else None
    return None


def tokens_of(attention: ir.Node, behind: set[ir.Value]) -> ir.Value | None:
    """The tokens whose values an attention mixes: what the product with weights that makes its values reads."""
    if attention.op_type == "Attention" and attention.domain == "com.microsoft":
        return attention.inputs[0]
    if attention.op_type in ("Attention", "MultiHeadAttention"):
        value = attention.inputs[2] or attention.inputs[0]
    else:
        value = next((x for x in attention.inputs if x in behind and softmax_of(x) is None), None)
    product = _back(value, behind, _MOVES | {"Add", "Mul", "Div"})
    node = product.producer() if product is not None else None
    if node is None or node.op_type not in ("MatMul", "Gemm"):
        return None
    return _back(node.inputs[0], behind, _MOVES)


def _back(value: ir.Value | None, behind: set[ir.Value], through: frozenset[str]) -> ir.Value | None:
    """What a value comes from through some operators that read one tensor of the data."""
    while value is not None and (node := value.producer()) is not None and node.op_type in through:
        read = [x for x in dict.fromkeys(node.inputs) if x in behind]
        if not read or (len(read) > 1 and node.op_type not in _MOVES):
            return value
        if node.op_type == "Concat" and len(read) > 1 and len({_back(x, behind, through) for x in read}) > 1:
            return value
        value = read[0]
    return value
