"""A Keras model on TensorFlow to ONNX, with the weights as arguments of the traced function.

Baked into the graph they would be copied many times over (VGG16: more than 22 GB). Vectors are baked nevertheless:
tf2onnx moves its transposes only through constants.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx

from .keras_graph import distinct, name_axes, put_weights, rename_tensors
from .keras_names import real_names, scopes_of, temporary_names
from .keras_signature import Signature
from .layer_names import leaving
from .quiet import converting, require
from .tf_operators import HANDLERS

__all__ = ["Scopes", "translate"]

Scopes = dict[str, list[str]]
LONGEST = 128
ADVICE = "check that the model runs on TensorFlow, and write custom layers with keras.ops or TensorFlow operators"


def translate(model: Any, signature: Signature, opset: int, batch: int | None) -> tuple[onnx.ModelProto, Scopes]:
    """Trace a model in inference mode and convert the trace; the model is as before on return."""
    require("tf2onnx")
    unrolled = can_unroll(signature)
    with converting(f"Keras model {model.name!r} cannot be converted", ADVICE):
        with temporary_names(model) as table, unrolling(model, unrolled):
            proto, weights = traced(model, signature, opset, baked_layers(model, unrolled))
        scopes = leaving(proto, lambda node: scopes_of(node, table))
        origins = put_weights(proto, weights)
        paths = weight_names(model)
        folded = {name: paths[origin] for name, origin in origins.items() if origin in paths}
        fixed = public_names(model, signature, proto) | folded | paths
        names = distinct(fixed | {old: new for old, new in real_names(proto, table).items() if old not in fixed})
        rename_tensors(proto.graph, names)
        name_axes([*proto.graph.input, *proto.graph.output], batch)
    return proto, {layer: [names.get(name, name) for name in tensors] for layer, tensors in scopes.items()}


def traced(model: Any, signature: Signature, opset: int, baked: set[int]) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The graph of one call, and the values of those of its inputs that stand for weights."""
    tf, tf2onnx, variables = require("tensorflow"), require("tf2onnx"), variables_of(model)
    large = [i for i, v in enumerate(variables) if len(v.shape) >= 2 and id(v) not in baked]
    call = stateless(model, signature, large)
    wanted = [tf.TensorSpec(spec.shape, spec.dtype, name=f"x{i:05d}") for i, spec in enumerate(signature.specs)]
    wanted += [tf.TensorSpec(variables[i].shape, variables[i].dtype, name=f"w{i:05d}") for i in large]
    proto, _ = tf2onnx.convert.from_function(call, input_signature=wanted, opset=opset, custom_op_handlers=HANDLERS)
    captured = call.get_concrete_function(*wanted).graph.captures
    weights = {f"w{i:05d}": view(variables[i]) for i in large}
    return proto, weights | {inner.name: outer.numpy() for outer, inner in captured}


def stateless(model: Any, signature: Signature, large: list[int]) -> Any:
    """A function of the inputs and, behind them, of the large weights; the others are constants of it."""
    tf, keras, variables = require("tensorflow"), require("keras"), variables_of(model)
    mode = {"training": False} if "training" in inspect.signature(model.call).parameters else {}
    count, split = len(signature.specs), len(model.trainable_variables)
    small = {i: v.numpy() for i, v in enumerate(variables) if i not in set(large)}

    @tf.function(autograph=False)
    def call(*tensors: Any) -> dict[str, Any]:
        given = dict(zip(large, tensors[count:], strict=True))
        weights = [given[i] if i in given else tf.constant(small[i]) for i in range(len(variables))]
        args, kwargs = signature.pack(tensors[:count])
        result, _ = model.stateless_call(weights[:split], weights[split:], *args, **kwargs, **mode)
        return {f"o{i:05d}": tf.identity(tensor) for i, tensor in enumerate(keras.tree.flatten(result))}

    return call


def variables_of(model: Any) -> list[Any]:
    """The weights of a model in the order in which a stateless call takes them."""
    return [*model.trainable_variables, *model.non_trainable_variables]


def view(variable: Any) -> np.ndarray:
    """The value of a variable in TensorFlow's own memory: a copy of all of them would double the model."""
    return np.asarray(require("tensorflow").convert_to_tensor(variable.value))


def public_names(model: Any, signature: Signature, proto: onnx.ModelProto) -> dict[str, str]:
    """The names of inputs and outputs: those of the Keras model, numbered where it has none."""
    inputs = {f"x{i:05d}": str(spec.name) for i, spec in enumerate(signature.specs)}
    count = len(proto.graph.output)
    sequential = isinstance(model, require("keras").Sequential)
    outputs = [model.layers[-1].name] if sequential else list(getattr(model, "output_names", None) or [])
    if len(outputs) != count:
        outputs = [f"output_{i}" if i else "output" for i in range(count)]
    return inputs | {f"o{i:05d}": name for i, name in enumerate(outputs)}


def weight_names(model: Any) -> dict[str, str]:
    """The Keras paths of the weights, such as `block1_conv1/kernel`."""
    return {f"w{i:05d}": variable.path for i, variable in enumerate(variables_of(model))}


def can_unroll(signature: Signature) -> bool:
    """Whether every time axis is known and short enough to write the steps out."""
    return all(n is not None and n <= LONGEST for spec in signature.specs for n in spec.shape[1:2])


def recurrent(model: Any) -> list[Any]:
    """The recurrent layers of a model."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, require("keras").layers.RNN)]


@contextmanager
def unrolling(model: Any, wanted: bool) -> Iterator[None]:
    """Write the steps of recurrent layers out meanwhile: a Loop could not be differentiated."""
    kept = [(layer, layer.unroll) for layer in recurrent(model)]
    try:
        for layer, unroll in kept:
            layer.unroll = unroll or wanted
        yield
    finally:
        for layer, unroll in kept:
            layer.unroll = unroll


def baked_layers(model: Any, unrolled: bool) -> set[int]:
    """Weights that must be constants: those of recurrent layers not unrolled, or no LSTM operator can be made."""
    return set() if unrolled else {id(v) for layer in recurrent(model) for v in layer.variables}
