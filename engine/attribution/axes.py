"""Which axis counts examples: of each input, and of the scores. Shapes tell it, or a run of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from ..autodiff.embeddings import Start, starts
from ..data.preprocess import Preprocess
from ..errors import InputError, ModelError, OnnxrayError
from ..graph.model import Model, is_float
from ..graph.traversal import ancestors
from ..methods.explained import Explained
from ..passes.copy_batch import copy_batch
from ..passes.fix_shapes import fix_shapes
from ..passes.settle_sizes import settle_sizes
from .score import row_scores
from .score_axes import ScoreAxes, axes_at

__all__ = [
    "batch_axis",
    "counting_axis",
    "declared_axes",
    "examples_axis",
    "explained_inputs",
    "fixed_batch",
    "is_mixed",
    "leading_input",
    "probed_axes",
    "score_axes",
    "with_settled_sizes",
]

EXAMPLES = "onnxray_examples"  # stands for the number of examples while shapes are inferred
MIXED = 0.05  # of the change of an example's own scores: what others may change them by, as dynamic quantisation does

Run = Callable[[Mapping[str, np.ndarray]], np.ndarray]  # from the model's inputs to the tensor of scores
Shapes = Mapping[str, Sequence[int | str | None]]


def leading_input(model: Model) -> ir.Value:
    """The input that says how many examples there are: the first one of floating-point numbers, else the first."""
    if not model.inputs:
        raise ModelError("the model has no input, so there is nothing to explain")
    return next((value for value in model.inputs if is_float(value)), model.inputs[0])


def fixed_batch(model: Model) -> int | None:
    """The batch size that the model sets, None where it is open."""
    first = leading_input(model)
    size = first.shape[0] if first.shape is not None and len(first.shape) else 1
    return size if isinstance(size, int) else None


def batch_axis(model: Model, value: ir.Value) -> int | None:
    """The axis of an input that counts examples: the one whose dimension is that of the leading input's axis 0.

    A dimension without a name is that of others without a name on the first axis only.
    """
    first = leading_input(model)
    if first.shape is None or value.shape is None or not len(first.shape) or not len(value.shape):
        return None
    batch, dims = first.shape[0], list(value.shape)
    named = isinstance(batch, int) or batch.value is not None
    if named and batch in dims:
        return dims.index(batch)
    return 0 if not isinstance(dims[0], int) else None


def with_settled_sizes(model: Model) -> Model:
    """A copy with the sizes that do not depend on how many examples there are: by them layers and tokens are found."""
    copied = model.copy()
    settle_sizes(copied, {str(x.name): batch_axis(model, x) for x in model.inputs})
    return copied


def score_axes(model: Model, score: str) -> ScoreAxes:
    """The axes of a model's scores, as far as they are known before the model runs; by custom the first is taken."""
    if (found := declared_axes(model, score, examples=1)) is not None:
        return found
    y = row_scores(model, score)
    if y.shape is None:
        return ScoreAxes(str(y.name), (), known=False)
    return axes_at(str(y.name), list(y.shape), 0)


def declared_axes(
    model: Model, score: str, shapes: Shapes | None = None, examples: int | None = None
) -> ScoreAxes | None:
    """The axes of the scores as the shapes tell for sure, with the inputs in ``shapes`` and so many examples.

    None where only a run tells.
    """
    fixed = fixed_batch(model)
    y = _marked(model, str(row_scores(model, score).name), shapes or {}, fixed != 1)
    if y.shape is None:
        return None
    name, dims = str(y.name), [d if isinstance(d, int) else d.value for d in y.shape]
    found = [axis for axis, d in enumerate(dims) if d == EXAMPLES]
    sure = len(found) == 1 and (fixed in (None, 1) or fixed not in dims)  # else that size may be their number, too
    if sure or (found and examples == 1):
        return axes_at(name, dims, found[0])
    known = bool(found) or all(isinstance(d, int) for d in dims)
    if not known or (fixed or 1) > 1:
        return None
    if 1 in (fixed, examples):
        return _of_one(name, dims)
    return axes_at(name, dims, None, whole=True) if examples else None


