"""The ONNX project's own operator suite: which of its cases have a gradient, and whether it is right.

A case counts when a float input of it reaches a float output and stock onnxruntime runs it. It is differentiated with
respect to each float input, the gradient is run on onnxruntime and compared with central differences along one random
direction: in float64 on onnx's reference evaluator where that gives what the suite expects, else in float32 on
onnxruntime. Where the suite's own numbers lie on a kink, numbers near them are taken.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import onnx
from differences import Feeds, Function, functions, is_float_array, run_on_runtime, slope
from onnxray.errors import NoGradientPath, OnnxrayError
from onnxray.gradient_graph import differentiate
from onnxray.graph.model import Source
from onnxray.loading.load import load

__all__ = [
    "OUT", "Gradient", "Question", "Verdict", "Way", "cases", "cases_of", "judge", "line_of", "normal_of", "points",
    "portable", "question_of", "share", "table", "weights_of",
]  # fmt: skip

Gradient = Callable[[Feeds, Feeds], np.ndarray]  # of a point, from the weights of the outputs
Way = Callable[[Any, list[str], str], Gradient | None]  # of a model, from outputs to an input

IR_VERSION, OPSET = 13, 26  # the newest that onnxruntime 1.31 runs unasked
OUT = ("not run", "no float path", "by convention")  # kinds of cases that do not count
# Inputs that say where to look and not what is there: they are given no gradient.
PLACES = {("Dropout", 1), ("Resize", 1), ("Resize", 2)}
# How many outputs there are hangs on which numbers are equal: elsewhere than at the suite's own point there are more.
UNEQUAL = {"Unique"}
CONVENTION = {"DynamicQuantizeLinear": "straight through, so that differences tell nothing"}


@dataclass(frozen=True)
class Verdict:
    """The outcome of a case: right, wrong, refused, not run, or without a float path."""

    name: str
    kind: str
    note: str = ""


@cache
def cases() -> list:
    """The node cases of the installed onnx; making them takes ten seconds."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return sorted(collect_testcases(None), key=lambda case: case.name)


def cases_of(*files: str) -> list:
    """The cases that some files of the suite make: the list of ``collect_testcases``, with these files alone."""
    suite = import_module("onnx.backend.test.case.node")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        modules = [import_module(f"{suite.__name__}.{file}") for file in files]
    names = {name.lower() for module in modules for name in vars(module)}
    found = [case for case in suite._NodeTestCases if names & {node.op_type.lower() for node in case.model.graph.node}]
    return sorted(found, key=lambda case: case.name)


def portable(model: Source, ys: list[str], x: str) -> Gradient | None:
    """onnxray's gradient on stock onnxruntime; None where it is declared that no gradient passes."""
    try:
        graph = differentiate(model, ys, [x])
    except NoGradientPath:
        return None

    def gradient(feeds: Feeds, weights: Feeds) -> np.ndarray:
        seeds = {graph.seeds[y]: w for y, w in weights.items()}
        return run_on_runtime(graph.model, {**feeds, **seeds})[graph.gradients[x]]

    return gradient


@dataclass(frozen=True)
class Question:
    """A case that counts: the model as onnxruntime runs it, a point with the outputs there, and both ends."""

    name: str
    model: onnx.ModelProto
    feeds: dict[str, Any]
    values: dict[str, Any]
    xs: list[str]
    ys: list[str]


