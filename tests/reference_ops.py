"""Operators that onnx's reference evaluator rounds to float32, gets wrong or lacks, in plain numpy."""

import numpy as np
from onnx.reference.op_run import OpRun
from scipy import special


class Erf(OpRun):
    """The reference rounds to float32."""

    def _run(self, x: np.ndarray) -> tuple[np.ndarray]:
        return (np.asarray(special.erf(x), x.dtype),)


class Gelu(OpRun):
    """Its function body is evaluated with the rounded Erf."""

    def _run(self, x: np.ndarray, approximate: str = "none") -> tuple[np.ndarray]:
        inner = np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)
        return (x * (0.5 * (1 + np.tanh(inner)) if approximate == "tanh" else special.ndtr(x)),)


class ConvTranspose(OpRun):
    """The reference refuses several groups, output_shape and auto_pad."""

    def _run(self, x, w, b=None, auto_pad=None, dilations=None, group=1, kernel_shape=None, output_padding=None,
             output_shape=None, pads=None, strides=None):  # fmt: skip
        n = x.ndim - 2
        strides, dilations, rest = strides or [1] * n, dilations or [1] * n, output_padding or [0] * n
        full = _spread_windows(x, w, group, strides, dilations, rest)
        sizes = np.array(full.shape[2:])
        if (auto_pad or "NOTSET").startswith("SAME"):
            output_shape = [size * s for size, s in zip(x.shape[2:], strides, strict=True)]
        if output_shape:
            total = sizes - output_shape
            full = np.pad(full, [(0, 0), (0, 0), *((0, max(-t, 0)) for t in total)])
            total = total.clip(min=0)
            begin = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
            sizes, end = np.array(full.shape[2:]), total - begin
        else:
            begin, end = np.array((pads or [0] * 2 * n)[:n]), np.array((pads or [0] * 2 * n)[n:])
        cut = full[(..., *(slice(p, size - q) for p, q, size in zip(begin, end, sizes, strict=True)))]
        return (cut if b is None else cut + b.reshape(-1, *[1] * n),)


def _spread_windows(x, w, group, strides, dilations, rest):
    """Every element of x times the kernel, added where it falls."""
    kernel, split = w.shape[2:], x.reshape(x.shape[0], group, -1, *x.shape[2:])
    sizes = [s * (m - 1) + d * (k - 1) + 1 + r
             for s, m, d, k, r in zip(strides, x.shape[2:], dilations, kernel, rest, strict=True)]  # fmt: skip
    full = np.zeros((x.shape[0], group, w.shape[1], *sizes), x.dtype)
    for tap in np.ndindex(*kernel):
        part = np.einsum("ngc...,gcm->ngm...", split, w[(..., *tap)].reshape(group, -1, w.shape[1]))
        starts = [d * t for d, t in zip(dilations, tap, strict=True)]
        where = (slice(p, p + s * m, s) for p, s, m in zip(starts, strides, x.shape[2:], strict=True))
        full[(..., *where)] += part
    return full.reshape(x.shape[0], -1, *sizes)


class LRN(OpRun):
    """onnx's own reference normalises as many channels as there are examples."""

    def _run(self, x: np.ndarray, alpha: float, beta: float, bias: float, size: int) -> tuple[np.ndarray]:
        before, after, channels = (size - 1) // 2, size // 2, range(x.shape[1])
        windows = [x[:, max(0, c - before) : c + after + 1] for c in channels]
        squares = np.stack([np.sum(window**2, axis=1) for window in windows], axis=1)
        return (x / (bias + alpha / size * squares) ** beta,)


class LpNormalization(OpRun):
    """onnx's own reference forgets the absolute value of the 1-norm."""

    def _run(self, x: np.ndarray, axis: int, p: int) -> tuple[np.ndarray]:
        norm = np.linalg.norm(x, p, axis, keepdims=True)
        return (x / np.where(norm == 0, 1, norm),)


class GroupNormalization(OpRun):
    """Its function body goes through float32."""

    def _run(self, x, scale, bias, epsilon=1e-5, num_groups=1, stash_type=1):
        rows = x.reshape(len(x), num_groups, -1)
        u = (rows - rows.mean(2, keepdims=True)) / np.sqrt(rows.var(2, keepdims=True) + epsilon)
        wide = u.reshape(len(x), scale.size, -1)
        return ((wide * scale[:, None] + bias[:, None]).reshape(x.shape),)


class MeanVarianceNormalization(OpRun):
    """Its function body has a float32 constant in it, which the reference refuses to add to float64."""

    def _run(self, x, axes=(0, 2, 3)):
        return ((x - x.mean(tuple(axes), keepdims=True)) / (x.std(tuple(axes), keepdims=True) + 1e-9),)


