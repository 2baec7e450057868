"""Backends: what prepares a model, appends the reverse pass and runs the graph, behind one protocol."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import ModuleType
from typing import ClassVar, Protocol

from .autodiff.backward import Builder, backward
from .blocked_session import open_in_blocks
from .data.batch import Prepared
from .errors import InputError
from .graph.builder import Lowering
from .graph.model import Model
from .runtime import OpenSession, Provider, SessionSettings, open_model, resolve_providers
from .support.choice import choose

__all__ = ["BACKENDS", "BUILDERS", "Backend", "Onnxruntime", "OnnxruntimeTraining", "backend_named"]

RequestedProviders = Sequence[Provider] | Provider | None
_LOWERINGS: dict[str, Lowering] = {"CPUExecutionProvider": "cpu", "CUDAExecutionProvider": "cuda"}


class Backend(Protocol):
    """A gradient builder with the runtime of its graphs."""

    fixes_sizes: ClassVar[bool]
    """Whether a graph is built for one size of every input, the batch included."""
    in_process: ClassVar[bool]
    """Whether graphs run in this process, on the providers of onnxruntime itself."""

    @property
    def for_files(self) -> Backend:
        """The backend with the same builder whose graphs hold standard operators only."""
        ...

    def prepare(self, model: Model) -> Model:
        """The model in the form that the backend takes. Raises BuilderError if there is none."""
        ...

    def providers(self, requested: RequestedProviders) -> list[Provider]:
        """Full names of execution providers that the runtime has; the CPU by default. Raises RuntimeUnavailable."""
        ...

    def inputs(self, given: Prepared) -> Prepared:
        """The inputs as the graphs take them."""
        ...

    def lowering(self, providers: Sequence[Provider]) -> Lowering:
        """The runtime that nodes are chosen for."""
        ...

    def reverse_pass(self, model: Model) -> Builder:
        """The function that appends the reverse pass to a graph of the model, which errors name."""
        ...

    def open(self, model: Model, settings: SessionSettings, in_place: Collection[str] = ()) -> OpenSession:
        """Loads a graph; weights that ``in_place`` names are read where they are where the runtime can."""
        ...


@dataclass(frozen=True)
class Onnxruntime:
    """Graphs of standard operators, which onnxruntime runs; ``builder_for`` makes the reverse pass for a model."""

    builder_for: Callable[[Model], Builder]
    fixes_sizes: ClassVar[bool] = False
    in_process: ClassVar[bool] = True

    @property
    def for_files(self) -> Backend:
        return self

    def prepare(self, model: Model) -> Model:
        return model

    def providers(self, requested: RequestedProviders) -> list[Provider]:
        return resolve_providers(requested)

    def inputs(self, given: Prepared) -> Prepared:
        return given

    def lowering(self, providers: Sequence[Provider]) -> Lowering:
        return _lowering(providers)

    def reverse_pass(self, model: Model) -> Builder:
        return self.builder_for(model)

    def open(self, model: Model, settings: SessionSettings, in_place: Collection[str] = ()) -> OpenSession:
        return open_in_blocks(model, settings, in_place) or open_model(model, settings, in_place)


@dataclass(frozen=True)
class OnnxruntimeTraining:
    """Graphs as onnxruntime-training builds them, with operators of its own, which its process runs."""

    fixes_sizes: ClassVar[bool] = True
    in_process: ClassVar[bool] = False

    @property
    def for_files(self) -> Backend:
        return Onnxruntime(_lowered)

    def prepare(self, model: Model) -> Model:
        return _training().at_training_opset(model)

    def providers(self, requested: RequestedProviders) -> list[Provider]:
        return _training().training_providers(requested)

    def inputs(self, given: Prepared) -> Prepared:
        return replace(given, batch=replace(given.batch, fixed=given.batch.fixed or given.batch.examples))

    def lowering(self, providers: Sequence[Provider]) -> Lowering:
        return _lowering(providers)

    def reverse_pass(self, model: Model) -> Builder:
        return partial(_training().training_backward, name=_name(model), lowered=False)

    def open(self, model: Model, settings: SessionSettings, in_place: Collection[str] = ()) -> OpenSession:
        if (level := settings.optimization) != "all":
            raise InputError(f"optimization={level!r}: onnxruntime-training optimises its graphs itself")
        where, threads = settings.providers, settings.threads
        return _training().open_training_session(model.proto(), where, threads, name=_name(model))


def _portable(model: Model) -> Builder:
    return backward


def _lowered(model: Model) -> Builder:
    """onnxruntime-training's reverse pass in standard operators."""
    return partial(_training().training_backward, name=_name(model))


def _lowering(providers: Sequence[Provider]) -> Lowering:
    first = providers[0] if isinstance(providers[0], str) else providers[0][0]
    return _LOWERINGS.get(first, "portable")


def _name(model: Model) -> str:
    return str(model.path or f"model {model.graph.name!r}")


def _training() -> ModuleType:
    from . import training  # imported late: few need it

    return training


BACKENDS: dict[tuple[str, str], Backend] = {
    ("portable", "onnxruntime"): Onnxruntime(_portable),
    ("ort-training", "onnxruntime"): Onnxruntime(_lowered),
    ("ort-training", "training"): OnnxruntimeTraining(),
}
BUILDERS = tuple(dict.fromkeys(builder for builder, _ in BACKENDS))


def backend_named(builder: str, runtime: str = "onnxruntime") -> Backend:
    """The backend of a gradient builder and a runtime. Raises InputError if there is no such pair."""
    known = {name: [own for one, own in BACKENDS if one == name] for name in BUILDERS}
    if runtime != "onnxruntime" and (builder, runtime) not in list(BACKENDS):
        several = {name: " and ".join(map(repr, own)) for name, own in known.items() if len(own) > 1}
        choices = ", ".join(f"{name!r} has {own}" for name, own in several.items())
        raise InputError(f"no runtime {runtime!r} for {builder!r}; {choices}")
    return BACKENDS[choose(builder, BUILDERS, "gradient builder"), runtime]
