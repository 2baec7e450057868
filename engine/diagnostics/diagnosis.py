"""Self-examination: the runtime, its providers, the processor, and what they mean for the results of a model."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from onnx.reference import ReferenceEvaluator

from ..errors import OnnxrayError
from ..gradient_graph import GradientGraph, differentiate
from ..loading.load import load
from ..runtime import available_providers, open_session
from ..support.distance import relative_l2
from ..support.execution_providers import RUNTIME_PACKAGES
from ..support.processor import Processor, this_processor
from ..support.versions import installed_versions
from .byte_products import products_saturate
from .verification import random_inputs
from .where_nodes_run import placement

__all__ = ["Diagnosis", "ProviderTest", "diagnose"]

PACKAGES = ("onnxray", *RUNTIME_PACKAGES, "onnx", "onnx-ir", "numpy")
AGREES = 1e-2  # relative L2: products of TensorFloat-32 differ by some 1e-3
VNNI = frozenset({"avx_vnni", "avx512_vnni", "amx_int8", "asimddp", "i8mm"})
HALF = frozenset({"avx512_fp16", "asimdhp"})


@dataclass(frozen=True)
class ProviderTest:
    """The gradient of a small convolutional net on one execution provider, against ONNX's reference in NumPy.

    ``difference`` is the relative L2 difference, ``on_cpu`` the operators that the provider left to the CPU; ``note``
    says why a provider did not run.
    """

    provider: str
    difference: float | None = None
    seconds: float | None = None
    nodes: int = 0
    on_cpu: tuple[str, ...] = ()
    note: str = ""

    @property
    def passed(self) -> bool:
        return self.difference is not None and self.difference <= AGREES


@dataclass(frozen=True)
class Diagnosis:
    """The report of ``onnxray doctor``; ``notes`` say what the facts mean for the results of a model."""

    versions: Mapping[str, str]
    python: str
    system: str
    processor: Processor
    products_saturate: bool
    providers: tuple[ProviderTest, ...]
    notes: tuple[str, ...]

    @property
    def healthy(self) -> bool:
        """Whether every provider that started gives the right gradient, the CPU among them."""
        ran = [one.passed for one in self.providers if one.difference is not None]
        return bool(ran) and all(ran)

    def to_json(self) -> dict[str, Any]:
        """The record that --json prints."""
        return {**asdict(self), "healthy": self.healthy}


def diagnose(model: str | bytes) -> Diagnosis:
    """Examines this installation, with the gradient of ``model``, whose input is small and of a known shape."""
    processor, cut_off = this_processor(), products_saturate()
    return Diagnosis(
        versions=installed_versions(PACKAGES),
        python=platform.python_version(),
        system=platform.platform(),
        processor=processor,
        products_saturate=cut_off,
        providers=tuple(_self_tests(model)),
        notes=(_on_bytes(processor, cut_off), _on_halves(processor)),
    )


def _self_tests(model: str | bytes) -> list[ProviderTest]:
    source = load(model)
    graph, draw = differentiate(source), np.random.default_rng(0)
    feeds = random_inputs(source, draw)
    outputs = open_session(source.proto()).run(feeds)
    feeds |= {seed: draw.standard_normal(outputs[y].shape).astype(np.float32) for y, seed in graph.seeds.items()}
    names = list(graph.gradients.values())
    other = differentiate(source, lowering="cuda")  # the reference runs no ConvTranspose of unequal groups (onnx 1.23)
    truth = [np.asarray(one) for one in ReferenceEvaluator(other.model).run(names, feeds)]
    return [_self_test(one, graph, feeds, dict(zip(names, truth, strict=True))) for one in available_providers()]


def _self_test(
    provider: str, graph: GradientGraph, feeds: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]
) -> ProviderTest:
    try:
        session = open_session(graph.model, provider)
        session.run(feeds, list(truth))  # the first run loads kernels
        started = time.perf_counter()
        found = session.run(feeds, list(truth))
        seconds = time.perf_counter() - started
        placed = placement(graph.model.SerializeToString(), feeds, provider)
    except OnnxrayError as error:
        return ProviderTest(provider, note=str(error))
    own = placed.pop(provider, {})
    left = tuple(sorted({operator for operators in placed.values() for operator in operators})) if own else ()
    note = "" if own else "runs none of the nodes of a small convolutional net: all are on the CPU"
    return ProviderTest(provider, relative_l2(found.values(), truth.values()), seconds, sum(own.values()), left, note)


def _on_bytes(processor: Processor, cut_off: bool) -> str:
    if cut_off:
        return (
            "8-bit models: sums of products of uint8 and int8 are cut off at 16 bits here (no VNNI), so a model whose"
            " int8 weights use all 8 bits may answer otherwise than on another machine; 'onnxray inspect' names its"
            " layers. Quantise with reduce_range=True or with uint8 weights"
        )
    exact = "8-bit models: products of uint8 and int8 are exact here"
    return exact if VNNI & set(processor.features) or not _is_x86() else f"{exact}, though the processor has no VNNI"


def _on_halves(processor: Processor) -> str:
    if HALF & set(processor.features):
        return "float16 models: the processor has 16-bit arithmetic, whose results may round otherwise than elsewhere"
    return "float16 models: the CPU computes them in float32 between casts, as it has no 16-bit arithmetic"


def _is_x86() -> bool:
    return platform.machine().lower() in {"x86_64", "amd64", "i386", "i686"}
