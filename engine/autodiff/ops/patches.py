"""Col2Im adds up overlapping patches of an image; its gradient cuts the patches out again."""

from __future__ import annotations

from functools import reduce

import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...graph.shapes import static_shape
from ..registry import Gradients, Node, vjp

_INT64 = ir.DataType.INT64


@vjp("Col2Im")
def col2im(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    """dy read at every place of every patch, 0 where a patch sticks out."""
    x, image, block = node.inputs
    count = static_shape(image)
    if count is None:
        raise ValueError("the number of the image's axes must be known before the model runs")
    places = [_places(g, node, image, block, k, count[0]) for k in range(count[0])]
    index, inside = _flat_index(g, places, image)
    flat = g.Reshape(dy, [0, 0, -1])
    read = g.Gather(flat, g.Reshape(g.Where(inside, index, 0), [-1]), axis=2)
    return g.reshape_like(g.Where(g.Reshape(inside, [-1]), read, 0), x), None, None


def _places(g: GraphBuilder, node: Node, image: ir.Value, block: ir.Value, k: int, rank: int) -> ir.Value:
    """Along one axis, where each element of the block of each patch lies: (block, patches)."""
    stride = node.attributes.get_ints("strides", [1] * rank)[k]
    dilation = node.attributes.get_ints("dilations", [1] * rank)[k]
    pads = node.attributes.get_ints("pads", [0] * (2 * rank))
    size, length = _scalar(g, image, k), _scalar(g, block, k)
    free = g.Sub(g.Add(size, pads[k] + pads[k + rank] - 1), g.Mul(g.Sub(length, 1), dilation))
    taps = g.Mul(g.Range(0, length, 1), dilation)
    starts = g.Mul(g.Range(0, g.Add(g.Div(free, stride), 1), 1), stride)
    return g.Sub(g.Add(g.Unsqueeze(taps, [1]), starts), pads[k])


def _flat_index(g: GraphBuilder, places: list[ir.Value], image: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Positions in the flattened image, (blocks ..., patches ...), and whether they lie in it."""
    rank, index, inside = len(places), g.constant(0, _INT64), []
    for k, place in enumerate(places):
        wide = g.Unsqueeze(place, [j for j in range(2 * rank) if j not in (k, k + rank)])
        size = _scalar(g, image, k)
        index = g.Add(g.Mul(index, size), wide)
        inside.append(g.And(g.GreaterOrEqual(wide, 0), g.Less(wide, size)))
    return index, reduce(g.And, inside)


def _scalar(g: GraphBuilder, vector: ir.Value, k: int) -> ir.Value:
    return g.Gather(vector, g.constant(k, _INT64))
