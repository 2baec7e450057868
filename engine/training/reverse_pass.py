"""The reverse pass by onnxruntime-training, with the signature of the portable one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from ..autodiff.backward import Activation, Backward
from ..autodiff.paths import depends_on, path_nodes
from ..autodiff.registry import Overlay
from ..autodiff.relu_policies import ACTIVATIONS
from ..errors import BuilderError, ModelError, UnsupportedOperator
from ..graph.builder import GraphBuilder
from .client import Worker, worker
from .graft import Graft, needed_nodes
from .patch import gradient_nodes, patch, strict_bounds
from .refusals import refuse_overlay, refuse_raw
from .request import SCORE, Request, make_request

__all__ = ["training_backward"]


def training_backward(
    g: GraphBuilder,
    seeds: Mapping[ir.Value, ir.Value],
    wrt: Iterable[ir.Value],
    overlay: Overlay,
    *,
    name: str = "the model",
    lowered: bool = True,
    by: Worker | None = None,
) -> Backward:
    """Appends the reverse pass to the graph: from seeds on some values to the gradients of others.

    The library builds it in a process of its own, the activations that the overlay overrides are patched, and what
    comes out is lowered to standard operators, or kept as it is for ``TrainingSession``. Raises BuilderError where the
    library fails, naming the model, and before it is asked for an overlay that cannot be patched in.
    """
    ends = set(seeds)
    reached = [x for x in wrt if depends_on(g.graph, [x]) & ends]
    if not reached:
        return Backward({}, (), ())
    refuse_overlay(overlay, path_nodes(g.graph, seeds, depends_on(g.graph, reached)))
    try:
        request = make_request(g.graph, seeds, reached)
    except ModelError as error:
        raise BuilderError(f"onnxruntime-training cannot take {name}: {error}; use builder='portable'") from error
    reverse = _Reverse(g, request, _build(request, name, by or worker()), seeds, reached)
    strict_bounds(reverse.built.graph, [str(n.name) for n in request.program.graph if n.op_type == "Clip"])
    activations = reverse.patched(overlay)
    if not lowered:
        refuse_raw(request.path)
    return Backward(reverse.grafted(lowered), activations, ())


def _build(request: Request, name: str, by: Worker) -> ir.Model:
    """The library's gradient graph; BuilderError where it lacks a gradient that was asked for."""
    wrt = sorted(request.wrt.values())
    answer = by.ask("build", request.bytes, SCORE, wrt, about=f"while building the gradient of {name}")
    built = ir.from_proto(onnx.ModelProto.FromString(answer))
    made = {output.name for output in built.graph.outputs}
    for x, copy in request.wrt.items():
        if f"{copy}_grad" not in made:
            raise BuilderError(f"onnxruntime-training finds no way from {x!r} to the score of {name}")
    return built


@dataclass(frozen=True, eq=False)
class _Reverse:
    """The library's gradient graph on its way into the caller's: what was asked for, and what came back."""

    g: GraphBuilder
    request: Request
    built: ir.Model
    seeds: Mapping[ir.Value, ir.Value]
    wrt: Sequence[ir.Value]

    def patched(self, overlay: Overlay) -> tuple[Activation, ...]:
        """Applies the Relu policy to every activation on the way; says what became of each."""
        between = set(path_nodes(self.g.graph, self.seeds, depends_on(self.g.graph, self.wrt)))
        forward = {str(v.name) for node in self.request.program.graph for v in node.outputs}
        report = []
        for name, node in self.request.origins.items():
            if node not in between or node.op_type not in ACTIVATIONS:
                continue
            overridden = overlay.overrides(node)
            if overridden and not patch(self.built.graph, name, overlay.name, forward):
                raise BuilderError(
                    f"no gradient of activation {node.op_type} {name!r} in what onnxruntime-training built"
                )
            report.append(Activation(node.name or str(node.outputs[0].name), node.op_type, overridden))
        return tuple(report)

    def grafted(self, lowered: bool) -> dict[ir.Value, ir.Value]:
        """The gradient nodes in the caller's graph; the gradient of each value."""
        known = dict(ir.convenience.create_value_mapping(self.g.graph))
        known |= {copy: known[name] for name, copy in self.request.wrt.items()}
        known |= self._seeded()
        forward = {str(node.name): node for node in self.request.program.graph}
        graft = Graft(self.g, forward, known, lowered)
        wanted = {x: f"{self.request.wrt[str(x.name)]}_grad" for x in self.wrt}
        for node in needed_nodes(self.built.graph, wanted.values(), known, forward if lowered else {}):
            try:
                graft.add(node)
            except (ValueError, onnx.shape_inference.InferenceError) as error:
                if isinstance(error, BuilderError):
                    raise
                raise UnsupportedOperator(f"{node.op_type} (node {node.name!r}) cannot be lowered: {error}") from error
        return {x: self.g.shaped_like(graft.values[name], x) for x, name in wanted.items()}

    def _seeded(self) -> dict[str, ir.Value]:
        """The seeds as the gradients that leave the score's own nodes, which thereby fall away."""
        by_name = {str(seed.name): seed for seed in self.seeds.values()}
        found = {}
        for head, seed in self.request.heads.items():
            group = gradient_nodes(self.built.graph, head)
            read = {x for node in group for x in node.inputs}
            found |= {str(v.name): by_name[seed] for node in group for v in node.outputs if v not in read}
        return found