def question_of(case) -> Question | Verdict:
    """What a case asks, or why it does not count."""
    model, (inputs, outputs) = case.model, case.data_sets[0]
    feeds = {i.name: _array(x) for i, x in zip(_free_inputs(model), inputs, strict=False) if x is not None}
    expected = {o.name: _array(x) for o, x in zip(model.graph.output, outputs, strict=True)}
    xs, ys = _float_ends(model, feeds, expected)
    if not xs or not ys:
        return Verdict(case.name, "no float path")
    if conventions := {node.op_type for node in model.graph.node} & CONVENTION.keys():
        return Verdict(case.name, "by convention", CONVENTION[conventions.pop()])
    if UNEQUAL & {node.op_type for node in model.graph.node}:
        model, feeds = _of_any_length(model), {**feeds, **{x: _moved(feeds[x], 1) for x in xs}}
    try:
        model, found = _run(model, feeds)
    except Exception as error:  # noqa: BLE001  onnxruntime raises a dozen types
        return Verdict(case.name, "not run", line_of(error))
    return Question(case.name, model, feeds, {name: found[name] for name in expected}, xs, ys)


def judge(case, way: Way = portable) -> Verdict:
    """Differentiates one case, by ``way``, and compares."""
    question = question_of(case)
    if isinstance(question, Verdict):
        return question
    try:
        return _compare(question, way)
    except OnnxrayError as error:
        return Verdict(case.name, "refused", line_of(error))


def _run(model: onnx.ModelProto, feeds: Feeds) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """The model and its results on onnxruntime: as it is, else stamped with the newest versions that it knows."""
    older = onnx.ModelProto()
    older.CopyFrom(model)
    older.ir_version = min(model.ir_version, IR_VERSION)
    for entry in older.opset_import:
        entry.version = min(entry.version, OPSET) if not entry.domain else entry.version
    try:
        return model, run_on_runtime(model, feeds)
    except Exception:
        if older == model:
            raise
    return older, run_on_runtime(older, feeds)


def _array(x: Any) -> Any:
    """A value of the suite, as an array if it is one."""
    if isinstance(x, onnx.TensorProto):
        return onnx.numpy_helper.to_array(x)
    return np.asarray(x) if isinstance(x, np.generic | float | int) else x


