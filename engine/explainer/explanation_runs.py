"""ExplanationRuns: the explanation graphs of one method on one model, built for the inputs at hand, and their runs."""

from __future__ import annotations

import threading
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

from ..attribution.axes import Shapes, is_mixed
from ..attribution.faulty_maps import ControlMap
from ..attribution.features import Features, features_of
from ..attribution.finish import Finish
from ..attribution.memory import parse_memory, rows_in_cache
from ..attribution.output_choice import check_output
from ..attribution.plan import ExplanationGraph, explanation_graph
from ..attribution.plan_cache import KEPT, Plans, has_branches, has_open_sizes
from ..attribution.result import Attribution
from ..attribution.run import Progress, Sums, run_samples
from ..attribution.score import row_scores
from ..attribution.score_axes import ScoreAxes
from ..attribution.score_finder import ScoreFinder
from ..attribution.scores import Class, Score, score_of
from ..autodiff.embeddings import note_of
from ..autodiff.overlays import EXACT, Rules, overlay_of
from ..autodiff.registry import Overlay
from ..backends import Backend, backend_named
from ..data.batch import Prepared
from ..errors import InputError, OnnxrayError
from ..graph.builder import Lowering
from ..graph.model import Model, Source
from ..graph.placed_nodes import Placement, operators
from ..loading.load import load
from ..methods import Method, method_named
from ..runtime import OpenSession, Provider, SessionSettings, blaming_model
from ..support.caller import warn_caller
from ..support.execution_providers import CPU
from ..support.processor import cores
from .assemble import Described, attribution_of, described

__all__ = ["ExplanationRuns", "open_runs"]


@dataclass(frozen=True, eq=False)
class OpenPlan:
    """An explanation graph in a session, with the method's last step; shared by the calls that it fits.

    ``about``: what every attribution by it is told to be.
    """

    graph: ExplanationGraph
    session: OpenSession
    finish: Finish
    about: Described


