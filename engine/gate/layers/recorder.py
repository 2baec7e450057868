"""A model that also gives its layers' activations, the gradients at them, and its constants as floats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from ...attribution.heads import find_head
from ...attribution.score import score_tensor
from ...data.batch import Prepared
from ...errors import ModelError
from ...gradient_graph import differentiate
from ...graph.model import Model, is_float
from ...runtime import Session, open_session
from ..model_under_test import ModelUnderTest
from .dequantise import quantised_forms
from .match import is_fixed

__all__ = ["LayerRecorder", "open_layer_recorder", "with_outputs"]


@dataclass(frozen=True, eq=False)
class LayerRecorder:
    """A session with the tensors to record, what goes into each quantisation and comes out, and constants by name.

    ``pair``: two classes share one logit, which counts against the first.
    """

    session: Session
    tensors: Sequence[str]
    quantised: Mapping[str, str]
    seed: tuple[str, str] | None
    gradients: Mapping[str, str]
    constants: Mapping[str, np.ndarray]
    quantised_constants: frozenset[str]
    logits: str
    pair: bool = False

    def run(self, given: Prepared, target: int) -> dict[str, Any]:
        """Activations, gradients of the target's score, and what goes into quantisations and comes out."""
        feeds: dict[str, np.ndarray] = given.batch.take(given.batch.fill(np.arange(1)))
        if self.seed is not None:
            feeds[self.seed[1]] = self._seed(feeds, target)
        rounded = [name for pair in self.quantised.items() for name in pair]
        names = list(dict.fromkeys([*self.tensors, *self.gradients.values(), *rounded]))
        found = self.session.run(feeds, names)
        return {
            "values": {name: found[self.quantised.get(name, name)][:1].astype(np.float32) for name in self.tensors},
            "gradients": {name: found[output][:1] for name, output in self.gradients.items()},
            "quantised": {name: (found[name], found[rounded]) for name, rounded in self.quantised.items()},
        }

    def _seed(self, feeds: Mapping[str, np.ndarray], target: int) -> np.ndarray:
        """One-hot seed at the target, in the shape of the scores."""
        shape = self._shape
        seed = np.zeros(shape, np.float32)
        rows = seed.reshape(shape[0], -1)
        if self.pair and rows.shape[1] == 1:
            rows[:, 0] = 1 if target else -1
        else:
            rows[:, target] = 1
        return seed

    @property
    def _shape(self) -> tuple[int, ...]:
        sizes = self.session.input_shapes[self.seed[1]] if self.seed else []
        return tuple(n if isinstance(n, int) else 1 for n in sizes)


def open_layer_recorder(side: ModelUnderTest, tensors: Sequence[str]) -> LayerRecorder:
    """A probe of a model; without gradients where it has none."""
    model, y = side.model, score_tensor(side.model, side.score)
    head = find_head(y) if side.score == "logit" else None
    logits = str((head.tensor if head is not None and head.tensor is not None else y).name)
    quantised = quantised_forms(model)
    constants = _constants(model)
    rounded = [name for pair in quantised.items() for name in pair]
    program = with_outputs(model, [*tensors, *rounded, *constants])
    wrt = [name for name in tensors if name != logits]
    try:
        graph = differentiate(program, of=[logits], wrt=wrt)
        proto, seed, gradients = graph.model, (logits, graph.seeds[logits]), dict(graph.gradients)
    except ModelError:
        proto, seed, gradients = program.proto(), None, {}
    session = _session(proto, side)
    held = _held(program, constants, side)
    behind = frozenset(name for name, value in constants.items() if value.const_value is None)
    pair = head is not None and head.pair and head.tensor is not None
    return LayerRecorder(session, tensors, quantised, seed, gradients, held, behind, logits, pair)


def with_outputs(model: Model, names: Sequence[str]) -> Model:
    """A copy that also gives these tensors, of those that a node makes."""
    program = model.copy()
    values = ir.convenience.create_value_mapping(program.graph)
    present = {value.name for value in program.outputs}
    for name in dict.fromkeys(names):
        if name not in present and name in values and values[name].producer() is not None:
            program.graph.outputs.append(values[name])
    return program


def _constants(model: Model) -> dict[str, ir.Value]:
    """The float inputs of nodes that depend on no input of the model, by name."""
    return {
        str(v.name): v for node in model.graph for v in node.inputs if v is not None and is_float(v) and is_fixed(v)
    }


def _held(program: Model, constants: Mapping[str, ir.Value], side: ModelUnderTest) -> dict[str, np.ndarray]:
    """The constants as arrays; those that are dequantised from a run of the nodes that do it."""
    direct = {name: v.const_value.numpy() for name, v in constants.items() if v.const_value is not None}
    computed = [name for name in constants if name not in direct]
    if not computed:
        return direct
    alone = program.copy()
    values = ir.convenience.create_value_mapping(alone.graph)
    alone.graph.outputs[:] = [values[name] for name in computed]
    alone.graph.inputs.clear()
    RemoveUnusedNodesPass()(alone.program)
    return direct | _session(alone.proto(), side).run({}, computed)


def _session(proto: onnx.ModelProto, side: ModelUnderTest) -> Session:
    how = side.settings
    return open_session(proto, how.providers, how.threads, side.model.folder, optimization=how.optimization)
