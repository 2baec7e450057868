"""Inputs of the wrong shape, type or value, and what is no picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import pytest
from by_hand import CONV, DENSE, model, normal
from failing import fails
from onnx import numpy_helper
from onnxray import InputError
from PIL import Image


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (normal(1, 3, 6, 5), ["'x'", "(1, 3, 6, 5)", "(N, 2, 6, 5)"]),
        (normal(2, 6, 5), ["'x'", "(2, 6, 5)", "(N, 2, 6, 5)"]),
        (normal(0, 2, 6, 5), ["'x'", "(0, 2, 6, 5)"]),
        (np.ones((1, 2, 6, 5), np.uint8), ["'x'", "uint8", "float32"]),
        (np.ones((1, 2, 6, 5), np.complex64), ["'x'", "complex64", "float32"]),
        (np.full((1, 2, 6, 5), "a"), ["'x'", "float32"]),
        (np.full((1, 2, 6, 5), None), ["'x'", "object"]),
        ([[1.0], [1.0, 2.0]], ["'x'"]),
        (None, ["'x'"]),
        ({"image": normal(1, 2, 6, 5)}, ["x"]),
        ({"x": normal(1, 2, 6, 5), "y": normal(1)}, ["y", "x"]),
        ({}, ["x"]),
    ],
    ids=lambda value: str(getattr(value, "shape", type(value).__name__)) if not isinstance(value, list) else "",
)
def test_wrong_shapes_and_types(x: Any, words: list[str]) -> None:
    with fails(InputError, *(word.strip("'") for word in words)):
        onnxray.explain(CONV.proto(), x, target=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_not_finite(bad: float) -> None:
    x = CONV.x()
    x[1, 0, 3, 2] = bad
    with fails(InputError, "'x'", "[1, 0, 3, 2]", "NaN or infinity"):
        onnxray.explain(CONV.proto(), x, target=0)


def test_beyond_the_range_of_the_type() -> None:
    with fails(InputError, "'x'", "infinity"):
        onnxray.explain(DENSE.proto(), np.full((1, 6), 1e300), target=0)


def test_inputs_that_differ_in_batch() -> None:
    two = model("net (float[N, 3] u, float[N, 3] v) => (float[N, 3] y) { y = Add(u, v) }")
    with fails(InputError, "u", "v", "2", "4"):
        onnxray.explain(two, {"u": normal(2, 3), "v": normal(4, 3)})
    with fails(InputError, "dict", "u", "v"):
        onnxray.explain(two, normal(2, 3))


def test_integers_where_the_model_takes_integers() -> None:
    lookup = model("net (float[N, 3] u, int64[N] i) => (float[N, 3] y) { e = Gather(E, i)  y = Mul(u, e) }")
    lookup.graph.initializer.append(numpy_helper.from_array(normal(4, 3), "E"))
    with fails(InputError, "'i'", "int64", "float"):
        onnxray.explain(lookup, {"u": normal(2, 3), "i": normal(2)})


def test_pictures(tmp_path: Path) -> None:
    """A path that is no picture, one that is not there, a model that takes none."""
    proto = CONV.proto(size=(8, 8))
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3
    rgb = model(
        "net (float[N, 3, 8, 8] x) => (float[N, 3] y) { p = GlobalAveragePool(x)  y = Flatten(p) }",
    )
    text = tmp_path / "note.png"
    text.write_text("no picture")
    with fails(InputError, str(text)):
        onnxray.explain(rgb, text)
    with fails(InputError, "nothing.png"):
        onnxray.explain(rgb, str(tmp_path / "nothing.png"))
    with fails(InputError, "picture"):
        onnxray.explain(DENSE.proto(), Image.new("RGB", (8, 8)))
