"""Explain what an ONNX model looked at: attributions of any ONNX model, on onnxruntime."""

from .attribution import Attribution
from .errors import (
    BuilderError,
    ConversionError,
    ExecutionError,
    InputError,
    ModelError,
    NoGradientPath,
    OnnxrayError,
    OutputError,
    RuntimeUnavailable,
    UnsupportedOperator,
)
from .explain import Explainer, explain, jacobian
from .gate import Comparison, Evaluation, compare, evaluate
from .gradient import GradientGraph, differentiate
from .gradient_nodes import lower_gradients
from .layer_outputs import activations
from .methods import METHODS
from .model import Model, load
from .preprocess import Preprocess

__all__ = [
    "METHODS",
    "Attribution",
    "BuilderError",
    "Comparison",
    "ConversionError",
    "Evaluation",
    "ExecutionError",
    "Explainer",
    "GradientGraph",
    "InputError",
    "Model",
    "ModelError",
    "NoGradientPath",
    "OnnxrayError",
    "OutputError",
    "Preprocess",
    "RuntimeUnavailable",
    "UnsupportedOperator",
    "activations",
    "compare",
    "differentiate",
    "evaluate",
    "explain",
    "jacobian",
    "load",
    "lower_gradients",
]
