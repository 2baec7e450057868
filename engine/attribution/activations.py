"""Outputs of layers: activations(), and LayerReader for more than one call."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..data.batch import Prepared
from ..data.preprocess import Preprocess
from ..graph.model import Source
from ..loading.load import load
from ..runtime import Provider, SessionSettings, open_model
from .inputs import Inputs, prepare
from .joining import joined

__all__ = ["LayerReader", "activations"]


def activations(
    model: Source,
    inputs: Inputs,
    layers: Sequence[str] | str,
    *,
    providers: Sequence[Provider] | Provider | None = None,
    preprocess: Preprocess | str | None = None,
) -> dict[str, np.ndarray]:
    """Returns what layers of a model compute for a batch of inputs.

    For more than one call on a model build an ``onnxray.attribution.activations.LayerReader``, which is called with
    inputs.

    Args:
        model: Path, bytes, ModelProto or ``Model``.
        inputs: An array ``(N, *input)``, a dict of arrays by input name, or pictures (paths or PIL images).
        layers: Name of a layer, or several: of a node, of a tensor, or of a layer in the framework that the model is
            from.
        providers: Execution providers, "cpu", "cuda", "openvino" or as onnxruntime names them; None for the CPU.
        preprocess: How pictures become inputs, also in words: "imagenet"; None for what the model carries.

    Returns:
        dict: Arrays by the names in ``layers``, ``(N, *layer)``; an array without an axis that counts examples, such as
            a mean over the batch, is given whole.

    Raises:
        InputError: Inputs that do not fit the model; or an array without such an axis that differs between the runs
            that a fixed batch size takes.
        ModelError: A model that cannot be read or run, or that has no layer of this name.
        ExecutionError: onnxruntime failed at a node, which the message names.
        RuntimeUnavailable: onnxruntime or the provider is missing.

    Example:
        >>> import onnxray.models
        >>> digits, picture = onnxray.models.path("digits.onnx"), onnxray.models.path("digit.png")
        >>> found = onnxray.activations(digits, picture, ["conv4", "logits"])
        >>> {name: array.shape for name, array in found.items()}
        {'conv4': (1, 32, 7, 7), 'logits': (1, 10)}
        >>> int(found["logits"].argmax())
        6
    """
    return LayerReader(model, layers, providers=providers, preprocess=preprocess)(inputs)


class LayerReader:
    """The outputs of layers: built once, called often."""

    def __init__(
        self,
        model: Source,
        layers: Sequence[str] | str,
        *,
        providers: Sequence[Provider] | Provider | None = None,
        preprocess: Preprocess | str | None = None,
    ) -> None:
        self.model, self.preprocess = load(model), preprocess
        names = [layers] if isinstance(layers, str) else list(layers)
        self.tensors = {name: self.model.layer(name).tensor for name in names}
        program = self.model.copy()
        present, known = {value.name for value in program.outputs}, ir.convenience.create_value_mapping(program.graph)
        for tensor in dict.fromkeys(self.tensors.values()):
            if tensor not in present:
                program.graph.outputs.append(known[tensor])
        self.session = open_model(program, SessionSettings(providers))

    def __call__(self, inputs: Inputs) -> dict[str, np.ndarray]:
        """Arrays by the names that the layers were given, each for all examples; whole where it counts no examples.

        Raises InputError where such an array differs between the runs that a fixed batch size takes.
        """
        given, wanted = prepare(self.model, inputs, self.preprocess), list(self.tensors.values())
        runs = [given.batch.fill(rows) for rows in _runs(given)]
        results = [self.session.run(given.batch.take(rows), wanted) for rows in runs]
        found = joined(self.model, results, [len(rows) for rows in runs], given.batch.examples)
        return {name: found[tensor] for name, tensor in self.tensors.items()}


def _runs(given: Prepared) -> list[np.ndarray]:
    rows = np.arange(given.batch.examples)
    size = given.batch.fixed or len(rows)
    return [rows[start : start + size] for start in range(0, len(rows), size)]