def line_of(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _free_inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    fixed = {t.name for t in model.graph.initializer}
    return [i for i in model.graph.input if i.name not in fixed]


def _float_ends(model: onnx.ModelProto, feeds: Feeds, expected: Feeds) -> tuple[list[str], list[str]]:
    """Float inputs that reach a float output, and the float outputs that one of them reaches."""
    ys = [name for name, x in expected.items() if is_float_array(x) and x.size]
    reached = {x: _reached(model.graph, x) for x, value in feeds.items() if is_float_array(value) and value.size}
    places = {node.input[k] for node in model.graph.node for k in range(len(node.input)) if (node.op_type, k) in PLACES}
    xs = [x for x, values in reached.items() if values.intersection(ys) and x not in places]
    return xs, [y for y in ys if any(y in reached[x] for x in xs)]


def _reached(graph: onnx.GraphProto, start: str) -> set[str]:
    found = {start}
    for node in graph.node:
        if found.intersection(_reads(node)):
            found.update(node.output)
    return found


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    yield from node.input
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            yield from (output.name for output in graph.output)
            for inner in graph.node:
                yield from _reads(inner)


def _compare(question: Question, way: Way) -> Verdict:
    name, model, feeds, expected, xs, ys = vars(question).values()
    source = load(model) if way is portable else model  # once for all inputs; others take it as it is
    gradients = {x: way(source, ys, x) for x in xs}
    ways = functions(model, feeds, expected)
    if not ways:
        return Verdict(name, "not compared", "no evaluator gives what onnxruntime gives")
    notes = {x: _check(gradients[x], ways, feeds, expected, x, ys) for x in xs}
    for kind in ("wrong", "fails", "not compared"):
        bad = {x: note for x, note in notes.items() if note.startswith(kind)}
        if bad and (kind != "not compared" or len(bad) == len(notes)):
            return Verdict(name, kind, "; ".join(f"{x}: {note}" for x, note in bad.items()))
    return Verdict(name, "right", ", ".join(f"{x}: {note}" for x, note in notes.items()))


def _of_any_length(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model without the sizes of its outputs."""
    free = onnx.ModelProto()
    free.CopyFrom(model)
    for output in free.graph.output:
        for dim in output.type.tensor_type.shape.dim:
            dim.Clear()
    return free


def _check(
    gradient: Gradient | None, ways: list[Function], feeds: Feeds, expected: Feeds, x: str, ys: list[str]
) -> str:
    """Tries the suite's own point, then points near it, until one is smooth; an output that is NaN has no slope."""
    note = "not compared: nowhere smooth"
    for f in ways:
        for point in points(feeds, x):
            try:
                outputs = f.call(point)
            except Exception:  # noqa: BLE001  a point outside of what the operator takes
                continue
            if any(np.shape(outputs[y]) != np.shape(expected[y]) for y in ys):
                continue  # the number of outputs hangs on a number
            if any(np.isnan(np.asarray(outputs[y], np.float64)).any() for y in ys):
                continue
            weights = {y: weights_of(outputs[y], 7 + k) for k, y in enumerate(ys)}
            direction = normal_of(feeds[x].shape, 11)
            try:
                numeric = slope(f, point, x, direction, weights)
            except Exception:  # noqa: BLE001  the same
                continue
            if not numeric.smooth:
                continue
            try:
                found = (
                    np.zeros(feeds[x].shape) if gradient is None else np.asarray(gradient(point, weights), np.float64)
                )
            except Exception as error:  # noqa: BLE001  whatever onnxruntime raises, such a gradient is of no use
                return f"fails: {line_of(error)}"
            if found.shape != feeds[x].shape:
                return f"wrong: shape {found.shape} for {feeds[x].shape}"
            analytic = float(np.sum(found * direction))
            scale = np.linalg.norm(found) * np.linalg.norm(direction) + abs(numeric.value) + f.noise
            if abs(analytic - numeric.value) <= f.tolerance * scale:
                return "flat" if gradient is None else "right"
            return f"wrong: {analytic:.6g} for {numeric.value:.6g} ({f.dtype.__name__})"
    return note


def points(feeds: Feeds, x: str) -> Iterator[dict[str, np.ndarray]]:
    yield {**feeds, x: np.asarray(feeds[x], np.float64)}
    for sign in (1, -1):
        yield {**feeds, x: _moved(feeds[x], sign)}
    yield {name: _moved(value, 1) if is_float_array(value) else value for name, value in feeds.items()}


def _moved(x: np.ndarray, sign: int) -> np.ndarray:
    """Numbers near those given, no two of them equal."""
    value = np.asarray(x, np.float64)
    value = np.where(np.abs(value) < 1e4, value, 0.7)  # the suite feeds infinities, too
    return value + sign * 0.07 * (1 + np.abs(value)) * np.random.default_rng(3).uniform(0.3, 1, value.shape)


def weights_of(output: np.ndarray, seed: int) -> np.ndarray:
    """A random cotangent, 0 where the output is infinite or stands for that."""
    return np.where(np.abs(np.asarray(output, np.float64)) < 1e30, normal_of(np.shape(output), seed), 0)


def normal_of(shape: tuple[int, ...], seed: int) -> np.ndarray:
    return np.asarray(np.random.default_rng([seed, *shape]).standard_normal(shape))


def share(verdicts: Iterable[Verdict]) -> float:
    """The part of the eligible cases that is right."""
    counts = Counter(v.kind for v in verdicts)
    return counts["right"] / (sum(counts.values()) - sum(counts[kind] for kind in OUT))


def table(verdicts: list[Verdict]) -> str:
    """Counts by kind, then every case that is neither right nor out of question."""
    counts = Counter(v.kind for v in verdicts)
    lines = [f"{n:5} {kind}" for kind, n in counts.most_common()]
    odd = [v for v in verdicts if v.kind not in ("right", *OUT)]
    return "\n".join(
        [*lines, f"{share(verdicts):.1%} of the eligible", *(f"{v.kind}: {v.name}: {v.note}" for v in odd)]
    )