def is_mixed(model: Model) -> bool:
    """Whether rows of the inputs may be parts of one example: beside them stands an input of another length, as the
    edges of a graph, or one whose axes both count rows, as its matrix of neighbours."""
    batch = leading_input(model).shape
    for value in model.inputs:
        dims = list(value.shape) if value.shape is not None else []
        if len(dims) > 1 and ((batch and dims.count(batch[0]) > 1) or _is_shared(model, value)):
            return True
    return False


def _is_shared(model: Model, value: ir.Value) -> bool:
    return batch_axis(model, value) is None and value.shape is not None and value.shape[0] != 1


def probed_axes(
    model: Model,
    score: str,
    run: Run,
    feeds: Mapping[str, np.ndarray],
    axes: Mapping[str, int | None],
    declared: ScoreAxes | None = None,
) -> ScoreAxes:
    """The axes of the scores as runs tell: which axis grows with the examples, and whether these are examples at all.

    Raises InputError where a model of a fixed number of rows is given another number of them.
    """
    name, fixed = str(row_scores(model, score).name), fixed_batch(model)
    examples = next((feeds[one].shape[axis] for one, axis in axes.items() if axis is not None), 1)
    rows = np.arange(fixed or examples) % examples
    given = _taken(feeds, axes, rows)
    y = run(given)
    if declared is not None:
        likely = [declared.axis] if declared.axis is not None else []
    else:
        likely = _growing(run, feeds, axes) if fixed is None else [k for k, n in enumerate(y.shape) if n == fixed]
    sure = [axis for axis in likely if len(rows) < 2 or _independent(run, given, axes, axis)]
    if len(sure) == 1:
        return axes_at(name, list(y.shape), sure[0])
    if len(rows) == 1:
        return _of_one(name, list(y.shape))
    if len(rows) != examples:
        raise InputError(f"the inputs have {examples} rows, but the model takes {fixed} that are one example together")
    return axes_at(name, list(y.shape), None, whole=True)


def counting_axis(model: Model, name: str, shapes: Sequence[Sequence[int]], rows: Sequence[int]) -> int | None:
    """The axis of a tensor that counts the examples of runs of so many ``rows``, in which it had these shapes.

    By custom that is the first, where its length is that of the rows and the graph does not tell another.
    """
    bare, fixed = model.copy(), fixed_batch(model)
    copy_batch(bare, fixed or 1)
    for value in (value for node in bare.graph.all_nodes() for value in node.outputs):
        value.shape = None  # of a fixed batch they hold its size, which hides the axis
    y = _marked(bare, name, {}, marked=True)
    dims = list(y.shape) if y.shape is not None else []
    found = [axis for axis, d in enumerate(dims) if not isinstance(d, int) and d.value == EXAMPLES]
    if len(found) == 1:
        return found[0]
    counted = {str(value.name) for value in model.inputs if batch_axis(model, value) is not None}
    depends = any(value.is_graph_input() and value.name in counted for value in ancestors([y]))
    return 0 if depends and all(tuple(s[:1]) == (n,) for s, n in zip(shapes, rows, strict=True)) else None


def examples_axis(model: Model, name: str) -> int | None:
    """The axis of a tensor inside the model that counts examples; None where the model takes one at a time.

    An InputError where shapes do not tell it.
    """
    fixed = fixed_batch(model)
    y = _marked(model, name, {}, marked=fixed != 1)
    dims = [d if isinstance(d, int) else d.value for d in y.shape or ()]
    found = [axis for axis, d in enumerate(dims) if d == (1 if fixed == 1 else EXAMPLES)]
    if len(found) == 1 or (found and fixed == 1):
        return found[0]
    if fixed == 1 and y.shape is not None:
        return None
    raise InputError(f"which axis of {name!r} counts examples cannot be told from its shape, {y.shape}")


def _marked(model: Model, name: str, shapes: Shapes, marked: bool) -> ir.Value:
    """The scores of a copy of the model whose examples have a name of their own."""
    program = model.copy()
    if marked and (fixed := fixed_batch(model)):
        copy_batch(program, fixed)
    known: dict[str, list[Any]] = {
        str(v.name): list(shapes.get(str(v.name), v.shape)) for v in model.inputs if v.shape is not None
    }
    for value in model.inputs if marked else ():
        axis = batch_axis(model, value)
        if axis is not None and str(value.name) in known:
            known[str(value.name)][axis] = EXAMPLES
    for value in program.outputs:
        if not value.is_graph_input():
            value.shape = None  # what a file declares is what its exporter was told
    fix_shapes(program, known)
    return program.value(name)


