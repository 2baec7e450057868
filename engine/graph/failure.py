"""Turns an error of onnxruntime into one line, which says whether the inputs or the graph caused it."""

from __future__ import annotations

import re

from ..errors import ExecutionError, InputError, ModelError, OnnxrayError
from .node_names import SHADOW

__all__ = ["load_failure", "run_failure"]

_INSIDE = re.compile(r"while running (\S+) node\. Name:'(.*?)' Status Message: (.*)", re.DOTALL)
_FEED = re.compile(
    r"Invalid rank for input|Got invalid dimensions|Unexpected input data type|Required inputs|Invalid Feed"
)
_BAD_GRAPH = re.compile(r"INVALID_GRAPH|INVALID_PROTOBUF|INVALID_ARGUMENT|NOT_IMPLEMENTED|NO_?_?SUCH_?FILE|: FAIL :")
_PLACE = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : |/onnxruntime_src/[^\n]*?was false\. |/onnxruntime_src/\S+ .*?\) ", re.DOTALL
)


def run_failure(error: Exception) -> OnnxrayError:
    """InputError for inputs that do not fit; for a node that failed, an ExecutionError that names the model's node."""
    text = str(error)
    if found := _INSIDE.search(text):
        op, name, status = found.groups()
        return ExecutionError(f"onnxruntime failed in {_model_node(op, name)}: {_plain(status)}")
    return (InputError if _FEED.search(text) else ExecutionError)(
        f"onnxruntime: {_plain(text) or type(error).__name__}"
    )


def load_failure(error: Exception) -> OnnxrayError:
    """ModelError for a graph that onnxruntime refuses; else, such as out of memory, an ExecutionError."""
    text = str(error)
    kind = ModelError if _BAD_GRAPH.search(text) else ExecutionError
    return kind(f"onnxruntime cannot load the model: {_plain(text) or type(error).__name__}")


def _model_node(op: str, name: str) -> str:
    """The model's node behind one of the gradient, which is named grad/NODE/OPERATOR."""
    first, _, rest = name.partition("/")
    if first == "grad" and "/" in rest:
        node = rest.rpartition("/")[0].removeprefix(SHADOW)
        return f"the gradient of node {node!r} ({op})"
    return f"node {name.removeprefix(SHADOW)!r} ({op})" if name else f"a node without a name ({op})"


def _plain(text: str) -> str:
    """onnxruntime's own words, without its prefix, its sources and its stack."""
    plain = _PLACE.sub("", text.strip())
    return " ".join(plain.splitlines()[0].split()) if plain else ""
