"""The recipes of the Keras world, in TensorFlow alone: gradients of logits, guided Relu, Grad-CAM, the Jacobian."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def run(function: Callable[..., Any], *arrays: np.ndarray) -> np.ndarray:
    """A function as a TensorFlow graph, which leaves out the gradients of weights that nobody asked for."""
    return np.asarray(tf.function(function, autograph=False)(*map(tf.constant, arrays)))


@contextmanager
def activation(layers: list[Any], function: Any) -> Iterator[None]:
    """Another activation for some layers, put back afterwards."""
    before = [layer.activation for layer in layers]
    for layer in layers:
        layer.activation = function
    try:
        yield
    finally:
        for layer, old in zip(layers, before, strict=True):
            layer.activation = old


def selected(scores: Any, classes: Any) -> Any:
    """The sum of one score per example, whose gradients do not mix."""
    return tf.reduce_sum(tf.gather(scores, classes, axis=1, batch_dims=1))


def gradient(net: Any, x: np.ndarray, classes: np.ndarray, *, logits: bool = True) -> np.ndarray:
    """The gradient of one class's score per example; of the logits, or of the outputs as they are."""

    def by_tape(rows: Any, wanted: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(rows)
            score = selected(keras.tree.flatten(net(rows, training=False))[0], wanted)
        return tape.gradient(score, rows)

    with activation([net.layers[-1]] if logits else [], keras.activations.linear):
        return run(by_tape, x, classes)


@tf.custom_gradient
def guided_relu(x: Any) -> Any:
    """Relu whose gradient passes where input and gradient are positive."""
    return tf.nn.relu(x), lambda dy: tf.where((x > 0) & (dy > 0), dy, tf.zeros_like(dy))


def guided(net: Any, x: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Guided saliency, with the activations of all layers replaced."""
    layers = [layer for layer in net.layers if getattr(layer, "activation", None) is keras.activations.relu]
    assert layers
    with activation(layers, guided_relu):
        return gradient(net, x, classes)


def grad_cam(net: Any, x: np.ndarray, classes: np.ndarray, layer: str) -> np.ndarray:
    """The layer's maps weighted by their mean gradients, summed, rectified."""
    both = keras.Model(net.inputs, [net.get_layer(layer).output, net.outputs[0]])

    def by_tape(rows: Any, wanted: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(rows)
            maps, scores = both(rows, training=False)
            score = selected(scores, wanted)
        weights = tf.reduce_mean(tape.gradient(score, maps), axis=(1, 2), keepdims=True)
        return tf.nn.relu(tf.reduce_sum(weights * maps, -1))

    with activation([net.layers[-1]], keras.activations.linear):
        return run(by_tape, x, classes)


def in_double(net: Any, build: Callable[[], Any]) -> Any:
    """The same net and weights in float64."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    try:
        exact = build()
    finally:
        keras.config.set_dtype_policy(policy)
    exact.set_weights(net.get_weights())
    return exact


def copy(net: Any) -> Any:
    """The same layers, under the policy of the moment."""

    def plain(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: plain(value) for key, value in part.items() if key != "dtype"}
        return [plain(one) for one in part] if isinstance(part, list) else part

    return type(net).from_config(plain(net.get_config()))


def jacobian(net: Any, x: np.ndarray) -> np.ndarray:
    """The derivatives of all outputs, (N, C, *input)."""

    def by_tape(rows: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(rows)
            scores = net(rows, training=False)
        return tape.batch_jacobian(scores, rows)

    return run(by_tape, x)
