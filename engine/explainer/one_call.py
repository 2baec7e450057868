"""explain() and jacobian(): an explanation of one batch by one call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..attribution.inputs import Inputs, prepare
from ..attribution.plan import ExplanationGraph
from ..attribution.result import Attribution
from ..attribution.scores import Class
from ..errors import InputError
from ..graph.model import Source
from ..methods import Method
from ..runtime import Provider
from .explainer import Explainer
from .explanation_runs import open_runs

__all__ = ["explain", "jacobian"]


def explain(
    model: Source,
    inputs: Inputs,
    method: str | Method = "saliency",
    *,
    target: Any = "top1",
    score: str = "logit",
    layer: str | Sequence[str] | None = None,
    providers: Sequence[Provider] | Provider | None = None,
    builder: str = "portable",
    **options: Any,
) -> Attribution:
    """Explains which parts of the inputs a model used for a score.

    For more than one call on a model build an ``Explainer``.

    Args:
        model: Path, bytes, ModelProto or ``Model``.
        inputs: An array ``(N, *input)``, a dict of arrays by input name, or pictures (paths or PIL images).
        method: Name of an attribution method, which ``onnxray.METHODS`` has with its paper, or an instance of it.
        target: "top1" or a class index; a tuple of indices where the scores of an example have several axes; a list of
            one for each example; a float array in the shape of the scores, which weights them; or one of
            ``onnxray.scores``, such as ``Contrast(6, 8)``, ``Token(5)`` or ``Mask(mask, 3)``.
        score: "logit" (before a final Softmax, LogSoftmax or Sigmoid), "output" (as it is), or the name of a tensor.
        layer: Layer that class activation maps explain, or several, whose maps are merged; None for the last feature
            maps before pooling, behind their activation, or of transformers the tokens that the last attention reads.
        providers: Execution providers, "cpu", "cuda", "openvino" or as onnxruntime names them; None for the CPU.
        builder: "portable", or "ort-training" for the gradient graph of onnxruntime-training.
        **options: Options of the method, which ``onnxray methods`` lists, such as ``steps=20``; and ``features``,
            ``rules``, ``runtime``, ``threads``, ``memory``, ``optimization`` and ``preprocess`` of ``Explainer``.

    Returns:
        Attribution: ``values`` ``(N, *input)``, a dict of these for several inputs, or ``(N, h, w)`` from a method
            with a layer; it draws and saves them.

    Raises:
        ModelError: A model that cannot be read or run, or lacks the layer or score.
        NoGradientPath: A score that does not depend differentiably on the input.
        UnsupportedOperator: An operator between input and score that has no gradient rule.
        InputError: Inputs, a target, a method or an option that does not fit.
        ExecutionError: onnxruntime failed at a node, which the message names.
        BuilderError: onnxruntime-training failed.
        RuntimeUnavailable: onnxruntime or the provider is missing.

    Example:
        >>> import onnxray.models
        >>> digits, picture = onnxray.models.path("digits.onnx"), onnxray.models.path("digit.png")
        >>> found = onnxray.explain(digits, picture, "integrated-gradients", steps=20)
        >>> found.values.shape, found.target.tolist()
        ((1, 1, 28, 28), [6])
    """
    explainer = Explainer(model, method, score=score, layer=layer, providers=providers, builder=builder, **options)
    return explainer(inputs, target)


def jacobian(model: Source, inputs: Inputs, *, score: str = "output", **options: Any) -> Any:
    """Computes the derivative of every score with respect to every element of the input.

    Args:
        model: Path, bytes, ModelProto or ``Model``.
        inputs: An array ``(N, *input)``, a dict of arrays by input name, or pictures (paths or PIL images).
        score: "output" (the output as it is), "logit" (before a final Softmax, LogSoftmax or Sigmoid), or the name of a
            tensor.
        **options: ``providers``, ``builder``, ``runtime``, ``threads``, ``memory``, ``optimization`` and ``preprocess``
            of ``Explainer``.

    Returns:
        numpy.ndarray: float32 ``(N, C, *input)`` for the C scores of an example, in C order; a dict of these by name
            for several inputs.

    Raises:
        InputError: Inputs that do not fit the model, or an input without an axis that counts examples.
        ModelError: A model that cannot be read or run, or lacks the score.
        NoGradientPath: A score that does not depend differentiably on the input.
        UnsupportedOperator: An operator between input and score that has no gradient rule.
        RuntimeUnavailable: onnxruntime or the provider is missing.

    Example:
        >>> import onnxray.models
        >>> digits, picture = onnxray.models.path("digits.onnx"), onnxray.models.path("digit.png")
        >>> onnxray.jacobian(digits, picture).shape
        (1, 10, 1, 28, 28)
    """
    preprocess = options.pop("preprocess", None)
    runs = open_runs(model, "saliency", score=score, **options).reading(Class())

    def gradients(of: Inputs, target: Any) -> Any:
        return runs.run(prepare(runs.model, of, preprocess), target)[0].values

    given = prepare(runs.model, inputs, preprocess)
    scores = runs.score_axes(given)
    classes, examples = scores.count or 0, given.batch.examples
    if scores.whole:
        return _stacked([gradients(given.batch.feeds, scores.named(np.array([k]))) for k in range(classes)])
    plan = runs.plan(runs.shapes(runs.backend.inputs(given)), scores, Class()).graph
    for name in plan.explained:
        if plan.row_axis(name) is None:
            raise InputError(f"jacobian() needs an axis that counts examples, which {name!r} has not")
    found: dict[str, np.ndarray] = {}
    for some in _within(plan.rows_within(runs.memory) // examples, classes):
        rows = given.batch.take(np.repeat(np.arange(examples), len(some)))
        of_some = _by_example(gradients(rows, scores.named(np.tile(some, examples))), plan, examples)
        for name, part in of_some.items():
            whole = found.setdefault(name, np.empty((examples, classes, *part.shape[2:]), part.dtype))
            whole[:, some] = part
    return found if len(found) > 1 else next(iter(found.values()))


def _within(limit: int, classes: int) -> Iterator[np.ndarray]:
    """The classes, as many at a time as a run may have of an example, and at least one."""
    each = max(1, limit)
    yield from (np.arange(start, min(start + each, classes)) for start in range(0, classes, each))


def _by_example(found: Any, plan: ExplanationGraph, examples: int) -> dict[str, np.ndarray]:
    """Gradients whose rows are some scores of an example, then of the next, by input: (examples, scores, *input)."""
    several = found if isinstance(found, Mapping) else {next(iter(plan.explained)): found}
    moved = {name: np.moveaxis(array, plan.row_axis(name) or 0, 0) for name, array in several.items()}
    return {name: array.reshape(examples, -1, *array.shape[1:]) for name, array in moved.items()}


def _stacked(rows: Sequence[Any]) -> Any:
    """The attributions of one example's scores as a Jacobian."""
    named = {name: [row[name] for row in rows] for name in rows[0]} if isinstance(rows[0], Mapping) else {"": rows}
    stacks = {name: np.stack(each, axis=1) for name, each in named.items()}
    return stacks if isinstance(rows[0], Mapping) else stacks[""]
