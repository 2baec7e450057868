"""Explain what an ONNX model looked at: attributions of any ONNX model, on onnxruntime."""

from . import scores as scores
from .attribution.activations import activations
from .attribution.result import Attribution
from .attribution.text_inputs import EncodedText, TextEncoder
from .autodiff.registry import Overlay
from .data.preprocess import Preprocess
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
from .explainer import DetectedBox, Explainer, detect, explain, jacobian
from .gate import Comparison, Evaluation, compare, evaluate
from .gradient_graph import GradientGraph, TangentGraph, differentiate, hvp, jvp
from .gradient_nodes import lower_gradients
from .graph.model import Model
from .loading.load import load
from .methods import METHODS
from .runs import FinishedRun, RunReport, read_run, run

__all__ = [
    "METHODS",
    "Attribution",
    "BuilderError",
    "Comparison",
    "ConversionError",
    "DetectedBox",
    "EncodedText",
    "Evaluation",
    "ExecutionError",
    "Explainer",
    "FinishedRun",
    "GradientGraph",
    "InputError",
    "Model",
    "ModelError",
    "NoGradientPath",
    "OnnxrayError",
    "OutputError",
    "Overlay",
    "Preprocess",
    "RunReport",
    "RuntimeUnavailable",
    "TangentGraph",
    "TextEncoder",
    "UnsupportedOperator",
    "activations",
    "compare",
    "detect",
    "differentiate",
    "evaluate",
    "explain",
    "hvp",
    "jacobian",
    "jvp",
    "load",
    "lower_gradients",
    "read_run",
    "run",
]
