"""Explainer: one method on one model, built once, called often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from ..attribution.export import exported
from ..attribution.faulty_maps import ControlMap, as_provenance, control_maps, faults_of, not_zero, warn_of
from ..attribution.features import Features
from ..attribution.inputs import InputReader, Inputs
from ..attribution.joining import joined
from ..attribution.plan import ExplanationGraph
from ..attribution.result import Attribution
from ..attribution.run import Progress, Sums
from ..attribution.score_axes import ScoreAxes
from ..attribution.scores import SCORES, Score, Settled, score_of
from ..attribution.shadow_gap import warn_of_gap
from ..autodiff.backward import Activation
from ..autodiff.overlays import Rules
from ..data.batch import Prepared
from ..data.preprocess import Preprocess
from ..graph.model import Source
from ..graph.placed_nodes import Placement
from ..loading.saving import write_model
from ..methods import Method
from ..runtime import Provider
from ..support.choice import choose
from .explanation_runs import ExplanationRuns, open_runs

__all__ = ["Answer", "Explainer"]


@dataclass(frozen=True, eq=False)
class Answer:
    """The attribution of a batch; the outputs of the same run by name, whole where they count no examples; the target
    that it settled, (N, ...); and the axes of the scores that were explained."""

    attribution: Attribution
    outputs: Mapping[str, np.ndarray]
    settled: np.ndarray
    scores: ScoreAxes


class Explainer:
    """One attribution method on one model: built once, called often.

    A model with open sizes is built for each size of input anew; the last eight of these graphs are kept. Several
    threads may call one explainer at the same time.

    Args:
        model: Path, bytes, ModelProto or ``Model``.
        method: Name of an attribution method, which ``onnxray.METHODS`` has, or an instance of it.
        score: "logit" (before a final Softmax, LogSoftmax or Sigmoid), "output" (as it is), or the name of a tensor.
        layer: Layer that class activation maps explain, or several, whose maps are merged; None for the last feature
            maps before pooling, behind their activation, or of transformers the tokens that the last attention reads.
        features: What gets the credit for the score: the names of layers or tensors inside the model; None for its
            inputs.
        rules: Rules of differentiation laid over the method's own: an ``Overlay``, its name, or a mapping of operators
            to functions ``rule(g, node, dy)``.
        providers: Execution providers, "cpu", "cuda", "openvino" or as onnxruntime names them; None for the CPU.
        builder: "portable", or "ort-training" for the gradient graph of onnxruntime-training.
        runtime: "onnxruntime", or "training" to run the graph of "ort-training" in onnxruntime-training itself.
        threads: CPU threads of one run; None for all cores.
        memory: Bytes, or text such as "512MB", that its session and one run may take beside the weights; it never
            changes a result.
        optimization: How far onnxruntime rewrites the graph before it runs it: "off", "basic", "extended" or "all".
        preprocess: How pictures become inputs, also in words: "imagenet", "unit,fit=crop,size=224x224"; None for what
            the model carries.
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
        layer: str | Sequence[str] | None = None,
        features: str | Sequence[str] | Features | None = None,
        rules: Rules = "exact",
        providers: Sequence[Provider] | Provider | None = None,
        builder: str = "portable",
        runtime: str = "onnxruntime",
        threads: int | None = None,
        memory: str | int = "1GB",
        optimization: str = "all",
        preprocess: Preprocess | str | None = None,
        **options: Any,
    ) -> None:
        self._runs = open_runs(
            model, method, score=score, layer=layer, features=features, rules=rules, providers=providers,
            builder=builder, runtime=runtime, threads=threads, memory=memory, optimization=optimization, **options,
        )  # fmt: skip
        self.model, self.method, self.score = self._runs.model, self._runs.method, score
        self.builder, self.runtime = builder, runtime
        self.providers, self.threads = self._runs.providers, threads
        self._reader = InputReader(self.model, preprocess)
        self.note = self._runs.note

    def __call__(self, inputs: Inputs, target: Any = "top1", *, progress: Progress | None = None) -> Attribution:
        """Explains a batch of inputs.

        Args:
            inputs: An array ``(N, *input)``, a dict of arrays by input name, or pictures (paths or PIL images).
            target: "top1" or a class index; a tuple of indices where the scores of an example have several axes; a list
                of one for each example; a float array in the shape of the scores, which weights them; or one of
                ``onnxray.scores``, such as ``Contrast(6, 8)``, ``Token(5)`` or ``Mask(mask, 3)``.
            progress: Called with the rows that are done and the rows in all.

        Returns:
            Attribution: ``values`` ``(N, *input)``, a dict of these for several inputs, or ``(N, h, w)`` from a
                method with a layer.

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
        score = score_of(target)
        runs = self._runs.reading(score)
        return self._checked(runs, *runs.run(self._reader(inputs), score, progress), score)

    def with_outputs(self, inputs: Inputs, target: Any = "top1") -> tuple[Attribution, Mapping[str, np.ndarray]]:
        """The attribution of a batch, and the outputs of the same run by name; whole where they count no examples."""
        answer = self.answer(inputs, target)
        return answer.attribution, answer.outputs

    def answer(self, inputs: Inputs, target: Any = "top1") -> Answer:
        """The attribution of a batch with what its run gave: outputs, and the target that the data settled."""
        score = score_of(target)
        runs = self._runs.reading(score)
        found, given, sums = runs.run(self._reader(inputs), score, keep=True)
        outputs = joined(self.model, sums.outputs, sums.rows, len(found.score))
        attribution = self._checked(runs, found, given, sums, score)
        return Answer(attribution, outputs, sums.settled, runs.score_finder.known)

    def _checked(
        self, runs: ExplanationRuns, found: Attribution, given: Prepared, sums: Sums, score: Score
    ) -> Attribution:
        """The attribution; what is wrong with its maps is warned of and kept in its provenance."""

        def is_not_zero(control: ControlMap, rows: np.ndarray) -> np.ndarray:
            other = runs.beside(control)
            few = self._reader(given.batch.take(rows))
            return not_zero(other.run(few, Settled(score, sums.settled[rows]))[2].values.values())

        warn_of_gap(found.provenance)
        controls = control_maps(self.method, runs.model, runs.score, runs.ruled)
        faults = faults_of(sums.values.values(), found.score, self.method, controls, is_not_zero)
        warn_of(faults, found.method, len(found.score))
        return replace(found, provenance={**found.provenance, **as_provenance(faults)}) if faults else found

    @property
    def preprocess(self) -> Preprocess | None:
        """How pictures become inputs; None for what the model carries."""
        return self._reader.named

    @preprocess.setter
    def preprocess(self, preprocess: Preprocess | str | None) -> None:
        self._reader = InputReader(self.model, preprocess)

    @property
    def memory(self) -> int:
        """Bytes that its session and one run may take beside the weights."""
        return self._runs.memory

    @memory.setter
    def memory(self, limit: int) -> None:
        for runs in self._runs.all:
            runs.memory = limit

    @property
    def placement(self) -> Placement | None:
        """By execution provider, how many nodes of each operator it runs in the graphs that are open; what a provider
        cannot run is at "CPUExecutionProvider". None where the runtime does not tell, as onnxruntime-training."""
        return self._runs.placement

    @property
    def activations(self) -> tuple[Activation, ...]:
        """Every activation node with what the method's Relu policy did to it."""
        return (next((plan.graph for plan in self._runs.plans), None) or self._runs.open_plan()).activations

    @property
    def plans(self) -> tuple[ExplanationGraph, ...]:
        """The graphs that are open in sessions."""
        return tuple(plan.graph for runs in self._runs.all for plan in runs.plans)

    def save(self, path: str | PathLike[str], *, target: str | Score = "class") -> Path:
        """Writes the explainer as one ONNX file of standard operators, with the weights beside it from 2 GB on.

        Inputs of the file are the model's and ``target``, int64 ``(N,)``, -1 for the top class (of scores of several
        axes a place in C order); outputs are the model's, then ``score`` ``(N,)``, ``attribution``
        (``attribution_NAME`` where several inputs are explained) and, from integrated-gradients, ``delta`` ``(N,)``. It
        runs anywhere. With groups="superpixels" it has one input more, "groups/NAME", int64: the superpixel of each
        place of each example; feature-permutation has "others/NAME", float ``(N, samples, ...)``: the values that each
        example takes from others; a baseline of each example, or "mean", is an input "baseline/NAME", float. An
        explainer on CUDA writes convolutions as they are fastest there. Of an input that all rows share the file takes
        one row at a time: with more, the gradient is the sum of theirs, and methods of many points fail.

        Args:
            path: Where the file is written.
            target: The kind of target that the file takes, or a score of that kind. "class" and "not", its negative;
                "contrast", int64 ``(N, 2)``, whose score is the first class's less the second's; "weights", a float
                input ``seed`` in the shape of the scores; "token", int64 ``(N, 2)``, the position and the word, -1 for
                the top one; "letter", int64 ``(N, 2 + steps)``, the letter's number, the blank, and -1 for each step;
                "mask", int64 in the shape of the scores without their channels, the channel that is summed at each
                place, -1 outside and -2 for the top channel; "box", float ``(N, 7)``: -1, the class or -1 for any, the
                rank, and NaN four times or the x1, y1, x2, y2 that the box overlaps; "boxes", float
                ``(N, 1 + boxes)``, the class, and -1 for each box; "cosine" or "euclidean", a float
                input ``embedding`` in the shape of the scores; "norm", whose int64 ``target`` ``(N,)`` may hold
                anything.

        Returns:
            Path: The file. Its metadata name method, score, layer, the target's input, how pictures become inputs,
                labels, onnxray's version, and the sha256 of the model.

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
        return write_model(self.exported(target), path)

    def exported(self, target: str | Score = "class") -> ir.Model:
        """The model that ``save`` writes, in memory."""
        kind = target if isinstance(target, Score) else SCORES[choose(target, SCORES, "kind of target")]
        lowering = "cuda" if self._runs.lowering == "cuda" else "portable"
        runs = self._runs.reading(kind)
        plan = runs.open_plan(lowering, runs.score_finder.known, kind)
        about = {"score": self.score, "model": self._runs.model.digest}
        program = exported(plan, self.method, runs.rules, kind.takes, about)
        program.metadata_props.update(self._reader.to_metadata())
        return program

    def target_input(self, target: Any, examples: int = 1) -> np.ndarray:
        """The value of a saved file's input ``target``, ``(examples, ...)``, that means the ``target`` of a call.

        Args:
            target: As in a call, such as ``6`` or ``onnxray.scores.Box(0)``.
            examples: How many examples the file is given.

        Raises:
            InputError: The target names no score of the model, or the shape of the scores is known in a run only.

        Example:
            >>> import onnxray.models
            >>> explainer = onnxray.Explainer(onnxray.models.path("digits.onnx"))
            >>> explainer.target_input(onnxray.scores.Contrast(6, 8)).tolist()
            [[6, 8]]
        """
        score = score_of(target)
        return score.resolve(examples, self._runs.reading(score).score_finder.known)
