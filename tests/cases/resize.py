"""Resize in all its modes; scales of float32, as the standard has it."""

from typing import Any

import numpy as np
from gradcheck import Case, normal

from .shape import ints


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def scaled(x: np.ndarray, scales: np.ndarray, name: str, constants: tuple[int, ...] = (2,), **attributes: Any) -> Case:
    return Case("Resize", [x, None, scales], attributes, constants=constants, id=name)


def sized(x: np.ndarray, sizes: np.ndarray, name: str, constants: tuple[int, ...] = (3,), **attributes: Any) -> Case:
    return Case("Resize", [x, None, None, sizes], attributes, constants=constants, opset=19, id=name)


_X = normal(1, 2, 5, 4)
_TWICE, _ODD, _SMALL = floats(1, 1, 2, 2), floats(1, 1, 1.6, 2.5), floats(1, 1, 0.6, 0.5)
_COORDINATES = ("align_corners", "asymmetric", "half_pixel", "pytorch_half_pixel")
_ROI = np.array([0, 0, 0.1, 0.2, 1, 1, 0.7, 1.05], np.float32)
_CROP = {"mode": "linear", "coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 3.0}

CASES = [
    scaled(_X, _TWICE, "twice"),
    scaled(_X, _TWICE, "twice-floor", coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    scaled(_X, floats(1, 1, 3, 2), "thrice"),
    scaled(_X, _TWICE, "twice-ceil", coordinate_transformation_mode="asymmetric", nearest_mode="ceil"),
    scaled(_X, _ODD, "nearest"),
    scaled(_X, _SMALL, "nearest-down"),
    *(
        scaled(_X, scales, f"{mode}-{name}-{coordinates}", mode=mode, coordinate_transformation_mode=coordinates)
        for mode in ("linear", "cubic")
        for name, scales in (("up", _ODD), ("down", _SMALL))
        for coordinates in _COORDINATES
    ),
    scaled(_X, _SMALL, "linear-antialias", mode="linear", antialias=1),
    scaled(_X, _SMALL, "cubic-antialias", mode="cubic", antialias=1, cubic_coeff_a=-0.5),
    scaled(_X, _ODD, "cubic-exclude", mode="cubic", exclude_outside=1),
    scaled(_X, floats(2.5, 0.5), "axes", mode="linear", axes=[3, 2]),
    scaled(normal(1, 2, 4), floats(1, 1, 1.5), "1d", mode="linear"),
    scaled(normal(1, 1, 2, 3, 4), floats(1, 1, 2, 1.5, 0.5), "3d", mode="linear"),
    scaled(_X, _ODD, "computed-scales", constants=(), mode="linear"),
    scaled(_X, _TWICE, "computed-nearest", constants=()),
    sized(_X, ints(1, 2, 7, 9), "sizes", mode="linear"),
    sized(_X, ints(1, 2, 10, 12), "sizes-nearest"),
    sized(_X, ints(7, 9), "sizes-axes", mode="cubic", axes=[2, 3]),
    Case(
        "Resize",
        [_X, None, None, ints(1, 2, 7, 9)],
        {"mode": "linear"},
        symbolic="none",
        why="onnx's shape inference takes sizes of unknown length for none",
        id="computed-sizes",
    ),
    sized(_X, ints(1, 2, 7, 9), "symmetric", mode="linear", coordinate_transformation_mode="half_pixel_symmetric"),
    *(
        Case(
            "Resize",
            [_X, None, None, ints(9, 9)],
            {"keep_aspect_ratio_policy": policy, "axes": [2, 3], "mode": "linear"},
            constants=[3],
            opset=19,
            symbolic="batch",
            why="with this policy the scale follows from the size of the input",
            id=policy,
        )
        for policy in ("not_larger", "not_smaller")
    ),
    *(
        Case(
            "Resize",
            [_X, None, None, ints(9, 7)],
            {"keep_aspect_ratio_policy": policy, "axes": [2, 3]},
            opset=19,
            symbolic="none",
            why="onnx's shape inference takes sizes of unknown length for none",
            id=f"{policy}-computed",
        )
        for policy in ("not_larger", "not_smaller")
    ),
    Case("Resize", [_X, _ROI, _ODD], _CROP, constants=[1, 2], id="crop"),
]