class Pad(OpRun):
    """onnx's own reference refuses negative pads, which crop."""

    def _run(self, x, pads, value=None, axes=None, mode="constant"):
        widths = np.zeros((x.ndim, 2), np.int64)
        widths[range(x.ndim) if axes is None else list(axes)] = pads.reshape(2, -1).T
        keep = tuple(slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(x.shape, widths, strict=True))
        constants = {"constant_values": 0 if value is None else value} if mode == "constant" else {}
        return (np.pad(x[keep], widths.clip(min=0), mode, **constants),)


class Slice(OpRun):
    """The reference takes nothing where a slice backwards starts before the first element, which the standard takes."""

    def _run(self, x, starts, ends, axes=None, steps=None):
        axes = range(len(starts)) if axes is None else axes
        steps = np.ones(len(starts), np.int64) if steps is None else steps
        for axis, start, end, step in zip(axes, starts.tolist(), ends.tolist(), steps.tolist(), strict=True):
            start = max(start, -x.shape[axis]) if step < 0 else start
            x = x[
                (slice(None),) * (axis % x.ndim)
                + (slice(start, None if step < 0 and end < -x.shape[axis] else end, step),)
            ]
        return (x,)


class MaxPool(OpRun):
    """The reference's indices are wrong for windows that overlap without pads."""

    def _run(self, x, auto_pad=None, ceil_mode=0, dilations=None, kernel_shape=None, pads=None, storage_order=0,
             strides=None):  # fmt: skip
        flat, inside, sizes = _windows(x, auto_pad, ceil_mode, dilations, kernel_shape, pads, strides)
        planes = np.where(inside, x.reshape(*x.shape[:2], -1)[:, :, flat], -np.inf)
        winner = np.take_along_axis(np.broadcast_to(flat, planes.shape), planes.argmax(-1)[..., None], -1)[..., 0]
        shape = (*x.shape[:2], *sizes)
        starts = np.arange(np.prod(x.shape[:2])).reshape(*x.shape[:2], 1) * np.prod(x.shape[2:])
        return planes.max(-1).reshape(shape), (winner + starts).reshape(shape).astype(np.int64)


def _windows(x, auto_pad, ceil_mode, dilations, kernel_shape, pads, strides):
    """The positions (windows, kernel) in the flattened image, which of them lie in it, and the number of windows."""
    n = len(kernel_shape)
    strides, dilations, pads = strides or [1] * n, dilations or [1] * n, pads or [0] * 2 * n
    axes = [
        _places(*sizes, (auto_pad or "NOTSET"), bool(ceil_mode))
        for sizes in zip(x.shape[2:], kernel_shape, strides, dilations, pads[:n], pads[n:], strict=True)
    ]
    places = np.stack(np.meshgrid(*axes, indexing="ij")).reshape(n, *(k for a in axes for k in a.shape))
    places = places.transpose(0, *range(1, 2 * n, 2), *range(2, 2 * n + 1, 2))
    sizes = np.array(x.shape[2:]).reshape(n, *[1] * 2 * n)
    inside = ((places >= 0) & (places < sizes)).all(0)
    flat = np.ravel_multi_index(np.where(inside, places, 0), x.shape[2:]).reshape(-1, np.prod(kernel_shape))
    inside = inside.reshape(flat.shape)
    return flat, inside, [len(a) for a in axes]


