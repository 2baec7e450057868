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
            begin = total - total // 2 if auto_pad == "SAME_UPPER" else total // 2
            end = total - begin
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


REFERENCE_OPS = [ConvTranspose, Erf, Gelu]
