"""The last step of a method, on the sums over all rows: nodes of a graph of its own; a saved file has them, too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import onnx_ir as ir

from ..graph.builder import GraphBuilder
from ..methods.base import Method
from ..runtime import OpenSession, open_session
from .plan import ExplanationGraph
from .plan_cache import Plans
from .run import Sums, by_row

__all__ = ["Finish"]

Step = tuple[OpenSession, dict[str, str]]  # a session, and its outputs by input


@dataclass(frozen=True, eq=False)
class Finish:
    """The last step of a method on what a plan's runs add up to; its sessions, by the totals' shapes, are kept."""

    method: Method
    plan: ExplanationGraph
    steps: Plans[Step] = field(default_factory=lambda: Plans[Step]())

    def __call__(self, sums: Sums) -> Sums:
        """The sums with the attributions in the place of the totals."""
        if not self.plan.points or not self.method.finishes:
            return sums
        shared = [name for name in sums.values if self.plan.row_axis(name) is None]
        if shared and len(sums.settled) > 1:  # its totals are those of one example each
            each = [self._finished(_of(sums, k)) for k in range(len(sums.settled))]
            return replace(sums, values={name: np.concatenate([part[name] for part in each]) for name in each[0]})
        return replace(sums, values=self._finished(sums))

    def _finished(self, sums: Sums) -> dict[str, np.ndarray]:
        totals = {name: _as_input(array, self.plan.row_axis(name)) for name, array in sums.values.items()}
        shapes = {name: self._open_shape(name, array) for name, array in totals.items()}
        key = tuple((name, *shape) for name, shape in shapes.items())
        session, names = self.steps.get(key, lambda: self._opened(shapes))
        found = session.run(totals)
        return {name: by_row(found[output], self.plan.row_axis(name)) for name, output in names.items()}

    def _open_shape(self, name: str, total: np.ndarray) -> list[int | str]:
        """The shape of a total, whatever the number of its examples."""
        return ["rows" if axis == self.plan.row_axis(name) else size for axis, size in enumerate(total.shape)]

    def _opened(self, shapes: Mapping[str, list[int | str]]) -> Step:
        """The step on totals of these shapes in a session, and its outputs by input."""
        opsets = dict(self.plan.model.graph.opset_imports)
        g = GraphBuilder(ir.Graph([], [], nodes=[], opset_imports=opsets, name="finish"), prefix="finish")
        given = {name: g.input(name, ir.DataType.FLOAT, shape) for name, shape in shapes.items()}
        made = self.method.finish(g, given, self.plan.explained)
        names = {name: str(g.output(value, f"attribution_{name}").name) for name, value in made.items()}
        model = ir.Model(g.graph, ir_version=self.plan.model.program.ir_version)
        return open_session(ir.to_proto(model), threads=1), names


def _of(sums: Sums, example: int) -> Sums:
    return replace(sums, values={name: rows[example : example + 1] for name, rows in sums.values.items()})


def _as_input(rows: np.ndarray, axis: int | None) -> np.ndarray:
    """Rows laid out as the input that they belong to; of an input that no axis counts there is one."""
    return rows[0] if axis is None else np.moveaxis(rows, 0, axis)
