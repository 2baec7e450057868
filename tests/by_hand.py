"""Two nets whose gradient is known in closed form, and what the tests of methods share."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser

TOLERANCE = 1e-5

Array = np.ndarray


def normal(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def model(text: str, weights: dict[str, Array] | None = None, opset: int = 18) -> onnx.ModelProto:
    """A model from the text of its graph, with initializers by name."""
    made = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text}')
    made.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in (weights or {}).items())
    return made


@dataclass(frozen=True)
class Dense:
    """z = max(x A + a, 0) B + b."""

    inputs: int = 6
    hidden: int = 9
    classes: int = 4

    @cached_property
    def weights(self) -> dict[str, Array]:
        """B is small, so that a Softmax behind it is not saturated."""
        return {
            "A": normal(self.inputs, self.hidden),
            "a": normal(self.hidden),
            "B": normal(self.hidden, self.classes) / 8,
            "b": normal(self.classes),
        }

    def proto(self, tail: str = "y = Identity(z)", shape: str = "", kind: str = "float", opset: int = 18) -> Any:
        return model(
            f"""net (float[N, {self.inputs}] x) => ({kind}[N, {shape or self.classes}] y) {{
                [first] h = Gemm(x, A, a)
                [relu] r = Relu(h)
                [second] z = Gemm(r, B, b)
                {tail}
            }}""",
            self.weights,
            opset,
        )

    def x(self, count: int = 3, seed: int = 0) -> Array:
        return normal(count, self.inputs, seed=seed)

    def hidden_of(self, x: Array) -> Array:
        return x.astype(np.float64) @ self.weights["A"] + self.weights["a"]

    def scores(self, x: Array) -> Array:
        return np.maximum(self.hidden_of(x), 0) @ self.weights["B"] + self.weights["b"]

    def gradient(self, x: Array, k: int, relu: str = "exact") -> Array:
        h = self.hidden_of(x)
        return backwards(h, np.broadcast_to(self.weights["B"][:, k], h.shape), relu) @ self.weights["A"].T

    def all_gradients(self, x: Array) -> Array:
        return np.stack([self.gradient(x, k) for k in range(self.classes)], 1)


@dataclass(frozen=True)
class Convolutional:
    """z = mean over places of max(conv(x, A) + a, 0), times B plus b; convolution of 3 x 3, pads 1."""

    size: tuple[int, int] = (6, 5)
    channels: int = 2
    maps: int = 5
    classes: int = 4

    @cached_property
    def weights(self) -> dict[str, Array]:
        return {
            "A": normal(self.maps, self.channels, 3, 3),
            "a": normal(self.maps),
            "B": normal(self.maps, self.classes),
            "b": normal(self.classes),
        }

    def proto(self, batch: str | int = "N", size: tuple[Any, Any] | None = None) -> onnx.ModelProto:
        height, width = size or self.size
        return model(
            f"""net (float[{batch}, {self.channels}, {height}, {width}] x) => (float[{batch}, {self.classes}] y) {{
                [conv] h = Conv<kernel_shape=[3, 3], pads=[1, 1, 1, 1]>(x, A, a)
                [relu] r = Relu(h)
                [pool] p = GlobalAveragePool(r)
                [flat] f = Flatten(p)
                [head] y = Gemm(f, B, b)
            }}""",
            self.weights,
        )

    def x(self, count: int = 3, seed: int = 0, size: tuple[int, int] | None = None) -> Array:
        return normal(count, self.channels, *(size or self.size), seed=seed)

    def hidden_of(self, x: Array) -> Array:
        padded = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
        patches = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
        return np.einsum("nchwij,ocij->nohw", patches, self.weights["A"]) + self.weights["a"][:, None, None]

    def scores(self, x: Array) -> Array:
        return np.maximum(self.hidden_of(x), 0).mean((2, 3)) @ self.weights["B"] + self.weights["b"]

    def gradient_behind_relu(self, x: Array, k: int) -> Array:
        share = self.weights["B"][:, k, None, None] / (x.shape[2] * x.shape[3])
        return np.broadcast_to(share, (len(x), self.maps, *x.shape[2:]))

    def gradient_of_maps(self, x: Array, k: int, relu: str = "exact") -> Array:
        return backwards(self.hidden_of(x), self.gradient_behind_relu(x, k), relu)

    def gradient(self, x: Array, k: int, relu: str = "exact") -> Array:
        dh, dx = (
            self.gradient_of_maps(x, k, relu),
            np.pad(np.zeros_like(x, np.float64), ((0, 0), (0, 0), (1, 1), (1, 1))),
        )
        for i, j in product(range(3), range(3)):
            part = np.einsum("nohw,oc->nchw", dh, self.weights["A"][:, :, i, j])
            dx[:, :, i : i + part.shape[2], j : j + part.shape[3]] += part
        return dx[:, :, 1:-1, 1:-1]


def backwards(h: Array, dr: Array, relu: str) -> Array:
    """The gradient of max(h, 0) for dr, by Relu policy."""
    return {"exact": (h > 0) * dr, "guided": (h > 0) * (dr > 0) * dr, "deconvnet": (dr > 0) * dr}[relu]


@dataclass(frozen=True)
class Letters(Dense):
    """The same of a one-hot sequence (N, 4, positions), or (N, positions, 4)."""

    positions: int = 5
    axis: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        return (4, self.positions) if self.axis == 0 else (self.positions, 4)

    def proto(self, tail: str = "y = Identity(z)", shape: str = "", kind: str = "float", opset: int = 18) -> Any:
        made = super().proto(tail, shape, kind, opset)
        made.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *self.shape]))
        made.graph.node[0].input[0] = "flat"
        made.graph.node.insert(0, helper.make_node("Flatten", ["x"], ["flat"]))
        return made

    def x(self, count: int = 3, seed: int = 0) -> Array:
        letters = np.random.default_rng(seed).integers(0, 4, (count, self.positions))
        return np.moveaxis(np.eye(4, dtype=np.float32)[letters], 2, 1 + self.axis)

    def scores(self, x: Array) -> Array:
        return super().scores(x.reshape(len(x), -1))


DENSE, CONV, LETTERS = Dense(), Convolutional(), Letters(20)
ByHand = Dense | Convolutional


def label(value: Any) -> str:
    if not isinstance(value, dict):
        return type(value).__name__ if isinstance(value, Dense | Convolutional) else str(value)
    return "-".join(f"{name}={'array' if isinstance(v, np.ndarray) else v}" for name, v in value.items()) or "defaults"
