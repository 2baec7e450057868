"""Hypothesis strategies: one node with whatever attributes, shapes and optional inputs the standard allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gradcheck import Case, away, distinct, normal, positive
from hypothesis import strategies as st

__all__ = ["DRAWN"]

Draw = Callable[[st.SearchStrategy[Any]], Any]
_WHY = "drawn"
_FAR = np.iinfo(np.int64).max


def _ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def _each(draw: Draw, count: int, least: int, most: int) -> list[int]:
    return draw(st.lists(st.integers(least, most), min_size=count, max_size=count))


@dataclass(frozen=True)
class _Windows:
    """A sliding window: the sizes of the image, of the kernel, and the attributes."""

    sizes: list[int]
    kernel: list[int]
    attributes: dict[str, Any]

    def mixed(self) -> bool:
        """Whether ceil_mode shortens a window, along another axis drops one: inference fails and no pool is equal."""
        if "pads" not in self.attributes:
            return True  # ceil_mode says nothing beside auto_pad
        dropped, shortened, rank = False, False, len(self.sizes)
        for k, (n, size, s, d) in enumerate(
            zip(self.sizes, self.kernel, self.attributes["strides"], self.attributes["dilations"], strict=True)
        ):
            begin, end = self.attributes["pads"][k], self.attributes["pads"][k + rank]
            free = n + begin + end - d * (size - 1) - 1
            drops = -(-free // s) * s >= n + begin
            dropped, shortened = dropped or drops, shortened or (not drops and free % s > 0)
        return dropped and shortened


def _windows(draw: Draw, *, pool: bool) -> _Windows:
    """A pool's pads are less than its kernel and no dilation exceeds the image, so that windows hold an element."""
    rank = draw(st.sampled_from([2, 2, 1, 3]))
    kernel, strides = _each(draw, rank, 1, 3), _each(draw, rank, 1, 3)
    pad = draw(st.sampled_from(["NOTSET", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"]))
    dilations = [1] * rank if pad.startswith("SAME") else _each(draw, rank, 1, 2)  # onnxruntime refuses both at once
    if pad.startswith("SAME"):  # what would crop the image onnxruntime's pools refuse, and its ConvTranspose ignores
        strides = [min(s, k) for s, k in zip(strides, kernel, strict=True)]
    pads = [0] * (2 * rank)
    if pad == "NOTSET":
        pads = [min(p, k - 1) if pool else p for p, k in zip(_each(draw, 2 * rank, 0, 2), kernel * 2, strict=True)]
    spans = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    least = [max(dilations[k], n - pads[k] - pads[k + rank]) for k, n in enumerate(spans)]
    least = [1] * rank if pad.startswith("SAME") else least
    sizes = [n + more for n, more in zip(least, _each(draw, rank, 0, 4), strict=True)]
    attributes: dict[str, Any] = {"strides": strides, "dilations": dilations}
    attributes |= {"pads": pads} if pad == "NOTSET" else {"auto_pad": pad}
    return _Windows(sizes, kernel, attributes)


@st.composite
def _conv(draw: Draw) -> Case:
    window, group = _windows(draw, pool=False), draw(st.integers(1, 3))
    each, made = draw(st.integers(1, 2)), group * draw(st.integers(1, 2))
    inputs = [normal(2, group * each, *window.sizes), normal(made, each, *window.kernel)]
    inputs += [normal(made)] if draw(st.booleans()) else []
    attributes = window.attributes | ({"kernel_shape": window.kernel} if draw(st.booleans()) else {})
    constants = range(1, len(inputs)) if draw(st.booleans()) else ()
    return Case("Conv", inputs, {**attributes, "group": group}, constants=constants, why=_WHY)


@st.composite
def _conv_transpose(draw: Draw) -> Case:
    window, group = _windows(draw, pool=False), draw(st.integers(1, 3))
    inputs = [normal(2, group * 2, *_each(draw, len(window.kernel), 2, 4)), normal(group * 2, 2, *window.kernel)]
    attributes = {**window.attributes, "group": group}
    rest = [draw(st.integers(0, s - 1)) for s in attributes["strides"]]
    if "auto_pad" not in attributes and draw(st.booleans()):
        attributes["output_padding"] = rest
    made = [s * (n - 1) + d * (k - 1) + 1 for s, n, d, k in zip(
        attributes["strides"], inputs[0].shape[2:], attributes["dilations"], window.kernel, strict=True)]  # fmt: skip
    if "pads" in attributes:  # no output without elements
        attributes["pads"] = [min(p, (n - 1) // 2) for p, n in zip(attributes["pads"], made * 2, strict=True)]
    return Case("ConvTranspose", inputs, attributes, constants=[1], why=_WHY)


@st.composite
def _max_pool(draw: Draw) -> Case:
    window = _windows(draw, pool=True)
    attributes = {**window.attributes, "kernel_shape": window.kernel, "storage_order": draw(st.integers(0, 1))}
    attributes |= {} if window.mixed() else {"ceil_mode": draw(st.integers(0, 1))}
    return Case("MaxPool", [distinct(2, 2, *window.sizes)], attributes, why=_WHY)


@st.composite
def _average_pool(draw: Draw) -> Case:
    window = _windows(draw, pool=True)
    attributes = {**window.attributes, "kernel_shape": window.kernel, "count_include_pad": draw(st.integers(0, 1))}
    attributes |= {} if window.mixed() else {"ceil_mode": draw(st.integers(0, 1))}
    return Case("AveragePool", [normal(2, 2, *window.sizes)], attributes, why=_WHY, opset=19)


@st.composite
def _lp_pool(draw: Draw) -> Case:
    window = _windows(draw, pool=True)
    attributes = {**window.attributes, "kernel_shape": window.kernel, "p": draw(st.integers(1, 4))}
    attributes |= {} if window.mixed() else {"ceil_mode": draw(st.integers(0, 1))}
    return Case("LpPool", [away(2, 2, *window.sizes)], attributes, why=_WHY)


@st.composite
def _pad(draw: Draw) -> Case:
    shape, mode = (
        _each(draw, draw(st.integers(1, 4)), 2, 4),
        draw(st.sampled_from(["constant", "edge", "reflect", "wrap"])),
    )
    axes = draw(st.one_of(st.none(), st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1)))
    padded = [shape[axis] for axis in (range(len(shape)) if axes is None else axes)]
    least = -1 if mode == "constant" else 0  # the other modes crop first, which onnxruntime refuses
    pads = [min(p, n - 1) for p, n in zip(_each(draw, 2 * len(padded), least, 3), padded * 2, strict=True)]
    pads = [p if n > 2 else max(p, 0) for p, n in zip(pads, padded * 2, strict=True)]
    value = np.array(0.7) if mode == "constant" and draw(st.booleans()) else None
    named = None if axes is None else _ints(*_signed(draw, axes, len(shape)))
    inputs = [normal(*shape), _ints(*pads), value, named]
    fixed = [1, 3] if draw(st.booleans()) or mode == "wrap" else [3]
    return _trimmed("Pad", inputs, fixed, {"mode": mode}, ranks=[len(shape)], opset=19)


def _signed(draw: Draw, axes: list[int], rank: int) -> list[int]:
    return [axis - rank if draw(st.booleans()) else axis for axis in axes]


def _trimmed(op: str, inputs: list[Any], constants: list[int], attributes: dict[str, Any], **more: Any) -> Case:
    """The case without optional inputs at the end that are left out."""
    while inputs[-1] is None:
        inputs = inputs[:-1]
    kept = [k for k in constants if k < len(inputs) and inputs[k] is not None]
    return Case(op, inputs, attributes, constants=kept, why=_WHY, **more)


def _end(draw: Draw, step: int) -> int:
    return draw(st.one_of(st.integers(-8, 8), st.sampled_from([-_FAR, _FAR] if step > 0 else [-_FAR])))


@st.composite
def _slice(draw: Draw) -> Case:
    shape = _each(draw, draw(st.integers(1, 4)), 1, 6)
    axes = draw(st.lists(st.integers(0, len(shape) - 1), unique=True, min_size=1))
    named = draw(st.booleans())
    axes = axes if named else list(range(len(axes)))
    steps = [draw(st.sampled_from([1, 2, 3, -1, -2, -3])) for _ in axes] if draw(st.booleans()) else None
    starts, stops = ([_end(draw, step) for step in steps or [1] * len(axes)] for _ in range(2))
    listed = _ints(*_signed(draw, axes, len(shape))) if named else None
    inputs = [normal(*shape), _ints(*starts), _ints(*stops), listed, None if steps is None else _ints(*steps)]
    constants = draw(st.sampled_from([[1, 2, 3, 4], [3, 4], [3], []]))
    return _trimmed("Slice", inputs, constants, {}, ranks=[len(shape)])


@st.composite
def _gather(draw: Draw) -> Case:
    shape = _each(draw, draw(st.integers(1, 4)), 1, 4)
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    form = _each(draw, draw(st.integers(0, 2)), 1, 3)
    count, n = int(np.prod(form)), shape[axis]
    indices = np.array(_each(draw, count, -n, n - 1), draw(st.sampled_from([np.int64, np.int32]))).reshape(form)
    return Case("Gather", [normal(*shape), indices], {"axis": axis}, constants=[1] if draw(st.booleans()) else ())


_DATA = {"ReduceMax": distinct, "ReduceMin": distinct, "ReduceL1": away, "ReduceLogSum": positive}
_REDUCTIONS = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2",
               "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")  # fmt: skip


@st.composite
def _reduction(draw: Draw) -> Case:
    op = draw(st.sampled_from(_REDUCTIONS))
    least = op == "ReduceLogSumExp"  # the reference refuses a scalar
    shape = _each(draw, draw(st.integers(least, 4)), 1, 3)
    flags = {"keepdims": draw(st.integers(0, 1)), "noop_with_empty_axes": draw(st.integers(0, 1))}
    axes = draw(st.one_of(st.none(), st.just([]), st.permutations(range(len(shape)))))
    axes = None if axes is None else axes[: draw(st.integers(0, len(axes)))]
    inputs = [_DATA.get(op, normal)(*shape), None if axes is None else _ints(*_signed(draw, axes, len(shape)))]
    whole = not axes and not flags["noop_with_empty_axes"]
    rank = len(shape) if flags["keepdims"] else 0 if whole else len(shape) - len(axes or ())
    return _trimmed(op, inputs, [1] if draw(st.booleans()) else [], flags, ranks=[rank])


_COORDINATES = ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel", "half_pixel_symmetric")
_NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def _one_length(factor: float, size: int) -> bool:
    """Whether float32 agrees on the length: inference makes 6 elements of 1.4 times 5, onnxruntime 7."""
    return int(np.float32(factor) * np.float32(size)) == int(float(np.float32(factor)) * size)


@st.composite
def _resize(draw: Draw) -> Case:
    mode, rank = draw(st.sampled_from(["nearest", "linear", "cubic"])), draw(st.integers(1, 2))
    rank = 2 if mode == "cubic" else rank  # onnxruntime has no other
    shape = [draw(st.integers(1, 2)) for _ in range(2)] + _each(draw, rank, 1, 6)
    attributes = {"mode": mode, "coordinate_transformation_mode": draw(st.sampled_from(_COORDINATES))}
    if mode == "nearest":
        attributes["nearest_mode"] = draw(st.sampled_from(_NEAREST))
    elif draw(st.booleans()):
        attributes["antialias"] = 1
    if mode == "cubic" and draw(st.booleans()):
        attributes |= {
            "exclude_outside": draw(st.integers(0, 1)),
            "cubic_coeff_a": draw(st.sampled_from([-0.5, -0.75])),
        }
    made = _each(draw, rank, 1, 12)
    if draw(st.booleans()):
        inputs = [normal(*shape), None, None, _ints(*shape[:2], *made)]
        return Case("Resize", inputs, attributes, constants=[3], opset=19, why=_WHY)
    factors = [draw(st.sampled_from([0.3, 0.5, 0.6, 0.7, 1, 1.4, 1.5, 1.6, 2, 2.3, 3])) for _ in range(rank)]
    factors = [f if int(f * n) and _one_length(f, n) else 1 for f, n in zip(factors, shape[2:], strict=True)]
    kept = all(int(f * n) == n for f, n in zip(factors, shape[2:], strict=True))  # then the factors do not count
    scales = np.array([1, 1, *([1] * rank if kept else factors)], np.float32)
    constants = [2] if draw(st.booleans()) else ()
    return Case("Resize", [normal(*shape), None, scales], attributes, constants=constants, opset=19, why=_WHY)


DRAWN: dict[str, st.SearchStrategy[Case]] = {
    "Conv": _conv(),
    "ConvTranspose": _conv_transpose(),
    "MaxPool": _max_pool(),
    "AveragePool": _average_pool(),
    "LpPool": _lp_pool(),
    "Pad": _pad(),
    "Slice": _slice(),
    "Gather": _gather(),
    "reductions": _reduction(),
    "Resize": _resize(),
}
