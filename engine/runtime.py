"""Session: an ONNX model on onnxruntime, on the requested provider, or an error."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, redirect_stdout
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any, Protocol

import numpy as np
import onnx
import onnx_ir as ir

from .errors import InputError, OnnxrayError, RuntimeUnavailable
from .graph.failure import load_failure, run_failure
from .graph.model import Model
from .graph.placed_nodes import Placement, in_words, left_to_cpu, nodes_by_provider
from .graph.validity import model_error_if_unusable
from .graph.weights import array_of, detached, file_of, needed_to_open
from .support.caller import warn_caller
from .support.choice import choose
from .support.execution_providers import CPU, full_name, how_to_get, short_name
from .support.heap import release
from .support.provider_plugins import add_providers, check_device, has_plugin, installed_plugins, register_plugin

__all__ = [
    "OPTIMIZATIONS",
    "OpenSession",
    "Provider",
    "Session",
    "SessionSettings",
    "available_providers",
    "blaming_model",
    "open_model",
    "open_session",
    "provider_names",
    "resolve_providers",
    "try_model",
]

Provider = str | tuple[str, dict[str, Any]]
OPTIMIZATIONS = {  # how far onnxruntime rewrites a graph before it runs it, by its own names
    "off": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}


@dataclass(frozen=True)
class SessionSettings:
    """How sessions run: ``threads`` None for all cores, ``optimization`` one of OPTIMIZATIONS."""

    providers: Sequence[Provider] | Provider | None = None
    threads: int | None = None
    optimization: str = "all"


_DEFAULT = SessionSettings()


class OpenSession(Protocol):
    """A loaded model: onnxruntime's ``Session``, or a session in another process."""

    def run(self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """The named outputs, all by default."""
        ...

    @property
    def placement(self) -> Placement | None:
        """By provider, how many nodes of each operator it runs; None where that is not known."""
        ...

    def close(self) -> None:
        """Frees what is held for it."""
        ...


@dataclass(frozen=True, eq=False)
class Session:
    """A model loaded by onnxruntime; made by ``open_session``.

    ``weights`` are those that it was given in memory; ``fed`` those that are inputs of its graph, and none of a run's.
    """

    native: Any
    weights: Mapping[str, np.ndarray] = field(default_factory=dict)
    fed: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def providers(self) -> list[str]:
        return self.native.get_providers()

    @property
    def placement(self) -> Placement | None:
        """By provider, how many nodes of each operator it runs; None of a session that is on the CPU alone."""
        return nodes_by_provider(self.native)

    @cached_property
    def input_shapes(self) -> dict[str, list[int | str | None]]:
        """The shape that the model declares for each input; names or None stand for open sizes."""
        return {one.name: one.shape for one in self.native.get_inputs() if one.name not in self.fed}

    @cached_property
    def outputs(self) -> list[str]:
        return [output.name for output in self.native.get_outputs()]

    def run(self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """The named outputs, all by default. Raises InputError of feeds that do not fit, and ExecutionError."""
        names = list(outputs) if outputs is not None else self.outputs
        try:
            results = self.native.run(names, {**feeds, **self.fed})
        except Exception as error:
            raise run_failure(error) from error
        return dict(zip(names, results, strict=True))

    def close(self) -> None:
        """For symmetry with the sessions of other processes: onnxruntime frees this one with its last reference."""


def open_session(
    model: onnx.ModelProto | bytes | str | os.PathLike[str],
    providers: Sequence[Provider] | Provider | None = None,
    threads: int | None = None,
    folder: os.PathLike[str] | None = None,
    weights: Mapping[str, np.ndarray] | None = None,
    optimization: str = "all",
    options: Mapping[str, Any] | None = None,
) -> Session:
    """Loads a model; ``providers`` are names such as "cpu", "cuda" or "openvino", in order of preference.

    ``folder`` is where external data lies, ``weights`` those of it that are in memory, where they stay;
    ``optimization`` one of OPTIMIZATIONS; ``options`` attributes of onnxruntime's SessionOptions, by name.

    Raises RuntimeUnavailable where no onnxruntime is installed, or where a provider that was asked for is not there or
    does not come up: onnxruntime itself would fall back to the CPU in silence.
    """
    ort = _onnxruntime()
    wanted = resolve_providers(providers)
    if threads is not None and threads < 1:
        raise InputError(f"threads={threads}: give a number from 1 up, or None for all cores")
    chosen = ort.SessionOptions()
    chosen.log_severity_level = 4  # fatal: an error is raised, and need not be logged, too
    chosen.intra_op_num_threads = threads or 0
    level = OPTIMIZATIONS[choose(optimization, OPTIMIZATIONS, "optimization")]
    chosen.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
    chosen.enable_mem_pattern = False  # from its second run on, a session would hold its working memory twice
    for name, value in (options or {}).items():
        setattr(chosen, name, value)
    if folder is not None:
        chosen.add_session_config_entry("session.model_external_initializers_file_folder_path", os.fspath(folder))
    if weights:
        values = [ort.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]  # no copy on the CPU
        chosen.add_external_initializers(list(weights), values)  # add_initializer would undo what the optimiser moved
    if any("CUDA" in str(one) for one in wanted):
        _find_cuda(ort)
    if wanted != [CPU]:
        chosen.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    if plugged := has_plugin(ort, wanted):
        add_providers(ort, chosen, wanted, threads)
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else model
    try:
        # the fallback to the CPU prints to stdout, and is no help where the CPU itself refused
        given = {} if plugged else {"providers": wanted}  # which would undo what was chosen
        native = ort.InferenceSession(source, chosen, enable_fallback=wanted != [CPU], **given)
    except Exception as error:
        raise load_failure(error) from error
    _check_came_up(wanted, native.get_providers())
    return Session(native, weights or {})


def open_model(model: Model, settings: SessionSettings = _DEFAULT, in_place: Collection[str] = ()) -> Session:
    """Loads a model that is in memory, as ``open_session`` does; its weights are not copied for that.

    Large weights that ``in_place`` names are read where they are in every run, never in a copy of another order.
    Warns in one line of nodes that a provider left to the CPU, unless the CPU was asked for, too.
    """
    names = provider_names(settings.providers)
    alone = names == [CPU] and settings.optimization == "all"
    session = (_mapping_its_file(model, settings, in_place) if alone else None) or _opened(model, settings, in_place)
    if CPU not in names and (left := left_to_cpu(session.native, model.graph)) is not None and left[0]:
        warn_caller(_fallback(names, *left))
    return session


def _mapping_its_file(model: Model, settings: SessionSettings, in_place: Collection[str]) -> Session | None:
    """A session that read the weights from the model's file; None of one that would go on reading there, or failed."""
    file = file_of(model.program)
    if file is None or not file.is_in_place or file.path.parent != model.folder or file.is_mapped:
        return None
    try:
        session = _opened(model, settings, in_place, needed_to_open(model.program))
    except OnnxrayError:
        return None
    file.check()
    return None if file.is_mapped else session


def _opened(
    model: Model, settings: SessionSettings, in_place: Collection[str], in_file: Collection[str] = ()
) -> Session:
    proto, arrays = detached(model.program, in_place, in_file)
    session = open_session(
        proto, settings.providers, settings.threads, model.folder, arrays, optimization=settings.optimization
    )
    release()  # copies of weights in several forms, which onnxruntime made until it had those that it keeps
    return replace(session, fed={name: array_of(model.graph.initializers[name]) for name in in_place})


def _fallback(names: Sequence[str], left: Counter[str], own: int, nodes: int) -> str:
    who = " and ".join(map(short_name, names))
    return f"{who} runs {own} of {nodes} nodes; the CPU runs the others: {in_words(left)}"


def blaming_model(model: Model) -> AbstractContextManager[None]:
    """Around what is made of a model: an exception is a ModelError where onnxruntime refuses the model as well."""
    where = str(model.path) if model.path else "the given model"
    return model_error_if_unusable(where, lambda: try_model(model))


def try_model(model: Model) -> None:
    """Opens the model, and runs it on zeros where its sizes are known but for the first axis."""
    session = open_model(model, SessionSettings(threads=1))
    shapes = [value.shape for value in model.inputs]
    if all(shape is not None and all(isinstance(d, int) for d in list(shape)[1:]) for shape in shapes):
        try:
            session.run({str(value.name): _zeros(value) for value in model.inputs})
        except OnnxrayError as error:
            raise type(error)(f"on inputs of zeros, {error}") from error


def _zeros(value: ir.Value) -> np.ndarray:
    sizes = [size if isinstance(size, int) else 1 for size in value.shape or ()]
    return np.zeros(sizes, None if value.dtype is None else value.dtype.numpy())


def available_providers() -> list[str]:
    """The execution providers of this onnxruntime and of installed plugins; one that is listed need not start."""
    own = [name for name in _onnxruntime().get_available_providers() if "." not in name]  # a choice among devices
    return list(dict.fromkeys([*installed_plugins(), *own]))


def resolve_providers(providers: Sequence[Provider] | Provider | None) -> list[Provider]:
    """Full provider names, each available; the CPU by default."""
    ort = _onnxruntime()
    given: Any = ["cpu"] if providers is None else [providers] if isinstance(providers, str | tuple) else providers
    if not isinstance(given, Sequence) or not given:
        raise InputError(f"providers={providers!r}: give a name such as 'cpu' or 'cuda', or a list of them")
    return [_resolve(provider, ort) for provider in given]


def provider_names(providers: Sequence[Provider] | Provider | None) -> list[str]:
    """Providers as onnxruntime names them."""
    return [one if isinstance(one, str) else one[0] for one in resolve_providers(providers)]


def _resolve(provider: Provider, ort: Any) -> Provider:
    if not isinstance(provider, str | tuple):
        raise InputError(f"provider {provider!r}: give a name such as 'cpu' or 'cuda', or (name, options)")
    name, options = (provider, None) if isinstance(provider, str) else provider
    full = full_name(name, ort.get_available_providers())
    if full is not None and full not in ort.get_available_providers():
        register_plugin(ort, full)
        check_device(ort, full)
    if full is None or full not in ort.get_available_providers():
        raise RuntimeUnavailable(how_to_get(name, ort.get_available_providers()))
    return full if options is None else (full, options)


@cache
def _find_cuda(ort: Any) -> None:
    """Loads CUDA's libraries from NVIDIA's pip packages, where no loader looks, once; what is missing is on stderr."""
    with redirect_stdout(sys.stderr):
        ort.preload_dlls()


def _check_came_up(wanted: Sequence[Provider], running: Sequence[str]) -> None:
    for provider in wanted:
        name = provider if isinstance(provider, str) else provider[0]
        if name not in running:
            raise RuntimeUnavailable(
                f"{name} did not start (onnxruntime runs on {', '.join(running)}); check its drivers and libraries"
            )


def _onnxruntime() -> Any:
    first = "onnxruntime" not in sys.modules
    try:
        import onnxruntime
    except ImportError:
        message = "no onnxruntime is installed; pip install 'onnxray[cpu]', or 'onnxray[gpu]' for CUDA"
        raise RuntimeUnavailable(message) from None
    if first:  # who imported it before may want to read what it logs
        onnxruntime.set_default_logger_severity(4)
    return onnxruntime
