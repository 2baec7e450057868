"""The matrix that Resize multiplies each axis with, after the operator's definition in the ONNX standard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

__all__ = ["Interpolation"]


@dataclass(frozen=True)
class Interpolation:
    """How a Resize interpolates: its attributes."""

    mode: str = "nearest"
    coordinates: str = "half_pixel"
    nearest: str = "round_prefer_floor"
    cubic_a: float = -0.75
    antialias: bool = False
    exclude_outside: bool = False

    def attributes(self) -> dict[str, str | float]:
        """As the attributes of a Resize."""
        return {
            "mode": self.mode,
            "coordinate_transformation_mode": self.coordinates,
            "nearest_mode": self.nearest,
            "cubic_coeff_a": self.cubic_a,
            "antialias": int(self.antialias),
            "exclude_outside": int(self.exclude_outside),
        }

    def matrix(self, size: int, out: int, scale: float, roi: tuple[float, float] = (0.0, 1.0)) -> np.ndarray:
        """out x size: each row holds the weights of the elements that one element of the result is made of."""
        x = self._sources(size, out, scale, roi)
        left = np.ceil(x) - 1  # the standard's neighbour on the left lies below x even where x is whole
        taps, weights = self._weights(x - left, min(scale, 1.0) if self.antialias else 1.0)
        places = left[:, None] + taps
        if self.exclude_outside:
            weights = np.where((places < 0) | (places >= size), 0.0, weights)
        total = weights.sum(axis=1, keepdims=True)
        weights = weights / np.where(total == 0, 1.0, total)
        if self.coordinates == "tf_crop_and_resize":
            weights[(x < 0) | (x > size - 1)] = 0.0  # these rows take the extrapolation value
        matrix = np.zeros((out, size))
        np.add.at(matrix, (np.arange(out)[:, None], places.clip(0, size - 1).astype(int)), weights)
        return matrix

    def _sources(self, size: int, out: int, scale: float, roi: tuple[float, float]) -> np.ndarray:
        """Where in the input each element of the result lies."""
        k, width = np.arange(out, dtype=np.float64), scale * size
        half_pixel = (k + 0.5) / scale - 0.5
        start, span = roi[0] * (size - 1), roi[1] - roi[0]
        formulas: Mapping[str, np.ndarray] = {
            "align_corners": k * (size - 1) / (width - 1) if width != 1 else 0 * k,
            "asymmetric": k / scale,
            "half_pixel": half_pixel,
            "half_pixel_symmetric": half_pixel + size / 2 * (1 - out / width),
            "pytorch_half_pixel": half_pixel if width != 1 else 0 * k - 0.5,
            "tf_crop_and_resize": start
            + (k * span * (size - 1) / (width - 1) if width != 1 else 0 * k + span * (size - 1) / 2),
        }
        if self.coordinates not in formulas:
            raise ValueError(f"the standard has no coordinate_transformation_mode {self.coordinates!r}")
        return formulas[self.coordinates]

    def _weights(self, ratio: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
        """Offsets from the left neighbour, and their weights for each ratio, the distance from it, in (0, 1]."""
        if self.mode == "nearest":
            right = {
                "round_prefer_floor": ratio > 0.5,
                "round_prefer_ceil": ratio >= 0.5,
                "floor": ratio == 1,
                "ceil": ratio > 0,
            }[self.nearest]
            return np.arange(2), np.stack([~right, right], axis=1).astype(np.float64)
        first = int(np.floor(-(2 if self.mode == "cubic" else 1) / scale)) + 1
        taps = np.arange(first, 2 - first)
        distance = np.abs(scale * (taps - ratio[:, None]))
        return taps, self._cubic(distance) if self.mode == "cubic" else (1 - distance).clip(min=0)

    def _cubic(self, d: np.ndarray) -> np.ndarray:
        """Keys, 1981, Cubic convolution interpolation for digital image processing, equation 15 with a free."""
        a = self.cubic_a
        near, far = ((a + 2) * d - (a + 3)) * d**2 + 1, a * (((d - 5) * d + 8) * d - 4)
        return np.where(d <= 1, near, np.where(d < 2, far, 0.0))
