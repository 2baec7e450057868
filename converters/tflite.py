"""A float .tflite file to ONNX; tensors keep the names that they have in the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from onnxray.errors import ConversionError

from .candidates import Candidate, Feed, LayerValue, Options
from .keras_graph import distinct
from .quiet import converting, require
from .tf_file import tf_candidate

__all__ = ["convert_tflite"]

ADVICE = "convert the Keras model or SavedModel that it was made from"


def convert_tflite(path: Path, options: Options) -> Candidate:
    """Convert a .tflite file with tf2onnx and compare with TensorFlow's interpreter."""
    tf2onnx = require("tf2onnx")
    with converting(f"{path} cannot be loaded", ADVICE):
        interpreter = Interpreter.of(path)
    if interpreter.quantised():
        raise ConversionError(f"{path}: is quantised, and only float models convert; {ADVICE}")
    with converting(f"{path} cannot be converted", ADVICE):
        proto, _ = tf2onnx.convert.from_tflite(str(path), opset=options.opset)
    short = {value.name: shortened(value.name) for value in (*proto.graph.input, *proto.graph.output)}
    return tf_candidate(proto, path, options, interpreter, distinct(short), {})


def shortened(name: str) -> str:
    """The name of an input or output without what the exporter added to it."""
    return name.removeprefix("serving_default_").removesuffix(":0")


@dataclass(frozen=True)
class Interpreter:
    """TensorFlow Lite's own interpreter of a file."""

    interpreter: Any

    @classmethod
    def of(cls, path: Path) -> Interpreter:
        """Open a file."""
        return cls(require("tensorflow").lite.Interpreter(str(path)))

    def quantised(self) -> bool:
        """Whether any tensor has integer values with a scale."""
        details = self.interpreter.get_tensor_details()
        return any(len(d["quantization_parameters"]["scales"]) for d in details)

    def outputs(self, feed: Feed) -> list[np.ndarray]:
        """The outputs, at whatever batch size the feed has."""
        with converting("the .tflite file cannot be run", "give inputs= that it accepts"):
            for detail in self.interpreter.get_input_details():
                self.interpreter.resize_tensor_input(detail["index"], feed[shortened(detail["name"])].shape)
            self.interpreter.allocate_tensors()
            for detail in self.interpreter.get_input_details():
                self.interpreter.set_tensor(detail["index"], feed[shortened(detail["name"])])
            self.interpreter.invoke()
            return [self.interpreter.get_tensor(d["index"]) for d in self.interpreter.get_output_details()]

    def layers(self, feed: Feed) -> dict[str, LayerValue | str]:
        """None: the file has no layers, only tensors."""
        return {}

    def gradients(self, feed: Feed, weights: np.ndarray, double: bool) -> Feed | None:
        """None: the interpreter only runs forwards."""
        return None