def _places(size, kernel, stride, dilation, begin, end, auto_pad, ceil):
    """The positions (windows, kernel) that windows look at along one axis."""
    span = dilation * (kernel - 1) + 1
    if auto_pad.startswith("SAME"):
        count = -(-size // stride)
        total = max((count - 1) * stride + span - size, 0)
        begin = total // 2 if auto_pad == "SAME_UPPER" else total - total // 2
    else:
        free = size + begin + end - span
        count = (-(-free // stride) if ceil else free // stride) + 1
        count -= bool(ceil) and (count - 1) * stride >= size + begin
    return stride * np.arange(count)[:, None] + dilation * np.arange(kernel) - begin


class AveragePool(OpRun):
    """The reference gets auto_pad with a dilation and pads that ceil_mode adds wrong."""

    def _run(self, x, auto_pad=None, ceil_mode=0, count_include_pad=0, dilations=None, kernel_shape=None, pads=None,
             strides=None):  # fmt: skip
        total, inside, sizes = _sums(x, x, auto_pad, ceil_mode, dilations, kernel_shape, pads, strides)
        counts = inside.sum(-1)
        if count_include_pad:  # pads count, what ceil_mode adds behind them does not
            n = len(kernel_shape)
            ends = (pads or [0] * 2 * n)[n:] if (auto_pad or "NOTSET") == "NOTSET" else kernel_shape
            counts = _kernel_inside(x, sizes, ends, dilations, kernel_shape, pads, strides)
        return ((total / counts).reshape(*x.shape[:2], *sizes),)


class LpPool(OpRun):
    """The reference gets the pads that ceil_mode adds wrong."""

    def _run(self, x, auto_pad=None, ceil_mode=0, dilations=None, kernel_shape=None, p=2, pads=None, strides=None):
        total, _, sizes = _sums(x, np.abs(x) ** p, auto_pad, ceil_mode, dilations, kernel_shape, pads, strides)
        return ((total ** (1 / p)).reshape(*x.shape[:2], *sizes),)


def _kernel_inside(x, made, ends, dilations, kernel_shape, pads, strides):
    """How many elements of each window, pads included, do not lie behind the image and the pads at its end."""
    n = len(kernel_shape)
    counts = np.ones(1)
    for k, (count, kernel) in enumerate(zip(made, kernel_shape, strict=True)):
        begin, stride, step = (pads or [0] * n)[k], (strides or [1] * n)[k], (dilations or [1] * n)[k]
        places = stride * np.arange(count)[:, None] + step * np.arange(kernel) - begin
        counts = np.multiply.outer(counts, (places < x.shape[2 + k] + ends[k]).sum(1))
    return counts.reshape(-1)


def _sums(x, values, *window):
    """The sums of values over each window, which of its places lie in the image, and how many windows there are."""
    flat, inside, sizes = _windows(x, *window)
    return np.where(inside, values.reshape(*x.shape[:2], -1)[:, :, flat], 0).sum(-1), inside, sizes


class GlobalMaxPool(OpRun):
    """The reference drops axes of other ranks than 4."""

    def _run(self, x: np.ndarray) -> tuple[np.ndarray]:
        return (x.max(tuple(range(2, x.ndim)), keepdims=True),)


class GatherElements(OpRun):
    """onnx's own reference wants indices as wide as the data."""

    def _run(self, x, indices, axis=0):
        places = list(np.indices(indices.shape))
        places[axis] = indices
        return (x[tuple(places)],)


class GridSample(OpRun):
    """The reference rounds to float32."""

    def _run(self, x, grid, mode="linear", padding_mode="zeros", align_corners=0):
        mode, size = mode.removeprefix("bi"), np.array(x.shape[2:])
        at = ((grid[..., ::-1] + 1) * (size - align_corners) - (1 - align_corners)) / 2
        if mode != "cubic":
            at = _inside(at, size, padding_mode, align_corners)
        first = np.rint(at) if mode == "nearest" else np.floor(at)
        offsets = {"nearest": [0], "linear": [0, 1], "cubic": [-1, 0, 1, 2]}[mode]
        out = np.zeros((*x.shape[:2], *grid.shape[1:-1]), x.dtype)
        for tap in np.ndindex(*[len(offsets)] * len(size)):
            place = first + np.array([offsets[t] for t in tap])
            weight = np.prod(_kernel(np.abs(at - place), mode), axis=-1)
            place = _inside(place, size, padding_mode, align_corners)
            weight = np.where(((place >= 0) & (place < size)).all(-1), weight, 0)
            where = np.moveaxis(place.clip(0, size - 1).astype(int), -1, 0)
            out += weight[:, None] * np.stack([image[(slice(None), *where[:, k])] for k, image in enumerate(x)])
        return (out,)


def _inside(at, size, padding, align):
    if padding == "reflection":
        low, span = (0, size - 1) if align else (-0.5, size)
        turns, rest = np.divmod(np.abs(at - low), span)
        at = low + np.where(turns % 2 == 1, span - rest, rest)
    return at if padding == "zeros" else at.clip(0, size - 1)


def _kernel(d, mode):
    near, far = (1.25 * d - 2.25) * d * d + 1, -0.75 * (((d - 5) * d + 8) * d - 4)
    return {"nearest": np.ones_like(d), "linear": 1 - d, "cubic": np.where(d <= 1, near, np.where(d < 2, far, 0))}[mode]


class AffineGrid(OpRun):
    """The reference rounds to float32."""

    def _run(self, theta, size, align_corners=0):
        axes = [np.linspace(-1, 1, n) if align_corners else (2 * np.arange(n) + 1) / n - 1 for n in size[2:]]
        places = np.meshgrid(*axes, indexing="ij")[::-1]
        return (np.einsum("...j,nij->n...i", np.stack([*places, np.ones_like(places[0])], -1), theta),)


class GlobalLpPool(OpRun):
    """The reference lacks it."""

    def _run(self, x, p=2):
        return ((np.abs(x) ** p).sum(tuple(range(2, x.ndim)), keepdims=True) ** (1 / p),)


class Det(OpRun):
    """The reference returns float64 numbers that are no arrays."""

    def _run(self, x):
        return (np.asarray(np.linalg.det(x), x.dtype),)


class Inverse(OpRun):
    """One of com.microsoft's."""

    op_domain = "com.microsoft"

    def _run(self, x):
        return (np.linalg.inv(x),)


class Optional(OpRun):
    """The reference wraps the value in a list and never takes it out."""

    def _run(self, x=None, type=None):
        return (x,)


REFERENCE_OPS = [op for op in OpRun.__subclasses__() if op.__module__ == __name__]
