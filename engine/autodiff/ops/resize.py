"""Resize is linear and separable: each resized axis is multiplied with a matrix, the gradient with its transpose."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from ...graph.builder import GraphBuilder
from ...graph.shapes import constant_of
from ..registry import Gradients, Node, vjp
from .interpolation import Interpolation
from .scatter import element_numbers, scatter_flat

_COMPUTED = (math.nan, math.nan)  # a crop that only the run will tell
_SAMPLE = 8  # a size to try a pattern on that does not depend on the size


@dataclass(frozen=True)
class _Axis:
    """A resized axis; None is what only the run will tell. Scales, sizes and roi hold it at ``place``."""

    axis: int
    place: int
    size: int | None
    out: int | None
    scale: float | None
    crop: tuple[float, float]


@vjp("Resize")
def resize(g: GraphBuilder, node: Node, dy: ir.Value) -> Gradients:
    if _fits_at_run_time(node):
        return _moved(g, node, dy), *[None] * (len(node.inputs) - 1)
    x, how, repeats, axes = node.inputs[0], _interpolation(node), {}, _resized(g, node)
    if axes and all(a.size is not None and a.size == a.out and a.crop == (0, 1) for a in axes):
        axes = []  # onnxruntime copies what keeps its lengths, whatever the scales
    for a in axes:
        factor = _repeats(how, a)
        if factor:
            repeats[a.axis] = factor
        else:
            dy = _multiply(g, dy, _matrix(g, node, how, a, dy.dtype), a.axis, g.rank(x))
    return _sum_repeats(g, x, dy, repeats) if repeats else dy, *[None] * (len(node.inputs) - 1)


def _fits_at_run_time(node: Node) -> bool:
    """Whether elements are only picked, by a scale that all axes share and that only the run will tell."""
    stretched = node.attributes.get_string("keep_aspect_ratio_policy", "stretch") == "stretch"
    known = node.inputs[0].shape is not None and node.inputs[0].shape.is_static() and _listed(_given(node)[2])
    return not (stretched or known) and node.attributes.get_string("mode", "nearest") == "nearest"


def _moved(g: GraphBuilder, node: Node, dy: ir.Value) -> ir.Value:
    """dy added up at the numbers of the elements that the operator itself picks."""
    numbers = g.Cast(element_numbers(g, node.inputs[0]), to=ir.DataType.INT32)
    picked = g.Resize(numbers, *node.inputs[1:], **node.attributes)
    return scatter_flat(g, node.inputs[0], g.Cast(picked, to=ir.DataType.INT64), dy)


def _interpolation(node: Node) -> Interpolation:
    text, number = node.attributes.get_string, node.attributes.get_int
    return Interpolation(
        mode=text("mode", "nearest"),
        coordinates=text("coordinate_transformation_mode", "half_pixel"),
        nearest=text("nearest_mode", "round_prefer_floor"),
        cubic_a=node.attributes.get_float("cubic_coeff_a", -0.75),
        antialias=bool(number("antialias", 0)),
        exclude_outside=bool(number("exclude_outside", 0)),
    )


def _given(node: Node) -> list[Any]:
    """roi, scales and sizes; an empty one counts as left out."""
    given = [constant_of(v) for v in node.inputs[1:]]
    kept = [v if known is None or known.size else None for v, known in zip(node.inputs[1:], given, strict=True)]
    return (kept + [None] * 3)[:3]


def _resized(g: GraphBuilder, node: Node) -> list[_Axis]:
    """The axes that change, with what is known of them."""
    x, y = node.inputs[0], node.outputs[0]
    _, scales, sizes = _given(node)
    axes = [axis % g.rank(x) for axis in node.attributes.get_ints("axes", list(range(g.rank(x))))]
    lengths = [_number(x, axis) for axis in axes]
    if scales is not None:
        factors = _listed(scales) or [None] * len(axes)
        outs = [None if f is None or n is None else int(f * n) for f, n in zip(factors, lengths, strict=True)]
    else:
        policy = node.attributes.get_string("keep_aspect_ratio_policy", "stretch")
        made = [_number(y, axis) if policy == "stretch" else None for axis in axes]
        factors, outs = _fit(lengths, _listed(sizes) or made, policy)
    crops = _crops(node, len(axes))
    found = [_Axis(*row) for row in zip(axes, range(len(axes)), lengths, outs, factors, crops, strict=True)]
    return [a for a in found if a.crop != (0, 1) or not (a.scale == 1 or (sizes is not None and _alike(x, y, a.axis)))]


def _number(x: ir.Value, axis: int) -> int | None:
    size = x.shape[axis] if x.shape is not None else None
    return size if isinstance(size, int) else None


def _listed(value: ir.Value) -> list[Any] | None:
    known = constant_of(value)
    return None if known is None else known.tolist()


def _alike(x: ir.Value, y: ir.Value, axis: int) -> bool:
    """Whether x and y surely have one length along an axis."""
    if x.shape is None or y.shape is None or x.shape[axis] != y.shape[axis]:
        return False
    return isinstance(x.shape[axis], int) or getattr(x.shape[axis], "value", None) is not None


def _fit(
    lengths: Sequence[int | None], wanted: Sequence[int | None], policy: str
) -> tuple[Sequence[float | None], Sequence[int | None]]:
    """Scales and lengths of the result from the sizes asked for."""
    scales = [None if n is None or w is None else w / n for n, w in zip(lengths, wanted, strict=True)]
    if policy == "stretch":
        return scales, wanted
    if None in scales:
        raise ValueError(f"keep_aspect_ratio_policy={policy!r} needs sizes that are known before the model runs")
    scale = (min if policy == "not_larger" else max)(s for s in scales if s is not None)
    return [scale] * len(scales), [int(scale * n + 0.5) for n in lengths if n is not None]


def _crops(node: Node, count: int) -> list[tuple[float, float]]:
    """The part of each axis that is read, as fractions; only tf_crop_and_resize crops."""
    roi = _given(node)[0]
    if roi is None or _interpolation(node).coordinates != "tf_crop_and_resize":
        return [(0.0, 1.0)] * count
    known = constant_of(roi)
    if known is None:
        return [_COMPUTED] * count
    return list(zip(*known.reshape(2, count).tolist(), strict=True))


def _repeats(how: Interpolation, a: _Axis) -> int | None:
    """The factor where each element is merely repeated, None where that is not so."""
    if how.mode != "nearest" or a.crop != (0, 1) or a.scale is None or not a.scale.is_integer():
        return None
    factor, bound = int(a.scale), how.coordinates == "align_corners"  # there alone the pattern hangs on the size
    if bound and a.size is None:
        return None
    size = a.size if bound and a.size else _SAMPLE
    matrix = how.matrix(size, size * factor, a.scale)
    return factor if np.array_equal(matrix, np.eye(size).repeat(factor, axis=0)) else None


def _sum_repeats(g: GraphBuilder, x: ir.Value, dy: ir.Value, repeats: Mapping[int, int]) -> ir.Value:
    apart = [part for k in range(g.rank(x)) for part in (g.dim(x, k), repeats.get(k)) if part is not None]
    axes = [axis + k + 1 for k, axis in enumerate(sorted(repeats))]
    return g.ReduceSum(g.reshape(dy, apart), axes, keepdims=0)


def _matrix(g: GraphBuilder, node: Node, how: Interpolation, a: _Axis, dtype: ir.DataType | None) -> ir.Value:
    """out x size: a constant, or, where only the run will tell, what the same Resize makes of the unit matrix."""
    if (
        a.size is not None
        and a.out is not None
        and a.scale is not None
        and a.crop != _COMPUTED
        and _beyond_doubt(node, how, a)
    ):
        return g.constant(how.matrix(a.size, a.out, a.scale, a.crop), dtype)
    kind = ir.DataType.DOUBLE if dtype == ir.DataType.DOUBLE else ir.DataType.FLOAT
    columns = _columns(g, node, how, a, kind)
    matrix = g.Transpose(g.Gather(g.Squeeze(columns, [1]), g.constant(0, ir.DataType.INT64), axis=2), perm=[1, 0])
    return matrix if kind == dtype else g.Cast(matrix, to=dtype)


def _columns(g: GraphBuilder, node: Node, how: Interpolation, a: _Axis, kind: ir.DataType) -> ir.Value:
    """The matrix's columns, (size, 1, out, 2): images of one pixel's width, doubled lest onnxruntime copies them."""
    size, scales = g.dim(node.inputs[0], a.axis), _given(node)[1]
    unit = g.EyeLike(g.Expand(g.constant(0, kind), g.vector([size, size])))
    images = g.Unsqueeze(unit, [1, 3])
    sizes = None if scales is not None else g.vector([size, 1, g.dim(node.outputs[0], a.axis), 2])
    if scales is not None:
        one, two = (g.constant(fixed, ir.DataType.FLOAT) for fixed in ([1, 1], [2]))
        scales = g.Concat(one, g.Gather(scales, [a.place]), two, axis=0)
    crop = _crop(g, node, a) if a.crop != (0, 1) else None
    return g.Resize(images, crop, scales, sizes, **how.attributes())


def _beyond_doubt(node: Node, how: Interpolation, a: _Axis) -> bool:
    """Whether the standard and onnxruntime agree: not on scales that lead to a fraction, nor on a single element.

    "length_resized" of the standard's formulas is the fraction to the standard's reference, the whole part of it to
    onnxruntime; a single element lies at 0, or at -0.5.
    """
    exact = math.isclose((a.scale or 0) * (a.size or 0), a.out or 0, rel_tol=1e-6)
    return (exact or _given(node)[1] is None) and not (a.out == 1 and how.coordinates == "pytorch_half_pixel")


def _crop(g: GraphBuilder, node: Node, a: _Axis) -> ir.Value:
    """The roi of one axis beside three others that are kept whole."""
    kind = ir.DataType.FLOAT
    if a.crop != _COMPUTED:
        return g.constant([0, 0, a.crop[0], 0, 1, 1, a.crop[1], 1], kind)
    start, end = g.Split(g.Cast(_given(node)[0], to=kind), num_outputs=2, outputs=2)
    ends = [
        part
        for value, rest in ((start, 0), (end, 1))
        for part in (g.constant([rest] * 2, kind), g.Gather(value, [a.place]), g.constant([rest], kind))
    ]
    return g.Concat(*ends, axis=0)


def _multiply(g: GraphBuilder, dy: ir.Value, matrix: ir.Value, axis: int, rank: int) -> ir.Value:
    """dy contracted with the rows of a matrix along an axis."""
    if axis == rank - 2:
        return g.MatMul(g.Transpose(matrix, perm=[1, 0]), dy)
    turn = [k if k not in (axis, rank - 1) else axis + rank - 1 - k for k in range(rank)]
    return (
        g.MatMul(dy, matrix)
        if axis == rank - 1
        else g.Transpose(g.MatMul(g.Transpose(dy, perm=turn), matrix), perm=turn)
    )
