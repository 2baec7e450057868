"""The explanation of a model as a graph: model inputs and target in; model outputs, score and attribution out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, TopologicalSortPass

from ..autodiff.backward import Activation, Builder, backward
from ..autodiff.float32_shadow import Float32Shadow, add_float32_shadow
from ..errors import InputError
from ..graph.builder import GraphBuilder, Lowering
from ..graph.model import Model
from ..methods.base import EmitContext, Explained, Method
from ..passes.cast_to_float32 import HALVES
from ..passes.fix_shapes import fix_shapes
from .axes import explained_inputs, score_axes
from .heads import logits
from .memory import bytes_held, bytes_per_row
from .score import flat_scores, row_scores, select_scores, weigh_scores
from .score_axes import ScoreAxes
from .shadow_gap import rounding_bound, shadow_score_tensor, write_gap

__all__ = ["ExplanationGraph", "explanation_graph"]


@dataclass(frozen=True, eq=False)
class ExplanationGraph:
    """A graph that explains rows: examples, each at one point.

    It takes the model's inputs, ``target`` (int64 (N,): the place of a score among all of an example, -1: the top class
    where scores are those of classes; or a seed, weights of the scores) and, for methods of many points, ``reference``
    and the ``points``; it gives the model's outputs, ``score``, ``chosen`` (the target's index), ``examples`` (their
    number) and each row's contributions. All are names, as the model may have taken the obvious ones.
    Of a float32 shadow it gives the ``gap`` of each row's scores, too, of which rounding explains ``bound``.
    """

    model: Model
    explained: Mapping[str, Explained]
    target: str
    reference: str
    score: str
    chosen: str
    examples: str
    contributions: Mapping[str, str]
    points: Mapping[str, str]
    outputs: tuple[str, ...]
    scores: ScoreAxes
    activations: tuple[Activation, ...]
    cam: bool = False
    gap: str | None = None
    bound: float = 0.0

    @cached_property
    def row_bytes(self) -> int:
        """The most memory that a run computes for one row, in bytes."""
        return bytes_per_row(self.model)

    @cached_property
    def held_bytes(self) -> int:
        """The most memory that a session holds in addition to the weights, in bytes."""
        return bytes_held(self.model)

    def row_axis(self, name: str) -> int | None:
        """The axis of an input's contributions that counts rows."""
        return 0 if self.cam else self.explained[name].batch

    def rows_within(self, memory: int) -> int:
        """Rows per run in so many bytes; 1 if an explained input has no batch axis."""
        if None in (about.batch for about in self.explained.values()):
            return 1
        return max(1, (memory - self.held_bytes) // max(1, self.row_bytes))


def explanation_graph(
    model: Model,
    method: Method,
    *,
    score: str = "logit",
    lowering: Lowering = "portable",
    seeded: bool = False,
    shapes: Mapping[str, Sequence[int | str | None]] | None = None,
    builder: Builder = backward,
    scores: ScoreAxes | None = None,
) -> ExplanationGraph:
    """Emits the graph of a method round a model; ``shapes`` fix open dimensions, ``scores`` the axis of examples."""
    scores = _checked(scores or score_axes(model, score), method)
    program = _with_shapes(model, shapes)
    y_name = str(row_scores(program, score).name)
    explained = explained_inputs(program, scores.whole, y_name)
    tensors = {name: about.tensor or name for name, about in explained.items()}
    bound = rounding_bound(program.value(y_name))
    shadow = add_float32_shadow(program, y_name, list(tensors.values()), getattr(method, "layer", None))
    inputs = {name: program.value(tensor) for name, tensor in tensors.items()}
    outputs = tuple(str(value.name) for value in program.outputs)
    g = GraphBuilder(program.graph, lowering, "explain")
    points = _point_inputs(g, method, explained)
    original, perturbed = _perturb(g, method, inputs, explained, points, shadow)
    y, y32 = (logits(g, v) if score == "logit" else v for v in (program.value(y_name), shadow(program.value(y_name))))
    target, told, differentiable = _told(g, (y, y32, shadow_score_tensor(y, shadow)), scores, seeded)
    reference = g.input("reference", ir.DataType.FLOAT, ["rows"]) if points else differentiable
    tensors_of_run = (original, perturbed, told["score"], differentiable, points, reference)
    parts, activations = method.emit(EmitContext(g, program, *tensors_of_run, explained, builder, shadow))
    g.prefix = "explain"
    names = {name: str(g.output(of, name).name) for name, of in told.items()}
    contributions = _name_outputs(g, parts, list(inputs))
    _finish(g, program, shadow)
    return ExplanationGraph(
        program,
        explained,
        target=str(target.name),
        reference=str(reference.name),
        score=names["score"],
        chosen=names["chosen"],
        examples=names["examples"],
        contributions=contributions,
        points={name: str(point.name) for name, point in points.items()},
        outputs=outputs,
        scores=scores,
        activations=activations,
        cam=method.has_layer,
        gap=names.get("gap"),
        bound=bound,
    )


def _with_shapes(model: Model, shapes: Mapping[str, Sequence[int | str | None]] | None) -> Model:
    """A copy of the model, of inputs in these shapes."""
    program = model.copy()
    if shapes:
        fix_shapes(program, shapes)
    return program


def _checked(scores: ScoreAxes, method: Method) -> ScoreAxes:
    if scores.whole and method.has_layer:
        raise InputError(
            f"{method.name} needs scores with an axis that counts examples, which {scores.tensor!r} has not"
        )
    return scores


def _finish(g: GraphBuilder, program: Model, shadow: Float32Shadow) -> None:
    shadow.reuse_quantized(g)
    TopologicalSortPass()(program.program)
    RemoveUnusedNodesPass()(program.program)


def _told(
    g: GraphBuilder, heads: tuple[ir.Value, ir.Value, ir.Value], scores: ScoreAxes, seeded: bool
) -> tuple[ir.Value, dict[str, ir.Value], ir.Value]:
    """The target, the outputs that describe the scores, and the differentiable score.

    ``heads``: the scores of the model, those of its shadow graph, and the latter before rounding, which give the gap.
    """
    y, y32, unrounded = heads
    target, flat = _target_input(g, scores, seeded), flat_scores(g, y, scores)
    value, chosen = _score(g, flat, target, scores)
    told = {"score": value, "chosen": chosen, "examples": g.Shape(flat, start=0, end=1)}
    if y32 is y:
        return target, told, value
    index, exact = target if seeded else chosen, flat_scores(g, unrounded, scores)
    differentiable, _ = _score(g, flat_scores(g, y32, scores), index, scores)
    told["gap"] = write_gap(g, (flat, exact), (value, _score(g, exact, index, scores)[0]), index, scores.count == 1)
    return target, told, differentiable


def _point_inputs(g: GraphBuilder, method: Method, explained: Mapping[str, Explained]) -> dict[str, ir.Value]:
    arrays = method.points(explained)
    return {
        name: g.input(f"point/{name}", ir.DataType.FLOAT, ["rows", *array.shape[1:]]) for name, array in arrays.items()
    }


def _perturb(
    g: GraphBuilder,
    method: Method,
    inputs: Mapping[str, ir.Value],
    explained: Mapping[str, Explained],
    points: Mapping[str, ir.Value],
    shadow: Float32Shadow,
) -> tuple[dict[str, ir.Value], dict[str, ir.Value]]:
    """The original inputs (half precision as float32) and the perturbed inputs of the model or its shadow graph."""
    original = {name: shadow(x) for name, x in inputs.items()}
    if not points:
        return original, original
    perturbed = dict(original)
    for name, x in inputs.items():
        uses = list(x.uses())
        original[name] = g.Cast(x, to=ir.DataType.FLOAT) if x.dtype in HALVES else x
        moved = method.perturb(g, original[name], explained[name], points)
        moved = moved if moved.dtype == x.dtype else g.shaped_like(g.Cast(moved, to=x.dtype), x)
        for node, index in uses:
            node.replace_input_with(index, moved)
        perturbed[name] = shadow.substitute_input(g, x, moved)
    return original, perturbed


def _target_input(g: GraphBuilder, scores: ScoreAxes, seeded: bool) -> ir.Value:
    """The input that selects the score: one index per row, or one weight per score of a row."""
    if seeded:
        return g.input("seed", ir.DataType.FLOAT, ["rows", *scores.shape])
    return g.input("target", ir.DataType.INT64, ["rows"])


def _score(g: GraphBuilder, flat: ir.Value, target: ir.Value, scores: ScoreAxes) -> tuple[ir.Value, ir.Value]:
    """Each row's score and the index of its target."""
    if target.dtype == ir.DataType.INT64:
        return select_scores(g, flat, target, scores.single)
    return weigh_scores(g, flat, target), g.ArgMax(flat, axis=1, keepdims=0)


def _name_outputs(g: GraphBuilder, parts: Sequence[ir.Value], names: Sequence[str]) -> dict[str, str]:
    """The contributions as outputs: one is called attribution, several carry the names of their inputs."""
    alone = len(parts) == 1
    return {
        name: str(g.output(_float32(g, part), "attribution" if alone else f"attribution_{name}").name)
        for name, part in zip(names, parts, strict=False)
    }


def _float32(g: GraphBuilder, value: ir.Value) -> ir.Value:
    return value if value.dtype == ir.DataType.FLOAT else g.Cast(value, to=ir.DataType.FLOAT)
