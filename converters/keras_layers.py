"""The value of every layer of a Keras model, with the names of its axes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from .candidates import LayerValue
from .keras_names import layer_paths
from .layer_names import FIRST, LAST, call_name
from .quiet import require

__all__ = ["record"]


def record(model: Any, run: Callable[[], Any], inputs: Mapping[str, np.ndarray]) -> dict[str, LayerValue | str]:
    """Run the model and keep the value of each layer's each call; the second call of `dense` is `dense:1`.

    Input layers are never called; the feed has their values, under their names.
    """
    keras = require("keras")
    layers = [(layer, path) for layer, path in layer_paths(model) if not isinstance(layer, keras.layers.InputLayer)]
    paths = {id(layer): path for layer, path in layers}
    found: dict[str, LayerValue | str] = {
        name: LayerValue(value, axes(keras, None, value.ndim)) for name, value in inputs.items()
    }

    def keep(layer: Any, output: Any) -> None:
        if (path := paths.get(id(layer))) is not None:
            found[call_name(found, path)] = first_value(keras, layer, output)

    with watching(keras.layers.Layer, keep):
        run()
    for path in paths.values():
        found.setdefault(path, "it is not called in inference")
    return found


@contextmanager
def watching(kind: type, keep: Callable[[Any, Any], None]) -> Iterator[None]:
    """Show every call of a layer to `keep`; Keras has no hooks, so `__call__` of the class is replaced."""
    original: Any = kind.__call__

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        output = original(layer, *args, **kwargs)
        keep(layer, output)
        return output

    try:
        kind.__call__ = call
        yield
    finally:
        kind.__call__ = original


def first_value(keras: Any, layer: Any, output: Any) -> LayerValue | str:
    """The first tensor of a layer's output."""
    tensors = [leaf for leaf in keras.tree.flatten(output) if hasattr(leaf, "shape")]
    if not tensors:
        return "its output holds no tensor"
    value = np.array(keras.ops.convert_to_numpy(tensors[0]))
    return LayerValue(value, axes(keras, layer, value.ndim))


def axes(keras: Any, layer: Any, rank: int) -> str:
    """Channels come last unless the layer, or else the configuration, says otherwise."""
    order = getattr(layer, "data_format", None) or keras.config.image_data_format()
    return (FIRST if order == "channels_first" else LAST).get(rank, "")
