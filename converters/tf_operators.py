"""TensorFlow operators that tf2onnx has no ONNX form for: it leaves them in the graph, without an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir

__all__ = ["HANDLERS"]


def erfc(context: Any, node: Any, name: str, _: Any) -> None:
    """Erfc(x) = 1 - Erf(x); Keras writes its exact GELU with it."""
    kind, shape = context.get_dtype(node.output[0]), context.get_shape(node.output[0])
    outputs, inputs = list(node.output), list(node.input)
    context.remove_node(name)
    erf = context.make_node("Erf", inputs, name=f"{name}/erf", dtypes=[kind], shapes=[shape])
    one = context.make_const(f"{name}/one", np.ones((), ir.DataType(kind).numpy()))
    context.make_node("Sub", [one.output[0], erf.output[0]], name=name, outputs=outputs, dtypes=[kind], shapes=[shape])


HANDLERS = {"Erfc": (erfc, [])}  # as tf2onnx takes them: a function and its arguments, by operator