@dataclass(eq=False)
class ExplanationRuns:
    """One method on one model and backend; made by ``open_runs``. ``memory`` is in bytes.

    Threads may run it at the same time: what is found out or made of it is so by one of them at a time.
    """

    model: Model
    method: Method
    score: str
    features: Features
    rules: Overlay
    backend: Backend
    providers: Sequence[Provider]
    threads: int | None
    memory: int
    note: str | None
    score_finder: ScoreFinder
    optimization: str = "all"
    plans: Plans[OpenPlan] = field(init=False, default_factory=lambda: Plans[OpenPlan]())
    readings: dict[object, ExplanationRuns] = field(init=False, default_factory=dict)
    controls: dict[ControlMap, ExplanationRuns] = field(init=False, default_factory=dict)
    lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def run(
        self, given: Prepared, target: Any, progress: Progress | None = None, keep: bool = False
    ) -> tuple[Attribution, Prepared, Sums]:
        """The attribution of a batch, the inputs as they were run, and the sums of the runs; ``keep``: with outputs."""
        scores = self.score_axes(given)
        given = self.backend.inputs(given.as_one if scores.whole else given)
        score = score_of(target)
        opened = self.plan(self.shapes(given), scores, score)
        plan = opened.graph
        wanted = score.resolve(given.batch.examples, scores)
        rows = self._rows(plan) if given.batch.examples > 1 or plan.points else 1
        batch = given.batch.beside(self.method.example_inputs(given.batch.feeds, plan.explained))
        missing = partial(score.missing, scores=scores)
        sums = opened.finish(run_samples(opened.session, plan, batch, wanted, rows, progress, keep, missing))
        if remark := score.remark(sums.settled):
            warn_caller(remark)
        told = score.told(sums.settled, scores)
        about = replace(opened.about, explained=score.explained(told, scores))
        return attribution_of(plan, self.method, given, told, sums, about), given, sums

    def _rows(self, plan: ExplanationGraph) -> int:
        """Rows per run: those that the memory holds, and on a CPU no more than are quickest."""
        most = plan.rows_within(self.memory)
        if self.lowering == "cuda":
            return most
        return min(most, rows_in_cache(plan.row_bytes, plan.weight_bytes, self.threads or cores()))

    def reading(self, score: Score) -> ExplanationRuns:
        """The runs on the model with what a score reads; these here, where that is the model's scores, which an
        InputError says it is unclear where they are."""
        if score.tensor is None:
            _ = self.checked
            return self
        with self.lock:
            if score.kind not in self.readings:
                made = self._reading(score)
                if len(self.readings) >= KEPT:
                    self.readings.pop(next(iter(self.readings)))
                self.readings[score.kind] = made
            return self.readings[score.kind]

    @cached_property
    def checked(self) -> None:
        """Tells once which of several outputs holds the scores."""
        check_output(self.model, self.score)

    def _reading(self, score: Score) -> ExplanationRuns:
        if (self.method.many or self.method.compares) and (why := score.refusal(self.model)) is not None:
            raise InputError(f"{self.method.name}: {why}")
        model = score.prepared(self.model)
        finder = replace(self.score_finder, model=model, score=str(score.tensor), found={})
        return replace(self, model=model, score=str(score.tensor), score_finder=finder)

    @property
    def all(self) -> tuple[ExplanationRuns, ...]:
        """These and all that were made of them."""
        made = (*self.readings.values(), *self.controls.values())
        return (self, *(runs for one in made for runs in one.all))

    def score_axes(self, given: Prepared) -> ScoreAxes:
        """The axes of the scores for these inputs."""
        with self.lock:
            return self.score_finder(given, self.shapes(given))

    def shapes(self, given: Prepared) -> Shapes:
        """The shapes that a plan is made for: what the model leaves open, or all of them."""
        whole = all(axis is None for axis in given.batch.axes.values())
        return given.shapes if whole or self._sized else {}

    @cached_property
    def _sized(self) -> bool:
        """Whether a plan is for inputs of one size, however the examples are told."""
        return has_open_sizes(self.model) or self.backend.fixes_sizes

    def plan(self, shapes: Shapes, scores: ScoreAxes, target: Score) -> OpenPlan:
        """The graph for inputs in these shapes with its session, built where it is not held."""
        key = (target.kind, scores.axis, scores.whole, *((name, tuple(shape)) for name, shape in shapes.items()))
        return self.plans.get(key, lambda: self._built_for(shapes, scores, target))

    def open_plan(
        self, lowering: Lowering = "portable", scores: ScoreAxes | None = None, target: Score | None = None
    ) -> ExplanationGraph:
        """The graph for inputs of any size, of standard operators."""
        made = self.backend.for_files.reverse_pass(self.model)
        return explanation_graph(
            self.model, self.method, score=self.score, target=target, lowering=lowering, builder=made, scores=scores,
            rules=self.rules, features=self.features,
        )  # fmt: skip

    @property
    def lowering(self) -> Lowering:
        """The runtime that the nodes are chosen for."""
        return self.backend.lowering(self.providers)

    @property
    def placement(self) -> Placement | None:
        """By provider, how many nodes of each operator of the open graphs it runs; None where that is not known."""
        found: dict[str, Counter[str]] = {}
        for plan in (plan for runs in self.all for plan in runs.plans):
            alone = all(one == CPU for one in self.providers)
            told = {CPU: operators(plan.graph.model.graph)} if alone else plan.session.placement
            if told is None:
                return None
            for name, counted in told.items():
                found.setdefault(name, Counter()).update(counted)
        return found

    @property
    def ruled(self) -> bool:
        """Whether rules of a user's lie over the method's."""
        return self.rules is not EXACT

    def beside(self, control: ControlMap) -> ExplanationRuns:
        """The runs of a control map: another method or score on the same model, by the portable builder."""
        with self.lock:
            if control not in self.controls:
                self.controls[control] = self._opened(control)
            return self.controls[control]

    def _opened(self, control: ControlMap) -> ExplanationRuns:
        where = self.providers if self.backend.in_process else None
        with warnings.catch_warnings(action="ignore"):  # the note was told
            return open_runs(
                self.model, control.method, score=control.score, features=self.features,
                rules=self.rules if control.ruled else EXACT, providers=where, threads=self.threads,
                memory=self.memory, optimization=self.optimization,
            )  # fmt: skip

    def open_early(self) -> None:
        """Builds the graph before the first inputs where neither they nor the kind of score can change it; else finds
        what makes it impossible."""
        scores = self.score_finder.declared
        if not self._sized and scores and scores.single and not is_mixed(self.model):
            self.plan({}, scores, Class())
        else:
            of = None if self.features.inputs else str(row_scores(self.model, self.score).name)
            self.features.explained(self.model.copy(), of=of)

    def _built_for(self, shapes: Shapes, scores: ScoreAxes, target: Score) -> OpenPlan:
        try:
            return self._built(shapes, scores, target)
        except OnnxrayError:
            # The branch of an If that is not taken may contradict the sizes at hand, yet onnxruntime checks it too.
            if not shapes or self.backend.fixes_sizes or not has_branches(self.model):
                raise
            return self._built({}, scores, target)

    def _built(self, shapes: Shapes, scores: ScoreAxes, target: Score) -> OpenPlan:
        with blaming_model(self.model):
            plan = explanation_graph(
                self.model, self.method, score=self.score, lowering=self.lowering, target=target, shapes=shapes,
                builder=self.backend.reverse_pass(self.model), scores=scores, rules=self.rules, features=self.features,
            )  # fmt: skip
            about = described(plan, self.method, self.score, self.note, self.rules)
        if warning := plan.beyond(self.memory):
            warn_caller(warning)
        settings = SessionSettings(self.providers, self.threads, self.optimization)
        session = self.backend.open(plan.model, settings, plan.in_place)
        return OpenPlan(plan, session, Finish(self.method, plan), about)


