"""Checks of jvp() and hvp(): the adjoint of each other's Jacobian, and differences of gradients.

With a random tangent u and a random cotangent w, <w, J u> = <J^T w, u>. Both sides come of our graphs, so that the test
needs no differences, holds at kinks, too, and finds a rule whose transpose is not what it emits.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from differences import run_on_runtime
from gradcheck import Case, as_inputs, evaluate, normal
from onnxray.errors import NoGradientPath, OnnxrayError
from onnxray.gradient_graph import TangentGraph, differentiate, hvp, jvp
from onnxray.graph.model import Model, Source
from onnxray.loading.load import load
from suite import Question, Verdict, line_of, normal_of, points, question_of, weights_of

__all__ = ["check_hvp", "check_jvp", "judge_adjoint"]

Arrays = Mapping[str, np.ndarray]
STEP, SAME = 1e-5, 1e-4  # of differences in float64; of float32 and float16 on onnxruntime, relative


def products(
    graph: TangentGraph, feeds: Arrays, tangents: Arrays, seeds: Arrays | None = None
) -> dict[str, np.ndarray]:
    """The products by value name, on the reference evaluator; tangents and seeds are given by value name."""
    given = {graph.tangents[x]: u for x, u in tangents.items()}
    weights = {graph.seeds[y]: v for y, v in (seeds or {}).items()}
    found = evaluate(graph.model, {**feeds, **given, **weights})
    return {x: found[name] for x, name in graph.products.items()}


def check_jvp(case: Case) -> None:
    """Asserts <w, J u> = <J^T w, u> in float64, for each input of a rule's case, and the shape of J u."""
    for x in case.differentiable():
        u, back = normal(*case.expected[x].shape, seed=3), case.expected[x]
        pairs = {y: _jvp_or_none(case.model(np.float64), y, x) for y in case.cotangents}
        ahead = {y: products(g, case.feeds(np.float64), {x: u})[y] for y, g in pairs.items() if g is not None}
        assert {y: v.shape for y, v in ahead.items()} == {y: case.cotangents[y].shape for y in ahead}
        found, truth = (sum(np.sum(v * case.cotangents[y]) for y, v in ahead.items()), np.sum(back * u))
        assert abs(found - truth) <= 1e-8 * np.linalg.norm(back) * np.linalg.norm(u) + 1e-12, f"{case} {x}"


def check_hvp(case: Case) -> None:
    """Asserts that H u is the central difference of the gradient in float64; zero where hvp() says that it is."""
    model, wrt = case.model(np.float64), case.differentiable()
    own = case.feeds(np.float64, constants=True)
    tangents = {x: normal(*own[x].shape, seed=3) for x in wrt}
    try:
        graph = hvp(model, list(case.cotangents), wrt)
    except NoGradientPath:
        found = {x: np.zeros(own[x].shape) for x in wrt}
    else:
        found = products(graph, case.feeds(np.float64), tangents, case.cotangents)
    ahead, behind = (_gradients_at(case, {x: own[x] + t * u for x, u in tangents.items()}) for t in (STEP, -STEP))
    for x in wrt:
        numeric = (ahead[x] - behind[x]) / (2 * STEP)
        assert found[x].shape == numeric.shape, f"{case} {x}"
        scale = np.linalg.norm(numeric) + 0.1 * np.linalg.norm(ahead[x]) + 1e-3
        assert np.linalg.norm(found[x] - numeric) <= 1e-5 * scale, f"{case} {x}: {found[x]} for {numeric}"


def _jvp_or_none(model: Source, y: str, x: str) -> TangentGraph | None:
    try:
        return jvp(model, y, x)
    except NoGradientPath:
        return None


def _gradients_at(case: Case, moved: Arrays) -> dict[str, np.ndarray]:
    """The gradients where some values are moved; constants are fed, as rules may read those while they build."""
    graph = differentiate(as_inputs(case.model(np.float64), case), list(case.cotangents), list(moved))
    seeds = {graph.seeds[y]: w for y, w in case.cotangents.items()}
    found = evaluate(graph.model, {**case.feeds(np.float64), **moved, **seeds})
    return {x: found[name] for x, name in graph.gradients.items()}


def judge_adjoint(case) -> Verdict:
    """Whether a case of the ONNX project's suite has J and its transpose that agree, on onnxruntime, for each input."""
    question = question_of(case)
    if isinstance(question, Verdict):
        return question
    try:
        loaded = load(question.model)
        notes = {x: _adjoint(question, loaded, x) for x in question.xs}
    except OnnxrayError as error:
        return Verdict(case.name, "refused", line_of(error))
    except Exception as error:  # noqa: BLE001  whatever onnxruntime raises, such a graph is of no use
        return Verdict(case.name, "fails", line_of(error))
    kinds = {note.split(":")[0] for note in notes.values()}
    kind = next((kind for kind in ("wrong", "not compared") if kind in kinds), "right")
    return Verdict(case.name, kind, ", ".join(f"{x}: {note}" for x, note in notes.items()))


def _adjoint(question: Question, model: Model, x: str) -> str:
    """Tries points until all numbers are finite; "flat" where both say that no gradient passes."""
    ys = question.ys
    ahead = {y: graph for y in ys if (graph := _jvp_or_none(model, y, x)) is not None}
    try:
        back = differentiate(model, ys, [x])
    except NoGradientPath:
        return "flat" if not ahead else f"wrong: a jvp of {sorted(ahead)} and no gradient"
    for point in points(question.feeds, x):
        weights = {y: weights_of(question.values[y], 7 + k) for k, y in enumerate(ys)}
        u = normal_of(question.feeds[x].shape, 11)
        seeds = {back.seeds[y]: w for y, w in weights.items()}
        dx = np.asarray(run_on_runtime(back.model, {**point, **seeds})[back.gradients[x]], np.float64)
        dys = {y: _product(graph, {**point, graph.tangents[x]: u}, y) for y, graph in ahead.items()}
        if shapes := {y: dy.shape for y, dy in dys.items() if dy.shape != np.shape(weights[y])}:
            return f"wrong: shapes {shapes}"
        if np.isfinite(dx).all() and all(np.isfinite(dy).all() for dy in dys.values()):
            found, truth = sum(np.sum(weights[y] * dy) for y, dy in dys.items()), np.sum(dx * u)
            scale = np.linalg.norm(dx) * np.linalg.norm(u)
            scale += sum(np.linalg.norm(weights[y]) * np.linalg.norm(dy) for y, dy in dys.items())
            return "right" if abs(found - truth) <= SAME * scale + 1e-6 else f"wrong: {found:.6g} for {truth:.6g}"
    return "not compared: nowhere finite"


def _product(graph: TangentGraph, feeds: Arrays, y: str) -> np.ndarray:
    return np.asarray(run_on_runtime(graph.model, feeds)[graph.products[y]], np.float64)
