"""The explanation of a model as a graph: model inputs and target in; model outputs, score and attribution out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, TopologicalSortPass

from ..autodiff.backward import Activation, Builder, backward
from ..autodiff.clips_in_blocks import clip_in_blocks
from ..autodiff.float32_shadow import Float32Shadow, add_float32_shadow
from ..autodiff.overlays import EXACT
from ..autodiff.registry import Overlay
from ..autodiff.scaled_gelu import scale_in_products
from ..errors import InputError
from ..graph.blocked_layout import divides_in_blocks
from ..graph.builder import GraphBuilder, Lowering
from ..graph.model import Model
from ..graph.traversal import ancestors
from ..graph.weights import weight_bytes
from ..methods.base import EmitContext, Method
from ..methods.explained import Explained
from ..methods.sampler_products import perturb, points_of
from ..methods.samplers import Sampler
from ..passes.cast_to_float32 import HALVES
from ..passes.early_slices import slice_early
from ..passes.fix_shapes import fix_shapes
from .axes import score_axes, with_settled_sizes
from .features import Features, Inputs
from .heads import logits
from .memory import DEFAULT, bytes_held, bytes_per_row, weights_in_place
from .score import flat_scores, row_scores
from .score_axes import ScoreAxes
from .scores import Class, Score
from .shadow_gap import rounding_bound, shadow_score_tensor, write_gap
from .totals import about_total, gap_of_completeness, name_totals, totals_of

__all__ = ["ExplanationGraph", "explanation_graph"]


@dataclass(frozen=True, eq=False)
class ExplanationGraph:
    """A graph that explains rows: examples, each at one point.

    The fields are names of the graph's inputs and outputs, because the model may have taken the obvious names. Inputs
    are the model's, ``target``, which selects the score (see ``Score``), and, for methods of many points, ``reference``
    (the score at point 0) and ``points``, with the numbers of all points by name. Outputs are the model's, ``score``,
    ``settled`` (the target with what the data decide, such as the top class, filled in), ``examples`` (their number)
    and the ``totals`` of each row: attributions by input, or what ``Method.finish`` makes these of; and ``delta`` of
    methods that are complete.

    If the graph has a float32 shadow, ``gap`` is the output with the difference of each row's scores from the model's,
    and ``bound`` the largest difference that rounding explains. ``layer`` is the name of the layer that the method
    looks at, if it does; ``layer_sized``: whether the totals are maps of its size. ``fed``: whether the tensors that
    get the credit are those that the user feeds, not a layer inside the model. ``shares_examples``: a run of several
    turns takes the inputs, and gives the scores, of its examples once, see ``Emitted``. ``in_place``: the names of
    weights that a session on the CPU reads where they are, not in copies of another order.
    """

    model: Model
    explained: Mapping[str, Explained]
    target: str
    reference: str
    score: str
    settled: str
    examples: str
    totals: Mapping[str, str]
    points: Mapping[str, np.ndarray]
    outputs: tuple[str, ...]
    scores: ScoreAxes
    activations: tuple[Activation, ...]
    layer: str | None = None
    layer_sized: bool = False
    fed: bool = True
    shares_examples: bool = False
    delta: str | None = None
    gap: str | None = None
    bound: float = 0.0
    in_place: frozenset[str] = frozenset()

    @cached_property
    def row_bytes(self) -> int:
        """The most memory that a run computes for one row, in bytes."""
        return bytes_per_row(self.model)

    @cached_property
    def held_bytes(self) -> int:
        """The most memory that a session holds in addition to the weights, in bytes."""
        return bytes_held(self.model, self.in_place)

    @cached_property
    def weight_bytes(self) -> int:
        """The memory of the weights but those that a run of one row reads as they are, in bytes."""
        return weight_bytes(self.model.program, self.in_place)

    def fetched(self, first: bool, outputs: bool) -> list[str]:
        """The outputs that a run of rows is asked for: those of the ``first`` point settle the target, and have the
        model's own ``outputs`` where they are wanted."""
        told = [self.settled, self.gap, *(self.outputs if outputs else ())] if first else []
        names = (self.score, self.examples, *self.totals.values(), self.delta, *told)
        return list(dict.fromkeys(name for name in names if name is not None))

    def row_axis(self, name: str) -> int | None:
        """The axis of a total that counts rows."""
        return 0 if self.layer_sized else about_total(self.explained, name).batch

    def beyond(self, memory: int) -> str | None:
        """What to say of a budget that was asked for, in bytes, where a run of a single row may take more."""
        if memory == DEFAULT or (needed := self.held_bytes + self.row_bytes) <= memory:
            return None
        return (
            f"memory: a run of a single row may take {needed / 2**20:,.3g} MB beside the weights, more than the "
            f"{memory / 2**20:,.3g} MB allowed; rows are run one at a time"
        )

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
    target: Score | None = None,
    lowering: Lowering = "portable",
    shapes: Mapping[str, Sequence[int | str | None]] | None = None,
    builder: Builder = backward,
    scores: ScoreAxes | None = None,
    rules: Overlay = EXACT,
    features: Features | None = None,
) -> ExplanationGraph:
    """Emits the graph of a method round a model; ``shapes`` fix open dimensions, ``scores`` the axis of examples."""
    scores = _checked(scores or score_axes(model, score), method)
    program = _with_shapes(model, shapes)
    if method.has_layer or method.has_attention:
        program = with_settled_sizes(program)
    y_name = str(row_scores(program, score).name)
    explained = (features or Inputs()).explained(program, scores.whole, y_name)
    tensors = [about.tensor or name for name, about in explained.items()]
    bound = rounding_bound(program.value(y_name))
    if not (method.has_layer or method.has_attention or method.layer_sized):
        slice_early(program.program, [program.value(name) for name in (y_name, *tensors)])
    shadow = add_float32_shadow(program, y_name, tensors, getattr(method, "layer", None), rules)
    outputs = tuple(str(value.name) for value in program.outputs)
    if lowering == "cpu" and rules is EXACT and method.by_gradient_alone:
        _move_scales(program, (y_name, *tensors), shadow)
    g = GraphBuilder(program.graph, lowering, "explain")
    samplers = method.samplers_in(program, program.value(y_name), [program.value(name) for name in tensors])
    arrays = points_of(samplers, explained)
    points = _point_inputs(g, arrays)
    original, perturbed = _perturb(g, samplers, program, explained, points, shadow)
    heads = _heads(g, program.value(y_name), shadow, score)
    wanted, told, differentiable = _told(g, heads, scores, target or Class(), method.compares)
    reference = g.input("reference", ir.DataType.FLOAT, ["rows"]) if points else differentiable
    tensors_of_run = (original, perturbed, told["score"], differentiable, points, reference)
    emitted = method.emit(EmitContext(g, program, *tensors_of_run, explained, told["settled"], builder, shadow, rules))
    g.prefix = "explain"
    totals = totals_of(g, method, emitted, points, explained)
    told |= gap_of_completeness(g, totals, points, told["score"], explained, emitted.change)
    names = {name: str(g.output(of, name).name) for name, of in told.items()}
    named = name_totals(g, totals, explained)
    _finish(g, program, shadow)
    return ExplanationGraph(
        program, explained, target=str(wanted.name), reference=str(reference.name), totals=named, outputs=outputs,
        points={str(points[name].name): array for name, array in arrays.items()}, scores=scores,
        activations=emitted.activations, layer=emitted.layer, fed=features is None or features.inputs,
        layer_sized=method.layer_sized and not emitted.input_sized, bound=bound,
        shares_examples=emitted.shares_examples, in_place=_in_place(g, program, builder, points), **names,
    )  # fmt: skip


