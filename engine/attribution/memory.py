"""How much memory a session and a row take, and what a budget is."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

import onnx_ir as ir

from ..errors import InputError
from ..graph.dense_layers import large_dense_weights
from ..graph.model import Model
from ..graph.moving_operators import RESHAPING
from ..graph.shapes import static_shape
from ..graph.traversal import inputs_of, subgraphs
from ..passes.fix_shapes import fix_shapes

__all__ = ["DEFAULT", "bytes_held", "bytes_per_row", "parse_memory", "rows_in_cache", "weights_in_place"]

# What onnxruntime takes beside the values: convolutions unfold their input or pad its channels, the arena rounds up.
# Measured were 1.1 (ViT-B/16), 1.3 (ResNet-50), 1.7 (MobileNetV2) and 2.1 (VGG-16) times the values alive at one time.
WORKING = 2.2
# Far beyond what a processor's last cache holds, more rows make each row slower. With a cache of 32 MB, the digits net
# took per picture, by 20 steps of integrated gradients, 7.4 ms in runs of 16 rows, 5.9 in 64 and 128 (20 and 40 MB),
# 6.3 in 256, 6.6 in 640; by occlusion 9.0 in 128 (27 MB), 8.1 in 256, 8.5 in 640. A row that is as large fills a run
# by itself: one of MobileNetV2 (53 MB) took 30, 30, 33, 35, 36 and 37 ms of one thread in runs of 1, 2, 4, 8, 16 and
# 32 with AVX-512 and 2 MB of second cache, the same in all of them elsewhere (AVX2). Two threads that share a row beat
# two with one each: each of them then holds half a row.
CACHE = 64 * 2**20
# operators whose weights onnxruntime copies in an order of its own
_PACKED = frozenset(
    {
        "Conv", "ConvInteger", "ConvTranspose", "Gemm", "GRU", "LSTM", "MatMul", "MatMulInteger", "QLinearConv",
        "QLinearMatMul", "RNN",
    }
)  # fmt: skip
_VIEWS = RESHAPING | {"Identity"}  # their results take no memory
DEFAULT = 2**30  # bytes of a budget that nobody asked for
_UNITS = {"KB": 2**10, "MB": 2**20, "GB": 2**30, "B": 1}


def parse_memory(memory: str | int, name: str = "memory") -> int:
    """Bytes from a number or a text such as "512MB"; ``name`` is what the error calls it."""
    text = str(memory).strip().upper()
    unit = next((unit for unit in _UNITS if text.endswith(unit)), "")
    try:
        number = int(float(text.removesuffix(unit)) * _UNITS.get(unit, 1))
        if number > 0:
            return number
        raise ValueError
    except (ValueError, OverflowError):
        raise InputError(f"{name}={memory!r}: give bytes, or a text such as '512MB' or '2GB'") from None


def bytes_per_row(model: Model) -> int:
    """The most memory that a run of a graph takes for one row; open dimensions count as 1, as batches do.

    It is ``WORKING`` times that of the values that are alive at one time.
    """
    single = model.copy()
    shapes = {str(v.name): [d if isinstance(d, int) else 1 for d in v.shape or ()] for v in single.inputs}
    fix_shapes(single, shapes)
    return math.ceil(WORKING * _most_alive(single.graph))


def rows_in_cache(row_bytes: int, weights: int, threads: int) -> int:
    """The rows of a run on a CPU beyond which more make each of them slower.

    Two threads have one at least, and the values of the rows are no fewer bytes than the ``weights``, which a run reads
    once for all of them.
    """
    row = max(1, row_bytes)
    return max(1, threads // 2, CACHE // row, math.ceil(weights / row))


def weights_in_place(model: Model) -> frozenset[str]:
    """Weights of an explanation graph that take no copy in another order, by name: large ones of dense layers.

    Where a run has several rows, in the cache, their products pay for such a copy, two thirds of the time.
    """
    found = large_dense_weights(model.graph)
    return found if found and rows_in_cache(bytes_per_row(model), 0, 1) == 1 else frozenset()


def _most_alive(graph: ir.Graph) -> int:
    """The most memory that the values of a graph take at one time, if its nodes run in their order.

    A value is alive from its node to the last that reads it, or a view of it; those of a subgraph as long as its node
    runs.
    """
    views = {node.outputs[0]: node.inputs[0] for node in graph if node.op_type in _VIEWS}
    last = dict[ir.Value | None, ir.Node | None](_read(graph, views))
    last |= dict.fromkeys(_whole(output, views) for output in graph.outputs)
    none_of_their_own = _constants(graph) | set(views)
    ends: dict[ir.Node | None, int] = defaultdict(int)
    alive = most = 0
    for node in graph:
        for value in node.outputs:
            size = 0 if value in none_of_their_own else _bytes(value)
            alive += size
            ends[last.get(value, node)] += size
        inner = sum(_bytes(v) for body in subgraphs(node) for one in body.all_nodes() for v in one.outputs)
        most = max(most, alive + inner)
        alive -= ends[node]
    return most


def _read(
    graph: ir.Graph, views: Mapping[ir.Value, ir.Value | None]
) -> Iterator[tuple[ir.Value | None, ir.Node | None]]:
    """Each value with the nodes that read it, or a view of it, in their order."""
    for node in graph:
        for value in inputs_of(node):
            yield _whole(value, views), node


def _whole(value: ir.Value | None, views: Mapping[ir.Value, ir.Value | None]) -> ir.Value | None:
    """The value that a view is of."""
    while value is not None and value in views:
        value = views[value]
    return value


def bytes_held(model: Model, in_place: Collection[str] = ()) -> int:
    """The memory that a session of a graph holds in addition to the weights, of which some are read ``in_place``.

    An upper bound: values computed from weights alone, which the optimiser computes once, and packed weights.
    """
    constant, computed, packed = _constants(model.graph), set(), set()
    lent = {model.graph.initializers[name] for name in in_place}
    for node in model.graph:
        if node.outputs[0] not in constant:
            read = constant.intersection(node.inputs)
            computed.update(value for value in read if value.producer() is not None)
            packed.update(read if node.op_type in _PACKED else ())
    return sum(_bytes(value) for group in (computed, packed - lent) for value in group)


def _constants(graph: ir.Graph) -> set[ir.Value]:
    """The weights, and what is computed from weights alone."""
    found = set(graph.initializers.values())
    for node in graph:
        if all(value in found for value in node.inputs if value is not None):
            found.update(node.outputs)
    return found


def _bytes(value: ir.Value) -> int:
    """Nothing for what has no known size, and for texts, which are names of classes."""
    shape, sizeless = static_shape(value), (None, ir.DataType.UNDEFINED, ir.DataType.STRING)
    return 0 if shape is None or value.dtype in sizeless else int(math.prod(shape) * value.dtype.itemsize)
