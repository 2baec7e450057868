"""TrainingSession: a graph that holds the library's own operators, run by the library in its worker process."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from ..errors import BuilderError, ModelError, RuntimeUnavailable
from ..graph.model import Model
from ..support.execution_providers import full_name, short_name
from ..support.writing import temporary_folder, writing
from .client import Worker, worker
from .request import IR_VERSION, OPSET
from .rewrites.downgrade import downgrade

__all__ = ["TrainingSession", "at_training_opset", "open_training_session", "training_providers"]

_numbers = itertools.count(1)


@dataclass(frozen=True, eq=False)
class TrainingSession:
    """A model loaded in the worker; it runs like a ``Session``. Made by ``open_training_session``."""

    key: int
    by: Worker
    starts: int
    providers: list[str]
    outputs: list[str]
    name: str

    def run(self, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """The named outputs, all by default."""
        names = list(outputs) if outputs is not None else self.outputs
        if self.by.pid is None or self.by.starts != self.starts:
            raise BuilderError(f"the process that held the gradient of {self.name} has ended; open it again")
        results = self.by.ask("run", self.key, dict(feeds), names, about=f"while running the gradient of {self.name}")
        return dict(zip(names, results, strict=True))

    @property
    def placement(self) -> None:
        """Not known: the library's onnxruntime is too old to tell."""
        return None

    def close(self) -> None:
        """Frees what the worker holds for it."""
        if self.by.pid is not None and self.by.starts == self.starts:
            self.by.ask("close", self.key, about=f"while closing {self.name}")


def open_training_session(
    model: onnx.ModelProto,
    providers: Sequence[Any] | Any = None,
    threads: int | None = None,
    *,
    name: str = "the model",
    by: Worker | None = None,
) -> TrainingSession:
    """Loads a model in the worker; weights travel in a file. Raises BuilderError, or RuntimeUnavailable."""
    by, key = by or worker(), next(_numbers)
    wanted = training_providers(providers, by)
    about = f"while loading the gradient of {name}"
    with temporary_folder() as folder:
        path = folder / "model.onnx"
        program = ir.from_proto(model)
        program.ir_version = min(program.ir_version, IR_VERSION)
        with writing(path):
            ir.save(program, path, external_data="weights")
        running = by.ask("open_session", key, str(path), wanted, threads or 0, about=about)
    names = [provider if isinstance(provider, str) else provider[0] for provider in wanted]
    if missing := [provider for provider in names if provider not in running]:
        raise RuntimeUnavailable(f"{missing[0]} did not start in onnxruntime-training; it needs CUDA 11.8 and cuDNN 8")
    session = TrainingSession(key, by, by.starts, running, [output.name for output in model.graph.output], name)
    weakref.finalize(session, by.dropped.append, key)
    return session


def at_training_opset(model: Model) -> Model:
    """The model at an opset that the library runs."""
    program = model.copy()
    try:
        downgrade(program.program, OPSET)
    except ModelError as error:
        raise BuilderError(f"onnxruntime-training cannot run the model: {error}; use runtime='onnxruntime'") from error
    return program


def training_providers(providers: Sequence[Any] | Any, by: Worker | None = None) -> list[Any]:
    """Full names of providers that the library has; the CPU by default."""
    given = ["cpu"] if providers is None else [providers] if isinstance(providers, str | tuple) else list(providers)
    available = list((by or worker()).ask("available", about=""))
    found = []
    for provider in given:
        plain, options = (provider, None) if isinstance(provider, str) else provider
        full = full_name(plain, available)
        if full not in available:
            there = ", ".join(map(short_name, available))
            raise RuntimeUnavailable(f"no execution provider {plain!r} in onnxruntime-training: it has {there}")
        found.append(full if options is None else (full, options))
    return found
