"""Where the kernels of two sessions of one model part: every layer run in both of them on the same input.

The model is cut at its quantised tensors, which become inputs; onnxruntime still fuses each layer between two of them
into the 8-bit kernel that it takes in the whole model. Tensors of floats are no cuts, as that would hinder the fusion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from ...autodiff.paths import depends_on
from ...errors import OnnxrayError
from ...graph.model import Model
from ...runtime import open_model
from ..model_under_test import ModelUnderTest
from ..pair import Reference
from .compare_layers import KernelLoss, LayerReport
from .randomise import LEARNED
from .recorder import with_outputs

__all__ = ["is_one_model", "kernel_losses", "with_kernels"]

SAMPLES = 4
STEP = 1  # of a quantised value: what two orders of rounding differ by
QUANTISED = frozenset({ir.DataType.UINT8, ir.DataType.INT8, ir.DataType.UINT16, ir.DataType.INT16})


def with_kernels(
    report: LayerReport, reference: ModelUnderTest, candidate: ModelUnderTest, loads: Iterable[Callable[[], Any]]
) -> LayerReport:
    """The report with the layers whose kernels part, where both sides are one model in two kinds of session.

    The first of them is where evidence breaks: layers are compared by sessions that fuse nothing, as each tensor of
    theirs is an output.
    """
    if not is_one_model(reference, candidate):
        return report
    found = kernel_losses(reference, candidate, loads)
    return replace(report, kernels=found, breaks=found[0].layer if found else report.breaks)


def is_one_model(reference: Reference | ModelUnderTest, candidate: ModelUnderTest) -> bool:
    """Whether both sides are one model, in two kinds of session."""
    return reference.digest == candidate.digest and reference.session != candidate.session


def kernel_losses(
    reference: ModelUnderTest, candidate: ModelUnderTest, loads: Iterable[Callable[[], Any]]
) -> tuple[KernelLoss, ...]:
    """The quantised tensors that differ by more than one step, in the order of the graph, over the first samples."""
    tensors = quantised_tensors(reference.model)
    if not tensors:
        return ()
    whole = _opened(with_outputs(reference.model, tensors), reference)
    a, b = (_opened(cut_at(side.model, tensors), side) for side in (reference, candidate))
    most: dict[str, tuple[float, int]] = {}
    for load in islice(loads, SAMPLES):
        try:
            feeds = _feeds(reference, load())
        except OnnxrayError:
            continue
        feeds |= whole.run(feeds, tensors)
        given = {name: feeds[name] for name in a.input_shapes}
        x, y = (session.run(given, [f"own/{name}" for name in tensors]) for session in (a, b))
        for name in tensors:
            most[name] = max(most.get(name, (0.0, 0)), _steps(x[f"own/{name}"], y[f"own/{name}"]))
    layers = _layers(reference.model, tensors)
    return tuple(KernelLoss(*layers[name], name, share, steps) for name, (share, steps) in most.items() if steps > STEP)


def quantised_tensors(model: Model) -> list[str]:
    """The 8-bit and 16-bit tensors that depend on an input, in the order of the graph."""
    moving = depends_on(model.graph, list(model.inputs))
    made = (value for node in model.graph for value in node.outputs if value in moving)
    return [str(value.name) for value in made if value.dtype in QUANTISED]


def cut_at(model: Model, tensors: Sequence[str]) -> Model:
    """The model whose nodes read each of these tensors from an input of its name; what is computed of it is an output,
    ``own/`` before that name."""
    program = model.copy()
    values = ir.convenience.create_value_mapping(program.graph)
    del program.graph.outputs[:]
    for name in tensors:
        own = values[name]
        given = ir.Value(name=name, shape=own.shape, type=own.type)
        own.replace_all_uses_with(given)
        own.name = f"own/{name}"
        program.graph.inputs.append(given)
        program.graph.outputs.append(own)
    RemoveUnusedNodesPass()(program.program)
    return program


def _opened(model: Model, side: ModelUnderTest) -> Any:
    return open_model(model, side.settings)


def _feeds(side: ModelUnderTest, raw: Any) -> dict[str, np.ndarray]:
    batch = side.prepared(raw).batch
    return dict(batch.take(batch.fill(np.arange(1))))


def _steps(x: np.ndarray, y: np.ndarray) -> tuple[float, int]:
    """The share of values that differ by more than one step, and the most steps."""
    apart = np.abs(x.astype(np.int32) - y.astype(np.int32))
    return float((apart > STEP).mean()), int(apart.max(initial=0))


def _layers(model: Model, tensors: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    """For each tensor name and operator of the nearest node with weights before it, or of the node that makes it."""
    values, cuts = ir.convenience.create_value_mapping(model.graph), set(tensors)
    return {name: _named(_nearest(values[name], cuts) or values[name].producer()) for name in tensors}


def _nearest(value: ir.Value, cuts: set[str]) -> ir.Node | None:
    seen, waiting = set(), [value.producer()]
    while waiting:
        node = waiting.pop(0)
        if node is None or node in seen:
            continue
        if node.op_type in LEARNED:
            return node
        seen.add(node)
        waiting += [one.producer() for one in node.inputs if one is not None and one.name not in cuts]
    return None


def _named(node: ir.Node | None) -> tuple[str, str]:
    return ("?", "?") if node is None else (node.name or str(node.outputs[0].name), node.op_type)
