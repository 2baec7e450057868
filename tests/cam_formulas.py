"""The class activation maps in plain numpy: feature maps and their gradients, (N, C, h, w), to maps (N, h, w)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["FORMULAS"]

Array = np.ndarray


def grad_cam(a: Array, d: Array) -> Array:
    return (d.mean((2, 3), keepdims=True) * a).sum(1)


def layer_cam(a: Array, d: Array) -> Array:
    return (np.maximum(d, 0) * a).sum(1)


def hires_cam(a: Array, d: Array) -> Array:
    return (d * a).sum(1)


def grad_cam_plus_plus(a: Array, d: Array) -> Array:
    """Equation 19 of the paper, with the 1e-6 of pytorch-grad-cam."""
    alpha = d**2 / (2 * d**2 + a.sum((2, 3), keepdims=True) * d**3 + 1e-6)
    return ((alpha * np.maximum(d, 0)).sum((2, 3), keepdims=True) * a).sum(1)


def xgrad_cam(a: Array, d: Array) -> Array:
    weights = (d * a / (a.sum((2, 3), keepdims=True) + 1e-7)).sum((2, 3), keepdims=True)
    return (weights * a).sum(1)


def eigen_cam(a: Array, d: Array) -> Array:
    """The first principal component by a singular value decomposition, along the mean map."""
    return np.stack([principal(one) for one in a])


def eigen_grad_cam(a: Array, d: Array) -> Array:
    return eigen_cam(a * d, d)


def principal(a: Array) -> Array:
    table = a.reshape(len(a), -1).T
    table = table - table.mean(0)
    along = table @ np.linalg.svd(table, full_matrices=False)[2][0]
    return (along * (-1 if along @ table.mean(1) < 0 else 1)).reshape(a.shape[1:])


FORMULAS: dict[str, Callable[[Array, Array], Array]] = {
    "grad-cam": grad_cam,
    "layer-cam": layer_cam,
    "hires-cam": hires_cam,
    "grad-cam++": grad_cam_plus_plus,
    "xgrad-cam": xgrad_cam,
    "eigen-cam": eigen_cam,
    "eigen-grad-cam": eigen_grad_cam,
}
