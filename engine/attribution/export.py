"""An explanation as one file: stripped of what only the engine needs, and with its points in a Loop."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, TopologicalSortPass

from ..autodiff.overlays import EXACT
from ..autodiff.registry import Overlay
from ..graph.builder import GraphBuilder
from ..methods.base import Method
from ..passes.early_masks import mask_early
from ..passes.separate_weights import separate_weights
from ..support.versions import installed_versions
from .plan import ExplanationGraph

__all__ = ["exported"]


def exported(
    plan: ExplanationGraph, method: Method, rules: Overlay, takes: str, about: Mapping[str, str] | None = None
) -> ir.Model:
    """The file of an explainer: the model's inputs and ``target`` in; its outputs, score and attributions out.

    ``takes`` says what the target holds, as the description of that input in the file. Metadata name the method, the
    input that takes the target, the layer if there is one, onnxray's version, and what ``about`` has.
    """
    program = _looped(plan, method) if plan.points else _plain(plan)
    separate_weights(program)
    mask_early(program)
    next(value for value in program.graph.inputs if value.name == plan.target).doc_string = takes
    program.producer_name = "onnxray"
    told = {"method": repr(method), "target": plan.target, "version": installed_versions(["onnxray"])["onnxray"]}
    told |= {**(about or {}), **({} if plan.layer is None else {"layer": plan.layer})}
    program.metadata_props.update({f"onnxray.{name}": value for name, value in told.items()})
    if rules is not EXACT:
        program.metadata_props["onnxray.rules"] = rules.name
    if not plan.fed:
        program.metadata_props["onnxray.features"] = json.dumps(list(plan.explained))
    return program


def _plain(plan: ExplanationGraph) -> ir.Model:
    program = plan.model.copy().program
    outputs = {value.name: value for value in program.graph.outputs}
    kept = (*plan.outputs, plan.score, *plan.totals.values(), plan.delta)
    program.graph.outputs[:] = [outputs[name] for name in kept if name is not None]
    RemoveUnusedNodesPass()(program)
    return program


def _looped(plan: ExplanationGraph, method: Method) -> ir.Model:
    """A Loop whose body is the explanation of one point; it carries target, reference and the sums, then finishes."""
    program = plan.model.copy().program
    body = program.graph
    _rename(body)
    inner = {str(value.name): value for value in body.inputs}
    names = [name for name in inner if name not in (*plan.points, plan.target, plan.reference)]
    outer = [_like(inner[name], name) for name in [*names, plan.target]]
    main = ir.Graph(outer, [], nodes=[], opset_imports=dict(body.opset_imports), name="explainer")
    g = GraphBuilder(main, prefix="explainer")
    _capture(body, inner, dict(zip(names, outer, strict=False)))
    zeros = g.Expand(g.constant(0, ir.DataType.FLOAT), g.Shape(outer[-1], start=0, end=1))
    given = {x.name: x for x in outer}
    passed = [(k, given[name]) for k, name in enumerate(plan.outputs) if name in given]
    plan = replace(plan, outputs=tuple(name for name in plan.outputs if name not in given))
    alike = {name: given.get(name) if _like_input(plan, name) else None for name in plan.totals}
    sums = [_zeros(g, alike[name], plan, output) for name, output in plan.totals.items()]
    carried = [outer[-1], zeros, *sums, *[zeros] * (plan.delta is not None)]
    _make_body(plan, body, inner, {name: g.constant(array) for name, array in plan.points.items()})
    trips = g.constant(len(next(iter(plan.points.values()))), ir.DataType.INT64)
    loop = ir.node("Loop", [trips, None, *carried], {"body": body}, num_outputs=len(body.outputs) - 1, name="points")
    _name_results(g, plan, method, loop, body)
    for k, value in passed:  # outputs that are inputs
        main.outputs.insert(k, value)
    result = ir.Model(main, ir_version=program.ir_version, metadata_props=dict(program.metadata_props))
    TopologicalSortPass()(result)
    return result


def _like_input(plan: ExplanationGraph, name: str) -> bool:
    """Whether a total has the shape of the input of its name; that of groups of elements has not."""
    value = plan.model.value(plan.totals[name])
    return any(x.name == name and x.shape == value.shape for x in plan.model.inputs)


def _zeros(g: GraphBuilder, x: ir.Value | None, plan: ExplanationGraph, output: str) -> ir.Value:
    """Where a sum starts: zeros in the shape of an input; in the rank of the total where no input has its shape."""
    nothing = g.constant(0, ir.DataType.FLOAT)
    return g.Expand(nothing, g.shape(x) if x is not None else [1] * g.rank(plan.model.value(output)))


def _rename(body: ir.Graph) -> None:
    """Names that a Loop's body computes may not be those around it; weights and inputs keep theirs."""
    for value in itertools.chain.from_iterable(node.outputs for node in body):
        value.name = f"body/{value.name}"


