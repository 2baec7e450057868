"""The axis that a Reshape keeps is found from what is known of both shapes, and no other."""

import onnx_ir as ir
import pytest
from onnxray.graph.shapes import axis_before


@pytest.mark.parametrize(
    ("before", "after", "axis", "found"),
    [
        ((2, 9, 8), (2, 9, 2, 4), 1, 1),
        ((2, 9, 8), (18, 8), 1, 2),
        ((2, 9, 8), (2, 3, 3, 8), 1, None),
        (("n", 85, 20, 20), ("n", 85, 400), 1, 1),
        (("n", 85, 20, 20), ("m", 85, 200), 1, None),
        ((None, 85, 20, 20), (None, 85, 400), 1, 1),
        ((None, 6, 8), (None, 6, 4), 1, None),
        ((None, None, 8), (None, None, 2, 4), 1, None),
        ((None, None, 8), (None, 8), 1, 2),
        ((None, 0, 8), (None, 0, 4), 1, None),
        ((8,), (2, 2, 2), 0, None),
    ],
    ids=str,
)
def test_axis_before(before, after, axis, found):
    x, y = (ir.Value(shape=ir.Shape(shape)) for shape in (before, after))
    assert axis_before(x, y, axis) == found
