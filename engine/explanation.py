"""The explanation of a model as a graph: model inputs and target in; model outputs, score and attribution out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass, TopologicalSortPass

from .axes import ScoreAxes, axes_of
from .embeddings import Start, starts
from .errors import ModelError
from .gradient import Activation, Builder, backward
from .graph import GraphBuilder, Lowering
from .heads import logits
from .methods.base import Explained, Method, Scene
from .model import Model, is_float
from .passes.fix_shapes import fix_shapes
from .passes.widen import HALVES
from .preprocess import Preprocess
from .target import flat_scores, row_scores, select_scores, weigh_scores
from .twin import Twin, add_twin

__all__ = ["Explanation", "batch_axis", "explained_inputs", "explanation", "leading_input"]


@dataclass(frozen=True, eq=False)
class Explanation:
    """A graph that explains rows: examples, each at one point.

    It takes the model's inputs, ``target`` (int64 (N,): the place of a score among all of an example, -1: the top class
    where scores are those of classes; or a seed in the shape of the scores) and,
    for methods of many points, ``reference`` and the ``points``; it gives the model's outputs, ``score``, ``chosen``
    (the target, settled) and each row's contributions. All are names, as the model may have taken the obvious ones.
    """

    model: Model
    explained: Mapping[str, Explained]
    target: str
    reference: str
    score: str
    chosen: str
    contributions: Mapping[str, str]
    points: Mapping[str, str]
    outputs: tuple[str, ...]
    scores: ScoreAxes
    activations: tuple[Activation, ...]
    cam: bool = False

    def row_axis(self, name: str) -> int | None:
        """The axis of an input's contributions that counts rows."""
        return 0 if self.cam else self.explained[name].batch


def explained_inputs(model: Model) -> dict[str, Explained]:
    """The floating-point inputs, or what integers are embedded as, with their axes."""
    found = starts(model)
    if not found:
        raise ModelError("nothing in the model is a floating-point number that depends on its inputs")
    return {start.name: _explained(model, start) for start in found}


def _explained(model: Model, start: Start) -> Explained:
    value = start.value
    batch = batch_axis(model, value)
    dims = list(value.shape) if value.shape is not None else []
    rest = tuple(d if isinstance(d, int) else None for axis, d in enumerate(dims) if axis != batch)
    if start.rows:
        return Explained(start.name, rest, batch, len(rest) - 1, start.source and str(start.source.name))
    return Explained(start.name, rest, batch, _channel_axis(model, rest))


def batch_axis(model: Model, value: ir.Value) -> int | None:
    """The axis of an input that counts examples: the one whose dimension is that of the leading input's axis 0."""
    first = leading_input(model)
    if first.shape is None or value.shape is None or not len(first.shape) or not len(value.shape):
        return None
    batch = first.shape[0]
    if batch in value.shape:
        return list(value.shape).index(batch)
    return 0 if not isinstance(value.shape[0], int) else None


def leading_input(model: Model) -> ir.Value:
    """The input that says how many examples there are: the first one of floating-point numbers, else the first."""
    return next((value for value in model.inputs if is_float(value)), model.inputs[0])


def _channel_axis(model: Model, shape: tuple[int | None, ...]) -> int | None:
    """Of an image's three axes, the channels': as the model's Preprocess says, else the first of a few."""
    if len(shape) != 3:
        return None
    preprocess = Preprocess.from_metadata(model.metadata)
    if preprocess is not None:
        return 0 if preprocess.layout == "NCHW" else 2
    few = [axis for axis in (0, 2) if shape[axis] in (1, 2, 3, 4)]
    return few[0] if few else 0


def explanation(
    model: Model,
    method: Method,
    *,
    score: str = "logit",
    lowering: Lowering = "portable",
    seeded: bool = False,
    shapes: Mapping[str, Sequence[int | str | None]] | None = None,
    builder: Builder = backward,
) -> Explanation:
    """Emits the graph of a method round a model, whose open dimensions ``shapes`` may settle."""
    program = model.copy()
    if shapes:
        fix_shapes(program, shapes)
    y_name, explained = str(row_scores(program, score).name), explained_inputs(program)
    twin = add_twin(program, y_name, list(explained), getattr(method, "layer", None))
    inputs = {name: program.value(name) for name in explained}
    outputs = tuple(str(value.name) for value in program.outputs)
    g = GraphBuilder(program.graph, lowering, "explain")
    points = _point_inputs(g, method, explained)
    real, seen = _perturb(g, method, inputs, explained, points, twin)
    y, twin_y = (logits(g, v) if score == "logit" else v for v in (program.value(y_name), twin(program.value(y_name))))
    target, scores = _target_input(g, y, seeded), axes_of(program.value(y_name))
    value, chosen = _score(g, y, target, scores)
    smooth = value if twin_y is y else _score(g, twin_y, target if seeded else chosen, scores)[0]
    reference = g.input("reference", ir.DataType.FLOAT, ["rows"]) if points else value
    scene = Scene(g, program, real, seen, value, smooth, points, reference, explained, builder, twin)
    parts, activations = method.emit(scene)
    g.prefix = "explain"
    score_name, chosen_name = (str(g.output(v, n).name) for v, n in ((value, "score"), (chosen, "chosen")))
    contributions = _name_outputs(g, parts, list(inputs))
    twin.settle(g)
    TopologicalSortPass()(program.program)
    RemoveUnusedNodesPass()(program.program)
    return Explanation(
        program,
        explained,
        target=str(target.name),
        reference=str(reference.name),
        score=score_name,
        chosen=chosen_name,
        contributions=contributions,
        points={name: str(point.name) for name, point in points.items()},
        outputs=outputs,
        scores=scores,
        activations=activations,
        cam=method.has_layer,
    )


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
    twin: Twin,
) -> tuple[dict[str, ir.Value], dict[str, ir.Value]]:
    """The inputs, half precision as float32, and what the model, or its twin, sees instead of them."""
    real = {name: twin(x) for name, x in inputs.items()}
    if not points:
        return real, real
    seen = dict(real)
    for name, x in inputs.items():
        uses = list(x.uses())
        real[name] = g.Cast(x, to=ir.DataType.FLOAT) if x.dtype in HALVES else x
        moved = method.perturb(g, real[name], explained[name], points)
        moved = moved if moved.dtype == x.dtype else g.shaped_like(g.Cast(moved, to=x.dtype), x)
        for node, index in uses:
            node.replace_input_with(index, moved)
        seen[name] = twin.enter(g, x, moved)
    return real, seen


def _target_input(g: GraphBuilder, y: ir.Value, seeded: bool) -> ir.Value:
    """What selects the score: one index per row, or weights in the shape of the scores."""
    if seeded:
        return g.input("seed", ir.DataType.FLOAT, y.shape)
    return g.input("target", ir.DataType.INT64, ["rows"])


def _score(g: GraphBuilder, y: ir.Value, target: ir.Value, scores: ScoreAxes) -> tuple[ir.Value, ir.Value]:
    """Each row's score and settled target."""
    flat = flat_scores(g, y)
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
