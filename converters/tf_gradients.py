"""Input gradients as TensorFlow has them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .candidates import Feed
from .quiet import converting, require

__all__ = ["taped"]


def taped(call: Callable[[list[Any]], list[Any]], feed: Feed, weights: np.ndarray) -> Feed:
    """The gradient of the weighted sum of the first output with respect to each float input, 0 where none arrives."""
    tf = require("tensorflow")
    with converting("TensorFlow cannot differentiate the model", "leave check_gradients out"):
        values = {name: tf.constant(value) for name, value in feed.items()}
        wanted = {name: value for name, value in values.items() if value.dtype.is_floating}
        with tf.GradientTape() as tape:
            tape.watch(list(wanted.values()))
            first = call(list(values.values()))[0]
            total = tf.reduce_sum(first * tf.cast(weights, first.dtype))
        found = tape.gradient(total, wanted, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return {name: value.numpy() for name, value in found.items()}
