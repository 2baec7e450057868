"""The gradient builders by name, and what each asks of model, inputs and session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from .autodiff.backward import Builder, backward
from .data.batch import Prepared
from .errors import InputError
from .graph.builder import Lowering
from .graph.model import Model
from .runtime import Provider
from .support.choice import choose

__all__ = ["BUILDERS", "builder_named", "lowering_for", "with_fixed_batch"]

BUILDERS = ("portable", "ort-training")


def with_fixed_batch(given: Prepared) -> Prepared:
    """Inputs whose batch is as fixed as every size has to be here."""
    return replace(given, batch=replace(given.batch, fixed=given.batch.fixed or given.batch.examples))


def builder_named(builder: str, model: Model, runtime: str = "onnxruntime") -> Builder:
    """A function that appends the reverse pass to a graph."""
    if runtime not in ("onnxruntime", "training") or (runtime == "training" and builder != "ort-training"):
        raise InputError(f"no runtime {runtime!r} for {builder!r}; 'ort-training' has 'onnxruntime' and 'training'")
    if choose(builder, BUILDERS, "gradient builder") == "portable":
        return backward
    from .training import training_backward  # imported late: few need it

    name = str(model.path or f"model {model.graph.name!r}")
    return partial(training_backward, name=name, lowered=runtime != "training")


def lowering_for(providers: Sequence[Provider]) -> Lowering:
    first = providers[0] if isinstance(providers[0], str) else providers[0][0]
    return {"CPUExecutionProvider": "cpu", "CUDAExecutionProvider": "cuda"}.get(first, "portable")  # type: ignore[return-value]
