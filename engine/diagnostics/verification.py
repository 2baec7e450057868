"""Whether the gradient of a model can be trusted: both builders, and central differences, on the same inputs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import onnx_ir as ir

from ..attribution.inputs import Inputs, prepare
from ..backends import Backend, backend_named
from ..data.preprocess import Preprocess
from ..errors import BuilderError, InputError
from ..gradient_graph import GradientGraph, differentiate
from ..graph.model import Model, Source, is_float
from ..loading.load import load
from ..passes.fix_shapes import fix_shapes
from ..runtime import OpenSession, Provider, Session, SessionSettings, open_session
from ..support.distance import relative_l2
from ..support.heap import held_memory, reset_peak

__all__ = ["Finding", "Verification", "random_inputs", "verify"]

BUILDERS_AGREE = 1e-4  # relative L2: float32 noise of deep models, kinks included
DIFFERENCES_AGREE = 2e-2  # float32 differences across kinks
_PEAK = "VmHWM"  # the most memory that the process held
_STEPS = 2.0 ** -np.arange(1, 15)  # times the input's own size
_Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Finding:
    """One way to the gradient: how far it is from the portable builder's, what it took, or why there is none.

    ``difference`` is the relative L2 difference, ``seconds`` those of one run, ``memory`` the growth of the process's
    peak in bytes while it ran, where the system tells.
    """

    path: str
    difference: float | None = None
    bound: float | None = None
    seconds: float | None = None
    memory: int | None = None
    note: str = ""

    @property
    def agrees(self) -> bool:
        """Also where there is nothing to compare."""
        return self.difference is None or self.bound is None or self.difference <= self.bound


@dataclass(frozen=True)
class Verification:
    """The result of a verification; ``agrees`` is true if all available ways to compute the gradient agree."""

    model: str
    findings: tuple[Finding, ...]

    @property
    def agrees(self) -> bool:
        return all(finding.agrees for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The record that --json prints."""
        return {
            "model": self.model,
            "agrees": self.agrees,
            "paths": [{**asdict(finding), "agrees": finding.agrees} for finding in self.findings],
        }


def verify(
    model: Source,
    inputs: Inputs | None = None,
    *,
    directions: int = 4,
    providers: Sequence[Provider] | Provider | None = None,
    preprocess: Preprocess | None = None,
    seed: int = 0,
) -> Verification:
    """Compares the gradient graphs of both builders with each other and with central differences.

    ``inputs`` as in ``explain()``; random ones by default. The scores are weighted with random numbers. Where
    onnxruntime-training is not installed, or refuses the model, the report says so and the rest is compared.
    """
    source, draw = load(model), np.random.default_rng(seed)
    feeds = random_inputs(source, draw) if inputs is None else dict(prepare(source, inputs, preprocess).batch.feeds)
    fixed = source.copy()
    fix_shapes(fixed, {name: x.shape for name, x in feeds.items()})
    trial = _Trial(fixed, feeds, draw, providers)
    truth, first = trial.gradient("portable", "portable")
    lowered = trial.against("ort-training, lowered", truth, "ort-training")
    raw = trial.against("ort-training, raw", truth, "ort-training", "training")
    return Verification(
        str(source.path or "the given model"), (first, lowered, raw, trial.differences(truth, directions))
    )


def random_inputs(model: Model, draw: np.random.Generator) -> _Arrays:
    """Standard normal floats and zeros for the rest; an open batch is one example."""
    arrays = {}
    for value in model.inputs:
        dims = list(value.shape) if value.shape is not None else [None]
        if value.shape is None or any(not isinstance(d, int) for d in dims[1:]):
            raise InputError(
                f"the size of input {value.name!r} is open: {dims}; give a picture or an array of that size"
            )
        shape = [d if isinstance(d, int) else 1 for d in dims]
        kind = value.dtype.numpy() if value.dtype else np.dtype(np.float32)
        arrays[str(value.name)] = (draw.standard_normal(shape) if is_float(value) else np.zeros(shape)).astype(kind)
    return arrays


