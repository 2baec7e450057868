"""Explainer: one method on one model, built once, called often."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..attribution.axes import Shapes, declared_axes, explained_inputs, is_mixed
from ..attribution.export import exported
from ..attribution.faulty_maps import Question, faults_of, final_activation, not_zero, recorded, scaled_target, warn_of
from ..attribution.inputs import Inputs, prepare
from ..attribution.joining import joined
from ..attribution.memory import parse_memory
from ..attribution.plan import ExplanationGraph, explanation_graph
from ..attribution.plan_cache import Plans, has_branches, has_open_sizes
from ..attribution.result import Attribution
from ..attribution.run import Progress, Sums, run_samples
from ..attribution.score import row_scores
from ..attribution.score_axes import ScoreAxes
from ..attribution.score_finder import ScoreFinder
from ..attribution.shadow_gap import warn_of_gap
from ..attribution.target import is_seed, resolve_target
from ..autodiff.backward import Activation
from ..autodiff.embeddings import note_of
from ..backends import builder_named, lowering_for, with_fixed_batch
from ..data.batch import Prepared
from ..data.preprocess import Preprocess
from ..errors import OnnxrayError
from ..graph.builder import Lowering
from ..graph.model import Source
from ..loading.load import load
from ..loading.saving import write_model
from ..methods import Method, method_named
from ..runtime import Provider, Session, blaming_model, open_model, resolve_providers
from .assemble import attribution_of, provenance_of

__all__ = ["Explainer"]


class Explainer:
    """One attribution method on one model: built once, called often.

    A model with open sizes is built for each size of input anew; the last eight of these graphs are kept.

    Args:
        model: Path, bytes, ModelProto or ``Model``.
        method: Name of an attribution method, which ``onnxray.METHODS`` has, or an instance of it.
        score: "logit" (before a final Softmax, LogSoftmax or Sigmoid), "output" (as it is), or the name of a tensor.
        layer: Layer that grad-cam explains; None for the last convolution.
        providers: Execution providers, "cpu", "cuda" or as onnxruntime names them; None for the CPU.
        builder: "portable", or "ort-training" for the gradient graph of onnxruntime-training.
        runtime: "onnxruntime", or "training" to run the graph of "ort-training" in onnxruntime-training itself.
        threads: CPU threads of one run; None for all cores.
        memory: Bytes, or text such as "512MB", that its session and one run may take beside the weights; it never
            changes a result.
        preprocess: How pictures become inputs; None for what the model carries.
        **options: Options of the method, which ``onnxray methods`` lists, such as ``steps=20``.

    Raises:
        ModelError: A model that cannot be read or run, or lacks the layer or score.
        NoGradientPath: A score that does not depend differentiably on the input.
        UnsupportedOperator: An operator between input and score that has no gradient rule.
        InputError: An unknown method, option, builder or runtime, or a value that is none.
        BuilderError: onnxruntime-training failed.
        RuntimeUnavailable: onnxruntime or the provider is missing.

    Example:
        >>> import numpy as np, onnxray.models
        >>> explainer = onnxray.Explainer(onnxray.models.path("digits.onnx"), "integrated-gradients", steps=20)
        >>> for x in np.random.default_rng(0).random((2, 3, 1, 28, 28), np.float32):
        ...     print(explainer(x).values.shape)
        (3, 1, 28, 28)
        (3, 1, 28, 28)
    """

    def __init__(
        self,
        model: Source,
        method: str | Method = "saliency",
        *,
        score: str = "logit",
        layer: str | None = None,
        providers: Sequence[Provider] | Provider | None = None,
        builder: str = "portable",
        runtime: str = "onnxruntime",
        threads: int | None = None,
        memory: str | int = "1GB",
        preprocess: Preprocess | None = None,
        **options: Any,
    ) -> None:
        self.model = load(model)
        builder_named(builder, self.model, runtime)
        self.builder, self.runtime = builder, runtime
        self.model = self.model if runtime == "onnxruntime" else _training().at_training_opset(self.model)
        self.method = method_named(method, layer, options)
        self.score = score
        self.providers = (resolve_providers if runtime == "onnxruntime" else _training().training_providers)(providers)
        self.threads = threads
        self.memory = parse_memory(memory)
        self.preprocess = preprocess
        self._others: dict[tuple[Method, str], Explainer] = {}
        self.note = note_of(self.model, str(row_scores(self.model, score).name))
        if self.note:
            warnings.warn(self.note, UserWarning, stacklevel=2)
        self._plans: Plans[tuple[ExplanationGraph, Session]] = Plans(lambda plan: plan[1].close())
        self._scores = ScoreFinder(self.model, score, self.providers if runtime == "onnxruntime" else None, threads)
        scores = declared_axes(self.model, score)
        if not has_open_sizes(self.model) and runtime == "onnxruntime" and scores and not is_mixed(self.model):
            self._plan({}, scores, seeded=False)
        else:
            explained_inputs(self.model.copy())

    def __call__(self, inputs: Inputs, target: Any = "top1", *, progress: Progress | None = None) -> Attribution:
        """Explains a batch of inputs.

        Args:
            inputs: An array ``(N, *input)``, a dict of arrays by input name, or pictures (paths or PIL images).
            target: "top1" or a class index; a tuple of indices where the scores of an example have several axes; a list
                of one for each example; or a float array in the shape of the scores, which weights them.
            progress: Called with the rows that are done and the rows in all.

        Returns:
            Attribution: ``values`` ``(N, *input)``, a dict of these for several inputs, or ``(N, h, w)`` from grad-cam.

        Raises:
            InputError: Inputs or a target that do not fit the model.
            ExecutionError: onnxruntime failed at a node, which the message names.

        Example:
            >>> import onnxray.models
            >>> explainer = onnxray.Explainer(onnxray.models.path("digits.onnx"), "grad-cam")
            >>> found = explainer(onnxray.models.path("digit.png"), target=6)
            >>> found.values.shape, found.target.tolist()
            ((1, 7, 7), [6])
        """
        return self._checked(*self._explained(inputs, target, progress))

    def with_outputs(self, inputs: Inputs, target: Any = "top1") -> tuple[Attribution, dict[str, np.ndarray]]:
        """The attribution of a batch, and the outputs of the same run by name; whole where they count no examples."""
        found, given, sums = self._explained(inputs, target, keep=True)
        return self._checked(found, given, sums), joined(self.model, sums.outputs, sums.rows, len(found.score))

    def _explained(
        self, inputs: Inputs, target: Any, progress: Progress | None = None, keep: bool = False
    ) -> tuple[Attribution, Prepared, Sums]:
        given = prepare(self.model, inputs, self.preprocess)
        scores = self._scores(given, self._shapes(given))
        given = given.as_one if scores.whole else given
        given = given if self.runtime == "onnxruntime" else with_fixed_batch(given)
        plan, session = self._plan(self._shapes(given), scores, is_seed(target))
        wanted = resolve_target(target, given.batch.examples, scores)
        points = self.method.points(plan.explained)
        rows = self._rows(plan) if given.batch.examples > 1 or points else 1
        sums = run_samples(session, plan, given.batch, wanted, points, rows, progress, keep)
        made = provenance_of(plan, self.method, self.score, self.note)
        return attribution_of(plan, self.method, given, wanted, scores.named(sums.chosen), sums, made), given, sums

    def _checked(self, found: Attribution, given: Prepared, sums: Sums) -> Attribution:
        """The attribution; what is wrong with its maps is warned of and kept in its provenance."""

        def answers(question: Question, rows: np.ndarray) -> np.ndarray:
            other = self._beside(question.method, question.score)
            shape = other._scores(given, other._shapes(given)).shape
            target = scaled_target(found.target[rows], sums.chosen[rows], question.factor, shape)
            return not_zero(other._explained(given.batch.take(rows), target)[2].values.values())

        warn_of_gap(found.provenance, stacklevel=3)
        activation = final_activation(self.model, self.score)
        faults = faults_of(sums.values.values(), found.score, self.method, self.score, activation, answers)
        warn_of(faults, found.method, len(found.score), stacklevel=3)
        return replace(found, provenance={**found.provenance, **recorded(faults)}) if faults else found

    def _beside(self, method: Method, score: str) -> Explainer:
        """Another method or score on the same model."""
        if (method, score) not in self._others:
            where = self.providers if self.runtime == "onnxruntime" else None
            with warnings.catch_warnings(action="ignore"):  # the note was told
                other = Explainer(
                    self.model, method, score=score, providers=where, memory=self.memory, threads=self.threads
                )
            self._others[method, score] = other
        return self._others[method, score]

    @property
    def activations(self) -> tuple[Activation, ...]:
        """Every activation node with what the method's Relu policy did to it."""
        return (next((plan for plan, _ in self._plans), None) or self._open_plan()).activations

    @property
    def plans(self) -> tuple[ExplanationGraph, ...]:
        """The graphs that are open in sessions."""
        return tuple(plan for one in (self, *self._others.values()) for plan, _ in one._plans)

    def save(self, path: str | PathLike[str]) -> Path:
        """Writes the explainer as one ONNX file of standard operators, with the weights beside it from 2 GB on.

        Inputs of the file are the model's and ``target``, int64 ``(N,)``, -1 for the top class (of scores of several
        axes a place in C order); outputs are the model's, then ``score`` ``(N,)`` and ``attribution``
        (``attribution_NAME`` where several inputs are explained). It runs anywhere; an explainer on CUDA writes
        convolutions as they are fastest there. Of an input that all rows share the file takes one row at a time: with
        more, the gradient is the sum of theirs, and methods of many points fail.

        Args:
            path: Where the file is written.

        Returns:
            Path: The file.

        Raises:
            OutputError: The file cannot be written.
            ModelError: The explanation cannot be built for inputs of any size.

        Example:
            >>> import numpy as np, onnxruntime, onnxray.models
            >>> file = onnxray.Explainer(onnxray.models.path("digits.onnx")).save("explainer.onnx")
            >>> session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
            >>> feeds = {"image": np.zeros((2, 1, 28, 28), np.float32), "target": np.array([3, -1])}
            >>> session.run(["attribution"], feeds)[0].shape
            (2, 1, 28, 28)
        """
        plan = self._open_plan("cuda" if lowering_for(self.providers) == "cuda" else "portable", self._scores.known)
        return write_model(exported(plan, self.method), path)

    def _open_plan(self, lowering: Lowering = "portable", scores: ScoreAxes | None = None) -> ExplanationGraph:
        """The graph for inputs of any size."""
        made = builder_named(self.builder, self.model)
        return explanation_graph(
            self.model, self.method, score=self.score, lowering=lowering, builder=made, scores=scores
        )

    def _rows(self, plan: ExplanationGraph) -> int:
        """Rows per run; 1 if an explained input has no batch axis."""
        if None in (about.batch for about in plan.explained.values()):
            return 1
        return max(1, (self.memory - plan.held_bytes) // max(1, plan.row_bytes))

    def _plan(self, shapes: Shapes, scores: ScoreAxes, seeded: bool) -> tuple[ExplanationGraph, Session]:
        key = (seeded, scores.axis, scores.whole, *((name, tuple(shape)) for name, shape in shapes.items()))
        return self._plans.get(key, lambda: self._built_for(shapes, scores, seeded))

    def _built_for(self, shapes: Shapes, scores: ScoreAxes, seeded: bool) -> tuple[ExplanationGraph, Session]:
        try:
            return self._built(shapes, scores, seeded)
        except OnnxrayError:
            # The branch of an If that is not taken may contradict the sizes at hand, yet onnxruntime checks it too.
            if not shapes or self.runtime == "training" or not has_branches(self.model):
                raise
            return self._built({}, scores, seeded)

    def _built(self, shapes: Shapes, scores: ScoreAxes, seeded: bool) -> tuple[ExplanationGraph, Session]:
        with blaming_model(self.model):
            plan = explanation_graph(
                self.model, self.method, score=self.score, lowering=lowering_for(self.providers), seeded=seeded,
                shapes=shapes, builder=builder_named(self.builder, self.model, self.runtime), scores=scores,
            )  # fmt: skip
        return plan, self._opened(plan)

    def _opened(self, plan: ExplanationGraph) -> Session:
        if self.runtime == "training":
            return _training().open_training_session(plan.model.proto(), self.providers, self.threads)
        return open_model(plan.model, self.providers, self.threads)

    def _shapes(self, given: Prepared) -> Mapping[str, Sequence[int | str | None]]:
        """The shapes that a plan is made for: what the model leaves open, or all of them."""
        whole = all(axis is None for axis in given.batch.axes.values())
        return given.shapes if whole or has_open_sizes(self.model) or self.runtime == "training" else {}


def _training() -> ModuleType:
    from .. import training  # onnxruntime-training's side, imported late as few need it

    return training
