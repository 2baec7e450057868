"""A static picture of the graph of the reference: a block for each layer, coloured by what is lost there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx_ir as ir

from ...drawing.svg_chart import GREY, RED, picture_figure, svg_address
from ...optional import import_extra
from ..layers.compare_layers import LayerLoss

__all__ = ["graph_picture", "layer_edges", "losses"]

ROWS = 26  # blocks on top of each other; what is deeper goes on in the next column
COLUMN, HEIGHT, BLOCK = 2.5, 0.32, 0.62  # inches of a column and of a row; the share of a row that a block takes
SIDE = 0.16  # the share of a column beside the blocks, where skipping connections run
LETTERS = 30  # of a name that a block across a whole column holds
Edges = Sequence[tuple[int, int]]


def losses(layers: Sequence[LayerLoss]) -> tuple[str, list[float | None]]:
    """What is coloured, and its value by layer, 0 for nothing lost: of evidence, or of activations where the first was
    not measured."""
    evidence = [None if one.attribution is None else max(0.0, 1 - one.attribution) for one in layers]
    if any(value is not None for value in evidence):
        return "loss of evidence: 1 − cosine", evidence
    return "loss of activations: relative L2", [one.activation for one in layers]


def graph_picture(layers: Sequence[LayerLoss], graph: ir.Graph | None, breaks: str | None) -> str:
    """The picture as the address of an image; without the graph a chain in the order of the layers."""
    edges = layer_edges(layers, graph) if graph is not None else [(k - 1, k) for k in range(1, len(layers))]
    places = _places(len(layers), edges)
    columns = 1 + max(column for column, *_ in places)
    rows = 1 + max(row for _, row, *_ in places)
    title, values = losses(layers)
    figure, axes = picture_figure(COLUMN * columns, HEIGHT * (rows + 2.2))
    axes.set_xlim(0, columns)
    axes.set_ylim(rows + 0.2, -2)
    for start, end in edges:
        _connect(axes, places[start], places[end])
    for one, place, value in zip(layers, places, values, strict=True):
        _block(axes, one, place, value, one.layer == breaks)
    _legend(axes, title)
    return svg_address(figure)


def layer_edges(layers: Sequence[LayerLoss], graph: ir.Graph) -> Edges:
    """Which layer hands its output to which, through nodes that are no layers."""
    at = {one.tensor: k for k, one in enumerate(layers)}
    tensors = ir.convenience.create_value_mapping(graph)
    found = []
    for end, one in enumerate(layers):
        producer = tensors[one.tensor].producer() if one.tensor in tensors else None
        found += [(start, end) for start in sorted(_sources(producer, at)) if start < end]
    return found


def _sources(node: ir.Node | None, at: Mapping[str, int]) -> set[int]:
    """The layers whose outputs a node reads, directly or through nodes that are none."""
    waiting, seen, found = [node], set(), set()
    while waiting:
        one = waiting.pop()
        if one is None or one in seen:
            continue
        seen.add(one)
        for value in filter(None, one.inputs):
            if str(value.name) in at:
                found.add(at[str(value.name)])
            else:
                waiting.append(value.producer())
    return found


Place = tuple[int, int, float, float]  # column, row, left end and width as shares of the column


def _places(count: int, edges: Edges) -> list[Place]:
    """Each layer in the row behind all that it reads, those of one row side by side."""
    depth = [0] * count
    for start, end in sorted(edges, key=lambda one: one[1]):
        depth[end] = max(depth[end], depth[start] + 1)
    beside: dict[int, list[int]] = {}
    for k, row in enumerate(depth):
        beside.setdefault(row, []).append(k)
    width = {row: (1 - 2 * SIDE) / len(found) for row, found in beside.items()}
    return [
        (row // ROWS, row % ROWS, SIDE + width[row] * beside[row].index(k), width[row]) for k, row in enumerate(depth)
    ]


def _connect(axes: Any, start: Place, end: Place) -> None:
    (c0, r0, x0, w0), (c1, r1, x1, w1) = start, end
    a, b = (c0 + x0 + w0 / 2, r0 + BLOCK / 2), (c1 + x1 + w1 / 2, r1 - BLOCK / 2)
    line = {"color": GREY, "linewidth": 0.8, "solid_capstyle": "round", "zorder": 1}
    if c0 == c1 and r1 == r0 + 1:
        axes.plot([a[0], b[0]], [a[1], b[1]], **line)
    elif c0 == c1:  # past the blocks between, on the right
        side = c0 + 1 - SIDE * (0.75 if r0 // 4 % 2 else 0.45)
        axes.plot([c0 + x0 + w0, side, side, c1 + x1 + w1], [r0, r0, r1, r1], **line)
    else:  # to the next column, between the two
        side = c1 + SIDE * 0.3
        axes.plot([c0 + x0 + w0, side, side, b[0], b[0]], [r0, r0, -0.75, -0.75, b[1]], **line)


def _block(axes: Any, one: LayerLoss, place: Place, value: float | None, broken: bool) -> None:
    column, row, left, width = place
    share = width / (1 - 2 * SIDE)
    gap = 0.01 if share < 1 else 0
    colour = "#eeeeee" if value is None else _colour(value)
    axes.add_patch(
        _rectangle((column + left + gap, row - BLOCK / 2), width - 2 * gap, BLOCK, colour, RED if broken else "#555")
    )
    name = _end(one.layer, int(LETTERS * share) - (6 if share == 1 and value is not None else 0))
    told = f"{name}  {value:.2f}" if share == 1 and value is not None else name
    ink = "white" if value is not None and value > 0.6 else "black"
    axes.text(column + left + width / 2, row, told, ha="center", va="center", fontsize=6.5, color=ink, zorder=3)


def _rectangle(corner: tuple[float, float], width: float, height: float, face: Any, edge: str) -> Any:
    rectangle = import_extra("matplotlib.patches").Rectangle
    line = 1.6 if edge == RED else 0.6
    return rectangle(corner, width, height, facecolor=face, edgecolor=edge, linewidth=line, zorder=2)


def _colour(value: float) -> tuple[float, ...]:
    """White for nothing lost, red for all of it and more."""
    red = (0xB2 / 255, 0x18 / 255, 0x2B / 255)
    share = min(1.0, value)
    return tuple(1 - share * (1 - part) for part in red)


def _legend(axes: Any, title: str) -> None:
    axes.text(SIDE, -1.6, title, fontsize=7, va="center")
    for k in range(11):
        axes.add_patch(_rectangle((SIDE + 0.05 * k, -1.25), 0.05, 0.35, _colour(k / 10), "#bbb"))
    axes.text(SIDE - 0.02, -1.08, "0", fontsize=7, ha="right", va="center")
    axes.text(SIDE + 0.57, -1.08, "1", fontsize=7, va="center")


def _end(name: str, most: int) -> str:
    return name if len(name) <= most else f"…{name[-max(1, most - 1) :]}"
