"""Whole models, written as text, against central differences: float64 on the reference, float32 on onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from differences import run_on_runtime
from gradcheck import EPSILON, FLOAT32_TOLERANCE, FLOAT64_TOLERANCE, evaluate, normal, reference
from measures import distance
from onnxray.gradient_graph import differentiate

__all__ = ["check_text", "parsed"]

Feeds = Mapping[str, np.ndarray]


def parsed(text: str, kind: str = "float", opset: int = 18) -> onnx.ModelProto:
    """A model whose text says ``real`` for its floating-point type, and ``KIND`` for the number of that."""
    number = str(getattr(onnx.TensorProto, kind.upper()))
    text = text.replace("real", kind).replace("KIND", number)
    return onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : {opset}]> {text}')


def check_text(text: str, feeds: Feeds, opset: int = 18, flat: tuple[str, ...] = ()) -> None:
    """Asserts <J^T w, v> = <w, J v> for every floating-point input, and that onnxruntime's float32 agrees."""
    double, single = parsed(text, "double", opset), parsed(text, "float", opset)
    wrt = [name for name, x in feeds.items() if x.dtype == np.float64 and name not in flat]
    outputs = evaluate(double, feeds)
    weights = {y: normal(*np.shape(x), seed=7 + k) for k, (y, x) in enumerate(outputs.items())}
    found = reference(differentiate(double, list(outputs), wrt), feeds, weights)
    for name in wrt:
        direction = normal(*feeds[name].shape, seed=11)
        ahead, behind = (evaluate(double, {**feeds, name: feeds[name] + s * EPSILON * direction}) for s in (1, -1))
        numeric = sum(np.sum(w * (ahead[y] - behind[y])) for y, w in weights.items()) / (2 * EPSILON)
        scale = np.linalg.norm(found[name]) * np.linalg.norm(direction) + 1e-3
        assert abs(np.sum(found[name] * direction) - numeric) <= FLOAT64_TOLERANCE * scale, name
    graph = differentiate(single, list(outputs), wrt)
    onnx.checker.check_model(graph.model, full_check=True)
    narrow = run_on_runtime(graph.model, {**feeds, **{graph.seeds[y]: w for y, w in weights.items()}})
    for name in wrt:
        assert distance(narrow[graph.gradients[name]], found[name], least=1e-6) <= FLOAT32_TOLERANCE, name
