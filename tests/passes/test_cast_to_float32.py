"""The float32 form of a half-precision model is the same graph in every run."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnxray.passes.cast_to_float32 import cast_to_float32

WEIGHTS = 40  # whose order in a set would be that of their addresses


def test_weights_are_cast_in_their_order() -> None:
    x, y = (ir.val(name, ir.DataType.FLOAT16, [2048]) for name in "xy")
    arrays = [np.full(2048, k, np.float16) for k in range(WEIGHTS)]
    weights = [ir.val(f"w{k}", const_value=ir.tensor(a, name=f"w{k}")) for k, a in enumerate(arrays)]
    node = ir.node("Sum", [x, *weights], outputs=[y])
    graph = ir.Graph([x], [y], nodes=[node], initializers=weights, opset_imports={"": 18}, name="sum")
    found = cast_to_float32(ir.Model(graph, ir_version=10))
    names = ["x", *(f"w{k}" for k in range(WEIGHTS))]
    assert list(found) == names
    assert [cast.inputs[0].name for cast in graph if cast.op_type == "Cast"] == names[::-1]
    assert [value.name for value in node.inputs] == [f"{name}/float32" for name in names]
