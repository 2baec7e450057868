"""An explanation as one file: stripped of what only the engine needs, and with the points in a loop."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from .explanation import Explanation
from .graph import GraphBuilder
from .methods.base import Method

__all__ = ["saved"]


def saved(plan: Explanation, method: Method) -> onnx.ModelProto:
    """The file of an explainer: the model's inputs and ``target`` in; its outputs, score and attributions out."""
    points = method.points(plan.explained)
    program = _loop(plan, points) if points else _plain(plan)
    program.producer_name = "onnxray"
    program.metadata_props["onnxray.method"] = repr(method)
    return ir.to_proto(program)


def _plain(plan: Explanation) -> ir.Model:
    program = plan.model.copy().program
    kept = [*plan.outputs, "score", *plan.contributions.values()]
    outputs = {value.name: value for value in program.graph.outputs}
    program.graph.outputs[:] = [outputs[name] for name in kept]
    RemoveUnusedNodesPass()(program)
    return program


def _loop(plan: Explanation, points: dict[str, np.ndarray]) -> ir.Model:
    """A Loop over the points, whose body is the explanation of one: it carries target, reference and the sums."""
    raise NotImplementedError
