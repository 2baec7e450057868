"""Models whose layers have lost what they learned, from the top down (Adebayo et al., 2018, arXiv:1810.03292)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import onnx_ir as ir

from ...attribution.axes import explained_inputs
from ...attribution.score import score_tensor
from ...autodiff.paths import depends_on, path_nodes
from ...errors import ModelError
from ...graph.model import Model
from ...graph.moving_operators import QUANTIZING

__all__ = ["WeightedLayer", "constant_behind", "layer_nodes", "randomised", "weighted_layers"]

CARRIERS = QUANTIZING | {"Cast", "Identity", "Reshape", "Transpose"}  # between a layer and its weights
BIASED = {"QLinearConv": (3, 8), "QLinearMatMul": (3,), "ConvInteger": (1,), "MatMulInteger": (1,)}
LEARNED = BIASED.keys() | frozenset(
    {
        "Conv",
        "ConvTranspose",
        "Gemm",
        "MatMul",
        "BatchNormalization",
        "LayerNormalization",
        "LSTM",
        "GRU",
        "RNN",
        *BIASED,
    }
)


@dataclass(frozen=True, eq=False)
class WeightedLayer:
    """A node with the constants that training set, by the input that they arrive at."""

    node: ir.Node
    weights: dict[int, ir.Value]

    @property
    def name(self) -> str:
        return self.node.name or str(self.node.outputs[0].name)


def layer_nodes(model: Model) -> list[ir.Node]:
    """The nodes between the inputs and the score, in graph order."""
    inputs = [value for value in model.inputs if str(value.name) in explained_inputs(model)]
    score = score_tensor(model, "output")
    return path_nodes(model.graph, [score], depends_on(model.graph, inputs))


def weighted_layers(model: Model) -> list[WeightedLayer]:
    """The layers that training set, in graph order."""
    found = [WeightedLayer(node, _weights(node)) for node in layer_nodes(model) if node.op_type in LEARNED]
    return [layer for layer in found if layer.weights]


def constant_behind(value: ir.Value | None) -> ir.Value | None:
    """The constant that a value comes from through nodes that only convert or move it."""
    while value is not None and value.const_value is None:
        node = value.producer()
        value = node.inputs[0] if node is not None and node.op_type in CARRIERS else None
    return value


def randomised(model: Model, seed: int, share: float = 1.0) -> Model:
    """The model with the weights of the uppermost share of its layers shuffled, each tensor by itself.

    Shuffling keeps every tensor's own distribution and type, so that it serves float and quantised weights alike.
    """
    rng, changed = np.random.default_rng(seed), model.copy()
    layers = weighted_layers(changed)
    if not layers:
        raise ModelError("no layer of the model has weights, so there is nothing to randomise")
    done: set[ir.Value] = set()
    for layer in layers[len(layers) - max(1, round(share * len(layers))) :]:
        for value in layer.weights.values():
            if value not in done:
                _shuffle(value, rng)
                done.add(value)
    return changed


def _weights(node: ir.Node) -> dict[int, ir.Value]:
    indices = BIASED.get(node.op_type, range(len(node.inputs)))
    behind = {k: constant_behind(node.inputs[k]) for k in indices if k < len(node.inputs)}
    return {k: value for k, value in behind.items() if value is not None and value.const_value.size > 1}  # type: ignore[union-attr]


def _shuffle(value: ir.Value, rng: np.random.Generator) -> None:
    array = cast(ir.TensorProtocol, value.const_value).numpy()
    shuffled = rng.permutation(array.reshape(-1)).reshape(array.shape)
    value.const_value = ir.tensor(shuffled, name=value.name)
