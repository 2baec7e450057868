"""The reverse pass by onnxruntime-training, with the signature of the portable one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx
import onnx_ir as ir

from ..errors import BuilderError, ModelError, UnsupportedOperator
from ..gradient import Activation, Backward
from ..graph import GraphBuilder
from ..overlays import ACTIVATIONS
from ..paths import influenced, nodes_between
from ..rules import Overlay
from .client import Worker, worker
from .graft import Graft, needed_nodes
from .patch import gradient_nodes, patch
from .refusals import refuse_raw
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
    library fails, naming the model.
    """
    ends = set(seeds)
    reached = [x for x in wrt if influenced(g.graph, [x]) & ends]
    if not reached:
        return Backward({}, (), ())
    try:
        request = make_request(g.graph, seeds, reached)
    except ModelError as error:
        raise BuilderError(f"onnxruntime-training cannot take {name}: {error}; use builder='portable'") from error
    built = _build(request, name, by or worker())
    activations = _patch(g, request, built, seeds, reached, overlay)
    if not lowered:
        refuse_raw(request.path)
    return Backward(_graft(g, request, built, seeds, reached, lowered), activations, ())


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


def _patch(
    g: GraphBuilder,
    request: Request,
    built: ir.Model,
    seeds: Mapping[ir.Value, ir.Value],
    wrt: Sequence[ir.Value],
    overlay: Overlay,
) -> tuple[Activation, ...]:
    """Applies the Relu policy to every activation on the way; says what became of each."""
    between = set(nodes_between(g.graph, seeds, influenced(g.graph, wrt)))
    forward = {str(v.name) for node in request.program.graph for v in node.outputs}
    report = []
    for name, node in request.origins.items():
        if node not in between or node.op_type not in ACTIVATIONS:
            continue
        overridden = overlay.overrides(node)
        if overridden and not patch(built.graph, name, overlay.name, forward):
            raise BuilderError(f"no gradient of activation {node.op_type} {name!r} in what onnxruntime-training built")
        report.append(Activation(node.name or str(node.outputs[0].name), node.op_type, overridden))
    return tuple(report)


def _graft(
    g: GraphBuilder,
    request: Request,
    built: ir.Model,
    seeds: Mapping[ir.Value, ir.Value],
    wrt: Sequence[ir.Value],
    lowered: bool,
) -> dict[ir.Value, ir.Value]:
    """The gradient nodes in the caller's graph; the gradient of each value."""
    known = dict(ir.convenience.create_value_mapping(g.graph))
    known |= {copy: known[name] for name, copy in request.wrt.items()}
    known |= _seeded(built.graph, request, seeds)
    forward = {str(node.name): node for node in request.program.graph}
    graft = Graft(g, forward, known, lowered)
    wanted = {x: f"{request.wrt[str(x.name)]}_grad" for x in wrt}
    for node in needed_nodes(built.graph, wanted.values(), known, forward if lowered else {}):
        try:
            graft.add(node)
        except (ValueError, onnx.shape_inference.InferenceError) as error:
            if isinstance(error, BuilderError):
                raise
            raise UnsupportedOperator(f"{node.op_type} (node {node.name!r}) cannot be lowered: {error}") from error
    return {x: g.shaped_like(graft.values[name], x) for x, name in wanted.items()}


def _seeded(graph: ir.Graph, request: Request, seeds: Mapping[ir.Value, ir.Value]) -> dict[str, ir.Value]:
    """The seeds as the gradients that leave the score's own nodes, which thereby fall away."""
    by_name = {str(seed.name): seed for seed in seeds.values()}
    found = {}
    for head, seed in request.heads.items():
        group = gradient_nodes(graph, head)
        read = {x for node in group for x in node.inputs}
        found |= {str(v.name): by_name[seed] for node in group for v in node.outputs if v not in read}
    return found
