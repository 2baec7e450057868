"""The float form of a quantised model: no rounding, the clipping kept, integers that move between moved as floats."""

import numpy as np
import onnx
import pytest
from differences import run_on_runtime
from onnxray.gate.layers.dequantise import dequantised

NET = """<ir_version: 10, opset_import: ["" : 21]> net (float[2, 3, 4] x) => (float y)
    <float scale = {{0.1}}, int8 zero = {{3}}, int64[2] flat = {{2, 12}}> {{
    q = QuantizeLinear (x, scale, zero)
    {moves}
    y = DequantizeLinear (m, scale, zero) }}"""
MOVES = {
    "none": ("m = Identity (q)", lambda x: x),
    "Transpose": ("m = Transpose <perm = [0, 2, 1]> (q)", lambda x: x.transpose(0, 2, 1)),
    "both": (
        "t = Transpose <perm = [0, 2, 1]> (q) m = Reshape (t, flat)",
        lambda x: x.transpose(0, 2, 1).reshape(2, 12),
    ),
}


@pytest.mark.parametrize("name", MOVES)
def test_what_moves_integers_moves_floats(name: str) -> None:
    moves, moved = MOVES[name]
    form = dequantised(onnx.parser.parse_model(NET.format(moves=moves)))
    x = np.random.default_rng(0).uniform(-20, 20, (2, 3, 4)).astype(np.float32)
    (found,) = run_on_runtime(form.proto(), {"x": x}).values()
    assert "QuantizeLinear" not in {node.op_type for node in form.graph}
    np.testing.assert_allclose(found, moved(np.clip(x, -13.1, 12.4)), rtol=1e-6)