def _like(value: ir.Value, name: str) -> ir.Value:
    return ir.Value(name=name, shape=value.shape, type=value.type)


def _capture(body: ir.Graph, inner: dict[str, ir.Value], outer: dict[str, ir.Value]) -> None:
    """The body reads the model's inputs from the graph around it."""
    body.outputs[:] = [value for value in body.outputs if not value.is_graph_input()]
    for name, value in outer.items():
        inner[name].replace_all_uses_with(value)
        body.inputs.remove(inner[name])


def _make_body(plan: ExplanationGraph, body: ir.Graph, inner: dict[str, ir.Value], points: dict[str, ir.Value]) -> None:
    """Gives the graph of one point a Loop's inputs and outputs."""
    made = {str(value.name).removeprefix("body/"): value for value in body.outputs}
    g = GraphBuilder(body, prefix="body/loop")
    del body.inputs[:], body.outputs[:]
    step, going = g.input("body/step", ir.DataType.INT64, []), g.input("body/going", ir.DataType.BOOL, [])
    for name, array in points.items():
        chosen = g.Gather(array, step, axis=0)
        rows = g.Concat(g.Shape(inner[plan.target], start=0, end=1), g.Shape(chosen), axis=0)
        inner[name].replace_all_uses_with(g.Expand(chosen, rows))
    for name in (plan.target, plan.reference):
        inner[name].name = f"body/{name}"
        body.inputs.append(inner[name])
    parts = [made[name] for name in plan.totals.values()]
    alike = [_like_input(plan, name) for name in plan.totals]
    kept = [part.shape if like else [None] * g.rank(part) for like, part in zip(alike, parts, strict=True)]
    if plan.delta is not None:
        parts, kept = [*parts, made[plan.delta]], [*kept, [None]]
    sums = [g.input("body/sum", ir.DataType.FLOAT, shape) for shape in kept]
    totals = [g.Add(total, part) for total, part in zip(sums, parts, strict=True)]
    reference = g.Where(g.Equal(step, 0), made[plan.score], inner[plan.reference])
    results = [made[name] for name in plan.outputs]
    body.outputs.extend([g.Identity(going), made[plan.settled], reference, *totals, *results])


def _name_results(g: GraphBuilder, plan: ExplanationGraph, method: Method, loop: ir.Node, body: ir.Graph) -> None:
    """Point 0 is the input itself, so the model's outputs are the first that the Loop stacked."""
    g.graph.append(loop)
    for output, inside in zip(loop.outputs, list(body.outputs)[1:], strict=True):
        output.name, output.type, output.shape = f"looped/{inside.name}", inside.type, inside.shape
    _, score, *rest = loop.outputs
    count = len(plan.totals) + (plan.delta is not None)
    sums, stacks = rest[:count], rest[count:]
    known = {value.name: value for value in plan.model.outputs}
    for name, stack in zip(plan.outputs, stacks, strict=True):
        stack.shape = None
        first = g.Gather(stack, g.constant(0, ir.DataType.INT64), axis=0)
        g.shaped_like(g.output(first, name), known[name])
    g.output(score, plan.score)
    totals = dict(zip(plan.totals, sums, strict=False))
    for name, value in method.finish(g, totals, plan.explained).items():
        g.output(value, plan.totals[name])
    if plan.delta is not None:
        g.output(sums[-1], plan.delta)
