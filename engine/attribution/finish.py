"""The last step of a method, on the sums over all rows: nodes of a graph of its own; a saved file has them, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..methods.base import Method
from ..methods.explained import Explained
from ..runtime import open_session
from .plan import ExplanationGraph
from .run import Sums, by_row

__all__ = ["finished"]


def finished(method: Method, plan: ExplanationGraph, sums: Sums) -> Sums:
    """The sums with the attributions in the place of the totals."""
    if not plan.points or not method.finishes:
        return sums
    shared = [name for name in sums.values if plan.row_axis(name) is None]
    if shared and len(sums.settled) > 1:  # its totals are those of one example each
        each = [_of(sums, k) for k in range(len(sums.settled))]
        parts = [_finished(method, plan, one) for one in each]
        return replace(sums, values={name: np.concatenate([part[name] for part in parts]) for name in parts[0]})
    return replace(sums, values=_finished(method, plan, sums))


def _of(sums: Sums, example: int) -> Sums:
    return replace(sums, values={name: rows[example : example + 1] for name, rows in sums.values.items()})


def _finished(method: Method, plan: ExplanationGraph, sums: Sums) -> dict[str, np.ndarray]:
    totals = {name: _as_input(array, plan.row_axis(name)) for name, array in sums.values.items()}
    model, names = _graph(method, totals, plan)
    found = open_session(ir.to_proto(model)).run(totals)
    return {name: by_row(found[output], plan.row_axis(name)) for name, output in names.items()}


def _graph(method: Method, totals: Mapping[str, np.ndarray], plan: ExplanationGraph) -> tuple[ir.Model, dict[str, str]]:
    """The method's last step on totals of these shapes, and the outputs by input."""
    opsets = dict(plan.model.graph.opset_imports)
    g = GraphBuilder(ir.Graph([], [], nodes=[], opset_imports=opsets, name="finish"), prefix="finish")
    given = {name: g.input(name, ir.DataType.FLOAT, array.shape) for name, array in totals.items()}
    explained: Mapping[str, Explained] = plan.explained
    made = method.finish(g, given, explained)
    names = {name: str(g.output(value, f"attribution_{name}").name) for name, value in made.items()}
    return ir.Model(g.graph, ir_version=plan.model.program.ir_version), names


def _as_input(rows: np.ndarray, axis: int | None) -> np.ndarray:
    """Rows laid out as the input that they belong to; of an input that no axis counts there is one."""
    return rows[0] if axis is None else np.moveaxis(rows, 0, axis)
