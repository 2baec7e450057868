"""Explain what an ONNX model looked at: attributions of any ONNX model, on onnxruntime."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from .support.late_modules import find_late as _find_late

if TYPE_CHECKING:
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
    from .explainer import DetectedBox, Explainer, detect, explain, explain_recording, jacobian
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
    "explain_recording",
    "hvp",
    "jacobian",
    "jvp",
    "load",
    "lower_gradients",
    "read_run",
    "run",
]

# Where each public name is; it is imported with its first use (PEP 562), as few programs use all of them.
_PLACES = {
    "attribution.activations": ("activations",),
    "attribution.result": ("Attribution",),
    "attribution.text_inputs": ("EncodedText", "TextEncoder"),
    "autodiff.registry": ("Overlay",),
    "data.preprocess": ("Preprocess",),
    "errors": (
        "BuilderError", "ConversionError", "ExecutionError", "InputError", "ModelError", "NoGradientPath",
        "OnnxrayError", "OutputError", "RuntimeUnavailable", "UnsupportedOperator",
    ),
    "explainer": ("DetectedBox", "Explainer", "detect", "explain", "explain_recording", "jacobian"),
    "gate": ("Comparison", "Evaluation", "compare", "evaluate"),
    "gradient_graph": ("GradientGraph", "TangentGraph", "differentiate", "hvp", "jvp"),
    "gradient_nodes": ("lower_gradients",),
    "graph.model": ("Model",),
    "loading.load": ("load",),
    "methods": ("METHODS",),
    "runs": ("FinishedRun", "RunReport", "read_run", "run"),
}  # fmt: skip
_find_late()
_PLACE_OF = {name: place for place, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _PLACE_OF:
        found = globals()[name] = getattr(import_module(f".{_PLACE_OF[name]}", __name__), name)
        return found
    if (
        name.isidentifier() and not name.startswith("_") and find_spec(f".{name}", __name__)
    ):  # a module, such as ``onnxray.scores``
        return import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