def _in_place(g: GraphBuilder, program: Model, builder: Builder, points: Mapping[str, ir.Value]) -> frozenset[str]:
    """Weights that a session of onnxruntime on the CPU may read in place; not where points make a run of many rows."""
    return weights_in_place(program) if g.lowering == "cpu" and builder is backward and not points else frozenset()


def _heads(g: GraphBuilder, y: ir.Value, shadow: Float32Shadow, score: str) -> tuple[ir.Value, ir.Value, ir.Value]:
    """The scores of the model, those of its shadow graph, and the latter before rounding, which give the gap."""
    each = {value: logits(g, value) if score == "logit" else value for value in dict.fromkeys((y, shadow(y)))}
    own, other = each[y], each[shadow(y)]
    return own, other, shadow_score_tensor(own, shadow)


def _move_scales(program: Model, names: Sequence[str], shadow: Float32Shadow) -> None:
    """Scales of Gelus into products; not where there is a shadow, as the scores stay the model's to the last bit."""
    read = [program.value(name) for name in names]
    if shadow(read[0]) is read[0]:
        scale_in_products(program.program, read)


def _with_shapes(model: Model, shapes: Mapping[str, Sequence[int | str | None]] | None) -> Model:
    """A copy of the model, of inputs in these shapes."""
    program = model.copy()
    if shapes:
        fix_shapes(program, shapes)
    return program