def open_runs(
    source: Source,
    method: str | Method,
    /,
    *,
    score: str = "logit",
    layer: str | Sequence[str] | None = None,
    features: str | Sequence[str] | Features | None = None,
    rules: Rules = "exact",
    providers: Sequence[Provider] | Provider | None = None,
    builder: str = "portable",
    runtime: str = "onnxruntime",
    threads: int | None = None,
    memory: str | int = "1GB",
    optimization: str = "all",
    **options: Any,
) -> ExplanationRuns:
    """The runs of a method on a model; arguments are those of ``Explainer``. A warning goes to the caller's caller."""
    backend, source = backend_named(builder, runtime), load(source)
    model, made = backend.prepare(source), method_named(method, layer, options)
    credited, laid = _checked_features(features_of(features), made), _checked_rules(overlay_of(rules), made)
    where, name = backend.providers(providers), str(row_scores(model, score).name)
    limit, note = parse_memory(memory), note_of(model, name) if credited.inputs else None
    if note:
        warn_caller(note)
    finder = ScoreFinder(model, score, SessionSettings(where if backend.in_process else None, threads))
    runs = ExplanationRuns(
        model, made, score, credited, laid, backend, where, threads, limit, note, finder, optimization
    )
    runs.open_early()
    return runs


def _checked_features(features: Features, method: Method) -> Features:
    """The features; an InputError for those inside the model where the method has layers of its own."""
    if method.has_layer and not features.inputs:
        raise InputError(f"method {method.name!r} maps a layer: name it by layer=, features= is for other methods")
    if method.has_attention and not features.inputs:
        raise InputError(f"method {method.name!r} maps the model's attention: features= is for other methods")
    return features


def _checked_rules(rules: Overlay, method: Method) -> Overlay:
    """The rules that a user lays over a method's; an InputError for a method that differentiates nothing."""
    if rules is not EXACT and not method.differentiates:
        raise InputError(f"method {method.name!r} takes no gradient, so that rules= would change nothing")
    return rules