@dataclass(eq=False)
class _Trial:
    """A model of fixed shapes with its inputs, and random weights of its scores."""

    model: Model
    feeds: _Arrays
    draw: np.random.Generator
    providers: Any
    cotangents: _Arrays | None = None

    def gradient(self, path: str, builder: str, runtime: str = "onnxruntime") -> tuple[_Arrays, Finding]:
        """The gradients by one backend, and what it took: memory where this process runs it."""
        backend = backend_named(builder, runtime)
        graph = differentiate(self.model, builder=builder, runtime=runtime)
        session = self._opened(backend, graph)
        seeds = {graph.seeds[y]: w for y, w in self._weights(graph).items()}
        feeds, names = {**self.feeds, **seeds}, list(graph.gradients.values())
        session.run(feeds, names)
        reset = reset_peak()
        before, started = held_memory(_PEAK), time.perf_counter()
        found = session.run(feeds, names)
        seconds = time.perf_counter() - started
        memory = held_memory(_PEAK) - before if reset and before and backend.in_process else None
        return {x: found[name] for x, name in graph.gradients.items()}, Finding(path, None, None, seconds, memory)

    def _opened(self, backend: Backend, graph: GradientGraph) -> OpenSession:
        """A session of a gradient graph; another process runs it on its CPU, as it may lack the requested providers."""
        where = backend.providers(self.providers if backend.in_process else None)
        return backend.open(Model(ir.from_proto(graph.model), self.model.path), SessionSettings(where))

    def against(self, path: str, truth: _Arrays, builder: str, runtime: str = "onnxruntime") -> Finding:
        """The second builder's way, compared."""
        try:
            found, took = self.gradient(path, builder, runtime)
        except BuilderError as error:
            return Finding(path, note=str(error))
        return replace(took, difference=relative_l2(found.values(), truth.values()), bound=BUILDERS_AGREE)

    def _weights(self, graph: GradientGraph) -> _Arrays:
        """One random number per score."""
        if self.cotangents is None:
            outputs = open_session(self.model.proto(), self.providers).run(self.feeds, list(graph.seeds))
            self.cotangents = {y: self.draw.standard_normal(out.shape).astype(out.dtype) for y, out in outputs.items()}
        return self.cotangents

    def differences(self, truth: _Arrays, directions: int) -> Finding:
        """Slopes along directions, half along the gradient and half at random, against what the gradient says."""
        session, started = open_session(self.model.proto(), self.providers), time.perf_counter()
        pairs = [self._slopes(session, truth) for _ in range(directions)]
        told, measured = (np.array(side) for side in zip(*pairs, strict=True))
        error = relative_l2([told], [measured])
        seconds = time.perf_counter() - started
        return Finding(f"central differences, {directions} directions", error, DIFFERENCES_AGREE, seconds)

    def _slopes(self, session: Session, truth: _Arrays) -> tuple[float, float]:
        direction = {x: _unit(g) + _unit(self.draw.standard_normal(g.shape)) for x, g in truth.items()}
        told = sum(float(np.sum(g.astype(np.float64) * direction[x])) for x, g in truth.items())
        size = max(float(np.linalg.norm(self.feeds[x].astype(np.float64))) for x in truth)
        steps = [step * max(size, 1.0) for step in _STEPS]
        slopes = [(self._score(session, direction, h) - self._score(session, direction, -h)) / (2 * h) for h in steps]
        return told, _settled(slopes)

    def _score(self, session: Session, direction: Mapping[str, np.ndarray], step: float) -> float:
        """The weighted sum of the scores a step away, added up in float64."""
        moved = {
            name: (x + step * direction[name]).astype(x.dtype) if name in direction else x
            for name, x in self.feeds.items()
        }
        weights = self.cotangents or {}
        outputs = session.run(moved, list(weights))
        return sum(float(np.sum(outputs[y].astype(np.float64) * w)) for y, w in weights.items())


def _settled(slopes: Sequence[float]) -> float:
    """The slope where neighbouring steps agree best: larger ones bend, smaller ones drown in rounding."""
    spread = [abs(a - b) + abs(b - c) for a, b, c in zip(slopes, slopes[1:], slopes[2:], strict=False)]
    return slopes[int(np.argmin(spread)) + 1]


def _unit(x: np.ndarray) -> np.ndarray:
    wide = x.astype(np.float64)
    return wide / max(float(np.linalg.norm(wide)), 1e-30)