def _checked(scores: ScoreAxes, method: Method) -> ScoreAxes:
    if scores.whole and (method.has_layer or method.layer_sized):
        raise InputError(
            f"{method.name} needs scores with an axis that counts examples, which {scores.tensor!r} has not"
        )
    return scores


def _refuse_nested(values: Sequence[ir.Value]) -> None:
    """An InputError where one of the values depends on another: a point would move it twice."""
    for value in values if len(values) > 1 else ():
        if before := [one.name for one in ancestors([value]) if one is not value and one in values]:
            raise InputError(
                f"features {before[0]!r} and {value.name!r}: the second depends on the first, and this method moves "
                "both; explain them one at a time"
            )


def _finish(g: GraphBuilder, program: Model, shadow: Float32Shadow) -> None:
    shadow.reuse_quantized(g)
    _tidy(program)
    if not divides_in_blocks(program.program) and clip_in_blocks(g):  # else each Clip stays in blocks by itself
        _tidy(program)


def _tidy(program: Model) -> None:
    TopologicalSortPass()(program.program)
    RemoveUnusedNodesPass()(program.program)


def _told(
    g: GraphBuilder, heads: tuple[ir.Value, ir.Value, ir.Value], scores: ScoreAxes, score: Score, compares: bool
) -> tuple[ir.Value, dict[str, ir.Value], ir.Value]:
    """The target, the outputs that describe the scores, and the differentiable score; ``heads`` as from ``_heads``."""
    y, y32, unrounded = heads
    target, flat = score.target(g, scores), flat_scores(g, y, scores)
    selected = score.emit(g, flat, target, scores)
    told = {"score": selected.value, "settled": selected.settled, "examples": g.Shape(flat, start=0, end=1)}
    if y32 is y:
        again = score.emit(g, flat, selected.settled, scores).value if compares else selected.value
        return target, told, again
    exact = flat_scores(g, unrounded, scores)
    differentiable = score.emit(g, flat_scores(g, y32, scores), selected.settled, scores).value
    both = (selected.value, score.emit(g, exact, selected.settled, scores).value)
    told["gap"] = write_gap(g, (flat, exact), both, score.length(g, target), scores.count == 1)
    return target, told, differentiable


def _point_inputs(g: GraphBuilder, arrays: Mapping[str, np.ndarray]) -> dict[str, ir.Value]:
    return {
        name: g.input(f"point/{name}", ir.DataType.FLOAT, ["rows", *array.shape[1:]]) for name, array in arrays.items()
    }


def _perturb(
    g: GraphBuilder,
    samplers: Sequence[Sampler],
    program: Model,
    explained: Mapping[str, Explained],
    points: Mapping[str, ir.Value],
    shadow: Float32Shadow,
) -> tuple[dict[str, ir.Value], dict[str, ir.Value]]:
    """The original inputs (half precision as float32) and the perturbed inputs of the model or its shadow graph."""
    inputs = {name: program.value(about.tensor or name) for name, about in explained.items()}
    original = {name: shadow(x) for name, x in inputs.items()}
    if not points:
        return original, original
    _refuse_nested(list(inputs.values()))
    perturbed = dict(original)
    for name, x in inputs.items():
        uses = list(x.uses())
        original[name] = g.Cast(x, to=ir.DataType.FLOAT) if x.dtype in HALVES else x
        moved = perturb(g, samplers, original[name], explained[name], points)
        moved = moved if moved.dtype == x.dtype else g.shaped_like(g.Cast(moved, to=x.dtype), x)
        for node, index in uses:
            node.replace_input_with(index, moved)
        perturbed[name] = shadow.substitute_input(g, x, moved)
    return original, perturbed