def _of_one(name: str, dims: Sequence[object]) -> ScoreAxes:
    """The scores of a model that takes one example at a time: any axis of length 1 may count it."""
    return axes_at(name, dims, next((axis for axis, d in enumerate(dims) if d == 1), None))


def _growing(run: Run, feeds: Mapping[str, np.ndarray], axes: Mapping[str, int | None]) -> list[int]:
    """The axes that are as long as there are examples, when these are two and three."""
    try:
        two, three = (run(_taken(feeds, axes, [0] * count)).shape for count in (2, 3))
    except OnnxrayError:  # inputs of which no example can be taken alone
        return []
    return [axis for axis, (a, b) in enumerate(zip(two, three, strict=True)) if (a, b) == (2, 3)]


def _independent(run: Run, feeds: Mapping[str, np.ndarray], axes: Mapping[str, int | None], axis: int) -> bool:
    """Whether an example's scores stay where only other examples change."""
    rng, y = np.random.default_rng(0), np.moveaxis(run(feeds), axis, 0).astype(np.float64)
    for _ in range(2):
        half = rng.permutation(len(y)) < len(y) / 2
        for chosen in (half, ~half):
            moved = np.moveaxis(run(_shaken(feeds, axes, chosen, rng)), axis, 0).astype(np.float64)
            change = np.abs(moved - y)
            if change[~chosen].max(initial=0) > MIXED * change[chosen].max(initial=0):
                return False
    return True


def _shaken(
    feeds: Mapping[str, np.ndarray], axes: Mapping[str, int | None], chosen: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The inputs with other numbers in some of their examples; integers as they are."""
    shaken = dict(feeds)
    for name, array in feeds.items():
        if (axis := axes[name]) is not None and array.dtype.kind == "f":
            moved = array + (rng.standard_normal(array.shape) * (array.std() or 1.0)).astype(array.dtype)
            shaken[name] = np.where(np.expand_dims(chosen, [k for k in range(array.ndim) if k != axis]), moved, array)
    return shaken


def _taken(
    feeds: Mapping[str, np.ndarray], axes: Mapping[str, int | None], rows: Sequence[int] | np.ndarray
) -> dict[str, np.ndarray]:
    return {name: a if axes[name] is None else np.take(a, rows, axes[name]) for name, a in feeds.items()}


def explained_inputs(model: Model, whole: bool = False, of: str | None = None) -> dict[str, Explained]:
    """The floating-point inputs, and what integers are embedded or cast as, with their axes.

    ``whole``: no axis counts examples, as all that the inputs hold is one. ``of``: the tensor of scores.
    """
    found = starts(model, of)
    if not found:
        raise ModelError("nothing in the model is a floating-point number that depends on its inputs")
    return {start.name: _explained(model, start, whole) for start in found}


def _explained(model: Model, start: Start, whole: bool) -> Explained:
    value = start.value
    batch = None if whole else batch_axis(model, value)
    dims = list(value.shape) if value.shape is not None else []
    rest = tuple(d if isinstance(d, int) else None for axis, d in enumerate(dims) if axis != batch)
    if start.rows:
        return Explained(start.name, rest, batch, len(rest) - 1, start.source and str(start.source.name), start.tensor)
    return Explained(start.name, rest, batch, None if whole else _channel_axis(model, rest), tensor=start.tensor)


def _channel_axis(model: Model, shape: tuple[int | None, ...]) -> int | None:
    """Of an image's three axes or a volume's four, the channels': as the model's Preprocess says, else that of few."""
    if len(shape) not in (3, 4):
        return None
    last, preprocess = len(shape) - 1, Preprocess.from_metadata(model.metadata)
    if preprocess is not None and last == 2:
        return 0 if preprocess.layout == "NCHW" else 2
    few = [axis for axis in (0, last) if shape[axis] in (1, 2, 3, 4)]
    return few[0] if few else 0
