"""The errors that onnxray raises: one line each, saying what, where and what to do.

OnnxrayError
├── ModelError              the file is no model that onnxray can use, or has no such layer or tensor
│   ├── UnsupportedOperator an operator on the way has neither a rule nor a function body
│   └── NoGradientPath      nothing differentiable connects what is asked for
├── InputError              an input, target or option does not fit the model
├── OutputError             a file cannot be written
├── ExecutionError          onnxruntime failed inside the graph: the message names the model's node
├── RuntimeUnavailable      onnxruntime, or the provider asked for, is not there
├── BuilderError            the onnxruntime-training builder failed, or its process died
└── ConversionError         a source model could not be turned into ONNX
"""

from __future__ import annotations

import re

__all__ = [
    "DIRECTIONS",
    "BuilderError",
    "ConversionError",
    "ExecutionError",
    "InputError",
    "ModelError",
    "NoGradientPath",
    "OnnxrayError",
    "OutputError",
    "RuntimeUnavailable",
    "UnsupportedOperator",
    "printable",
]

DIRECTIONS = "\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069"
_CONTROL = re.compile(f"[\x00-\x1f\x7f-\x9f{DIRECTIONS}]")


class OnnxrayError(Exception):
    """Base of every error that onnxray raises on purpose; what is no printable character in its message is escaped."""

    def __init__(self, *args: object) -> None:
        super().__init__(*(printable(arg) if isinstance(arg, str) else arg for arg in args))


def printable(text: str) -> str:
    r"""The text with control characters, and those that turn the direction of writing, as \n, \x1b, \u202e."""
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


class ModelError(OnnxrayError):
    """The model cannot be read, is invalid, or lacks what is asked of it."""


class UnsupportedOperator(ModelError):
    """An operator between input and score has no differentiation rule."""


class NoGradientPath(ModelError):
    """No differentiable path connects the input to the score."""


class InputError(OnnxrayError, ValueError):
    """An input, a target or an option does not fit the model."""


class OutputError(OnnxrayError):
    """A file cannot be written; the cause is the OSError. What the file held before is still there."""


class ExecutionError(OnnxrayError):
    """onnxruntime failed inside the graph; the message names the model's node, or that whose gradient failed."""


class RuntimeUnavailable(OnnxrayError):
    """No onnxruntime is installed, or it lacks the execution provider asked for."""


class BuilderError(OnnxrayError):
    """The onnxruntime-training builder failed."""


class ConversionError(OnnxrayError):
    """A source model could not be converted to ONNX."""
