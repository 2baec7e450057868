"""A TensorFlow SavedModel to ONNX: its serving signature, frozen, with the large weights kept out of the conversion."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxray.errors import ConversionError

from .candidates import Candidate, Feed, LayerValue, Options
from .keras_graph import distinct, put_weights
from .layer_names import LAST, leaving
from .quiet import converting, require, warn_of_code
from .tf_file import tf_candidate
from .tf_gradients import taped
from .tf_operators import HANDLERS

__all__ = ["convert_saved_model"]

LARGE = 4096
CALL = "StatefulPartitionedCall/"
ADVICE = "export the model again with model.export(folder), or convert the Keras model itself"


def convert_saved_model(path: Path, options: Options) -> Candidate:
    """Convert the signature `serving_default`; layers bear the names of their TensorFlow scopes."""
    warn_of_code(path, "a SavedModel")
    tf, tf2onnx = require("tensorflow"), require("tf2onnx")
    with converting(f"{path} cannot be loaded", ADVICE):
        loaded = tf.saved_model.load(str(path))
        signatures = loaded.signatures
    if "serving_default" not in signatures:
        raise ConversionError(f"{path}: has no signature serving_default but {sorted(signatures)}; {ADVICE}")
    with converting(f"{path} cannot be converted", ADVICE):
        frozen = Frozen.of(signatures["serving_default"])
        graph, weights = without_weights(frozen.function.graph.as_graph_def())
        proto, _ = tf2onnx.convert.from_graph_def(
            graph,
            input_names=[*frozen.inputs, *(f"{name}:0" for name in weights)],
            output_names=[tensor.name for tensor in frozen.function.outputs],
            opset=options.opset,
            custom_op_handlers=HANDLERS,
        )
        scopes = leaving(proto, lambda node: scopes_of(node.name))
        put_weights(proto, {f"{name}:0": value for name, value in weights.items()})
    return tf_candidate(proto, path, options, frozen, public_names(proto, frozen), scopes)


def without_weights(graph: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """Turn large constants of a graph into inputs: inside it tf2onnx would copy them many times over."""
    tf, weights = require("tensorflow"), {}
    for node in graph.node:
        value = tf.make_ndarray(node.attr["value"].tensor) if node.op == "Const" else np.zeros(0)
        if value.ndim >= 2 and value.size >= LARGE:
            weights[node.name] = value
            shape = tf.TensorShape(value.shape).as_proto()
            kind = node.attr["dtype"].type
            node.ClearField("attr")
            node.op = "Placeholder"
            node.attr["dtype"].type = kind
            node.attr["shape"].shape.CopyFrom(shape)
    return graph, weights


def public_names(proto: onnx.ModelProto, frozen: Frozen) -> dict[str, str]:
    """The names of the signature, and tensors without TensorFlow's `:0` and the name of its call."""
    public = dict(zip(frozen.inputs, frozen.names, strict=True))
    public |= dict(zip([value.name for value in proto.graph.output], frozen.results, strict=True))
    tensors = dict.fromkeys(name for node in proto.graph.node for name in (*node.input, *node.output) if name)
    return distinct(public | {n: n.removesuffix(":0").removeprefix(CALL) for n in tensors if n not in public})


def scopes_of(name: str) -> list[str]:
    """The scopes of an operation, such as `model` and `model/conv` for `model/conv/Conv2D`."""
    parts = name.removeprefix(CALL).split("/")[:-1]
    return ["/".join(parts[: i + 1]) for i in range(len(parts))]


@dataclass(frozen=True)
class Frozen:
    """A signature with its variables as constants: the function, its inputs' tensors and the public names."""

    function: Any
    inputs: list[str]
    names: list[str]
    results: list[str]

    @classmethod
    def of(cls, signature: Any) -> Frozen:
        """Freeze a signature."""
        convert = require("tensorflow.python.framework.convert_to_constants")
        function = convert.convert_variables_to_constants_v2(signature)
        inputs = [tensor.name for tensor in function.inputs]
        return cls(function, inputs, [name.partition(":")[0] for name in inputs], list(signature.structured_outputs))

    def __call__(self, feed: Feed) -> list[Any]:
        """Run the function."""
        tf = require("tensorflow")
        with converting("the SavedModel cannot be run", "give inputs= that it accepts"):
            return self.function(*(tf.constant(feed[name]) for name in self.names))

    def outputs(self, feed: Feed) -> list[np.ndarray]:
        """The outputs as arrays."""
        return [tensor.numpy() for tensor in self(feed)]

    def layers(self, feed: Feed) -> dict[str, LayerValue | str]:
        """The value that leaves each scope."""
        tf = require("tensorflow")
        tensors = leaving_scopes(self.function.graph)
        with converting("the SavedModel cannot be run", "give inputs= that it accepts"):
            pruned = self.function.prune(self.function.inputs, list(tensors.values()))
            values = [value.numpy() for value in pruned(*(tf.constant(feed[name]) for name in self.names))]
        pairs = zip(tensors, values, strict=True)
        return {scope: LayerValue(value, LAST.get(value.ndim, "")) for scope, value in pairs}

    def gradients(self, feed: Feed, weights: np.ndarray, double: bool) -> Feed | None:
        """The gradient of the weighted sum of the first output; there is no float64 form."""
        if double:
            return None
        return taped(lambda values: self.function(*values), {name: feed[name] for name in self.names}, weights)


def leaving_scopes(graph: Any) -> dict[str, Any]:
    """For each scope the last floating-point tensor that is read outside it and that depends on an input."""
    live = dependent(graph)
    found: dict[str, Any] = {}
    for operation in graph.get_operations():
        for tensor in operation.outputs:
            if tensor.name not in live or not tensor.dtype.is_floating:
                continue
            users = [set(scopes_of(user.name)) for user in tensor.consumers()]
            for scope in scopes_of(operation.name):
                if not users or any(scope not in other for other in users):
                    found[scope] = tensor
    return found


def dependent(graph: Any) -> set[str]:
    """The names of the tensors that depend on an input: the rest are weights."""
    live: set[str] = set()
    for operation in graph.get_operations():
        if operation.type == "Placeholder" or any(tensor.name in live for tensor in operation.inputs):
            live.update(tensor.name for tensor in operation.outputs)
    return live
