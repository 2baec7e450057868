"""A Keras model to ONNX: converted on TensorFlow, checked on whatever backend it lives on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .candidates import Candidate, Feed, Options
from .input_specs import graph_specs
from .keras_child import translate_elsewhere
from .keras_layers import record
from .keras_signature import Signature, signature
from .keras_trace import translate
from .quiet import converting, require
from .tf_gradients import taped

__all__ = ["convert_model"]

PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "tf2onnx")


def convert_model(model: Any, options: Options, source: str = "Keras model") -> Candidate:
    """Convert a live model; one on JAX or PyTorch goes through a .keras file and a process on TensorFlow."""
    takes = signature(model, options)
    call = Call(model, takes)
    elsewhere = require("keras").backend.backend() != "tensorflow"
    make = translate_elsewhere if elsewhere else translate
    with converting(f"{source} cannot be run", "give inputs= that the model accepts"):
        call.build()
    proto, scopes = make(model, takes, options.opset, options.batch)
    return Candidate(
        model=proto,
        source=source,
        specs=graph_specs(proto, takes.specs),
        packages=PACKAGES,
        outputs=call.outputs,
        layers=call.layers,
        scopes=scopes,
        gradients=call.gradients,
    )


@dataclass(frozen=True)
class Call:
    """A Keras model and the structure of its inputs."""

    model: Any
    takes: Signature

    def __call__(self, values: list[Any]) -> list[Any]:
        """The outputs in inference mode, flat."""
        args, kwargs = self.takes.pack(values)
        return require("keras").tree.flatten(self.model(*args, **kwargs, training=False))

    def build(self) -> None:
        """Call a model that was never called, so that its weights exist."""
        if not self.model.built:
            rows = [np.zeros([n or 16 for n in spec.shape], spec.dtype) for spec in self.takes.specs]
            self(rows)

    def ordered(self, feed: Feed) -> list[np.ndarray]:
        """The arrays of a feed in the order of the specs."""
        return [feed[str(spec.name)] for spec in self.takes.specs]

    def outputs(self, feed: Feed) -> list[np.ndarray]:
        """The outputs as arrays."""
        convert = require("keras").ops.convert_to_numpy
        with converting("the Keras model cannot be run", "give inputs= that it accepts"):
            return [np.asarray(convert(tensor)) for tensor in self(self.ordered(feed))]

    def layers(self, feed: Feed) -> dict[str, Any]:
        """The value of every layer."""
        with converting("the Keras model cannot be run", "give inputs= that it accepts"):
            return record(self.model, lambda: self(self.ordered(feed)), feed)

    def gradients(self, feed: Feed, weights: np.ndarray, double: bool) -> Feed | None:
        """The gradient of the weighted sum of the first output, in float64 on a copy where asked."""
        if require("keras").backend.backend() != "tensorflow":
            return None
        with converting("the Keras model has no float64 form", "leave check_gradients out"):
            call = Call(in_float64(self.model), self.takes) if double else self
        ordered = {str(spec.name): feed[str(spec.name)] for spec in self.takes.specs}
        return taped(call, ordered, weights)


def in_float64(model: Any) -> Any:
    """A copy of a functional or Sequential model that computes in float64."""
    keras = require("keras")

    def double(layer: Any) -> Any:
        return type(layer).from_config({**layer.get_config(), "dtype": "float64"})

    copy = keras.models.clone_model(model, clone_function=double)
    copy.set_weights(model.get_weights())
    return copy
