"""onnxruntime-training asked directly, past every rewrite, refusal and check of onnxray: what it does by itself."""

from __future__ import annotations

import numpy as np
import onnx
from onnxray.training import open_training_session
from onnxray.training.client import Worker, worker
from training_tools import Feeds

__all__ = ["build", "gradient_of", "score_of"]


def score_of(made: onnx.ModelProto, weights: np.ndarray) -> onnx.ModelProto:
    """The model with the scalar ``score``: the sum of its first output times these weights."""
    copy = onnx.ModelProto()
    copy.CopyFrom(made)
    copy.graph.initializer.append(onnx.numpy_helper.from_array(weights, "score_weights"))
    copy.graph.node.extend(
        [
            onnx.helper.make_node("Mul", [made.graph.output[0].name, "score_weights"], ["weighted"], name="weighted"),
            onnx.helper.make_node("ReduceSum", ["weighted"], ["score"], name="score", keepdims=0),
        ]
    )
    copy.graph.output.append(onnx.helper.make_tensor_value_info("score", onnx.TensorProto.FLOAT, []))
    return copy


def build(made: onnx.ModelProto, loss: str = "score", wrt: str = "x", by: Worker | None = None) -> onnx.ModelProto:
    """The library's own gradient graph; BuilderError where it refuses."""
    answer = (by or worker()).ask("build", made.SerializeToString(), loss, [wrt] if wrt else [], about="of raw.onnx")
    return onnx.ModelProto.FromString(answer)


def gradient_of(made: onnx.ModelProto, feeds: Feeds, loss: str = "score", by: Worker | None = None) -> np.ndarray:
    """The gradient of the loss in x by the library's own graph on its own kernels."""
    session = open_training_session(build(made, loss, by=by), name="raw.onnx", by=by)
    try:
        return session.run(feeds, ["x_grad"])["x_grad"]
    finally:
        session.close()
