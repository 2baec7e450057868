"""differentiate(): a model in, a model that also computes gradients out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import onnx

from ..autodiff.backward import Activation, connected
from ..autodiff.overlays import Rules, laid_over, overlay_of, warn_of_unmet
from ..backends import backend_named
from ..graph.builder import Lowering
from ..graph.model import Source
from ..loading.load import load
from ..runtime import blaming_model
from .derivative_files import names_of, save_with_weights
from .ends import open_ends
from .seed_axis import with_axis

__all__ = ["GradientGraph", "differentiate"]


@dataclass(frozen=True)
class GradientGraph:
    """A model that computes its outputs and, from seeds on them, gradients.

    ``model`` holds standard operators only. Feed each seed (by ``seeds``: output name to input name) an array of that
    output's shape; ``gradients`` (value name to output name) then give the vector-Jacobian products. ``activations``
    lists every activation node with what the Relu policy did to it. Weights of 2 GB and more, which no message holds,
    stay in their files, in ``folder``, to which the model refers.
    """

    model: onnx.ModelProto
    seeds: Mapping[str, str]
    gradients: Mapping[str, str]
    relu: str = "exact"
    activations: tuple[Activation, ...] = ()
    folder: Path | None = None

    def save(self, path: str | PathLike[str]) -> Path:
        """Writes the model as one file, with the weights beside it from 2 GB on."""
        return save_with_weights(self.model, self.folder, path)

    def with_seed_axis(self) -> GradientGraph:
        """Returns the graph that takes several seeds in one run.

        Each seed and each gradient has an axis more at the front, for K seeds. The forward pass runs once, the backward
        pass in a Scan, once for each seed.
        """
        return replace(self, model=with_axis(self.model, self.seeds.values()))


def differentiate(
    model: Source,
    of: Sequence[str] | str | None = None,
    wrt: Sequence[str] | str | None = None,
    *,
    relu: Rules = "exact",
    rules: Rules = "exact",
    lowering: Lowering = "portable",
    builder: str = "portable",
    runtime: str = "onnxruntime",
) -> GradientGraph:
    """Makes the gradient graph of a model: an ONNX model of standard operators that computes vector-Jacobian products.

    Args:
        model: Path, bytes, ModelProto or ``Model``.
        of: Names of the tensors or layers y to differentiate; None for the floating-point outputs.
        wrt: Names of the tensors or layers x to differentiate with respect to; None for the floating-point inputs, or,
            where there are none, the embeddings of token ids, as a warning tells.
        relu: What Relu passes back: "exact", "guided" (Springenberg et al., 2014, arXiv:1412.6806) or "deconvnet"
            (Zeiler and Fergus, 2013, arXiv:1311.2901); or rules of your own, as for ``rules``.
        rules: Rules laid over these: an ``Overlay``, its name, or a mapping of operators to functions
            ``rule(g, node, dy)``. The names are those of LRP (Bach et al., 2015), which makes v times y the relevance
            of y and x times its gradient that of x: "lrp-epsilon", "lrp-epsilon-plus", "lrp-epsilon-alpha2-beta1" and
            "attnlrp"; "lrp-epsilon-plus-flat" and "lrp-epsilon-gamma-box", whose rule of the first layer is no
            gradient, with respect to tensors behind it.
        lowering: The runtime that the nodes are chosen for: "portable", "cpu" or "cuda" of onnxruntime.
        builder: "portable", or "ort-training" for the gradient graph of onnxruntime-training.
        runtime: "onnxruntime", or "training", which leaves the graph of "ort-training" as it was built, for
            ``open_training_session``.

    Returns:
        GradientGraph: The model with an input more for each y, its seed v in the shape of y, and an output more for
            each x, the sum over y of v dy/dx in the shape of x; ``seeds`` and ``gradients`` have their names.

    Raises:
        ModelError: A model that cannot be read, has no floating-point output, or lacks a tensor that is named.
        NoGradientPath: No y depends differentiably on an x.
        UnsupportedOperator: An operator between them, which the message names, has no gradient rule.
        InputError: An unknown ``relu``, ``builder`` or ``runtime``, or rules that are none.
        BuilderError: onnxruntime-training failed.

    Example:
        >>> import numpy as np, onnxruntime, onnxray.models
        >>> graph = onnxray.differentiate(onnxray.models.path("digits.onnx"))
        >>> graph.seeds, graph.gradients
        ({'logits': 'seed_logits'}, {'image': 'grad_image'})
        >>> session = onnxruntime.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])
        >>> x, v = np.zeros((2, 1, 28, 28), np.float32), np.eye(10, dtype=np.float32)[[3, 5]]
        >>> session.run(["grad_image"], {"image": x, "seed_logits": v})[0].shape
        (2, 1, 28, 28)
    """
    backend, overlay = backend_named(builder, runtime), laid_over(overlay_of(rules), overlay_of(relu))
    source = load(model)
    with blaming_model(source):
        ends = open_ends(source, of, wrt, overlay, lowering)
        g, shadow = ends.g, ends.shadow
        seeds = {y: ends.input(f"seed_{y.name}", y) for y in ends.ys}
        start = {shadow(y): seed for y, seed in seeds.items()}
        wanted = [shadow(x) for x in ends.xs]
        warn_of_unmet(ends.model.graph, overlay, start, wanted)
        found = backend.reverse_pass(ends.model)(g, start, wanted, overlay)
        gradients = {x: g.output(connected(found, shadow(x), ends.ys, x.name), f"grad_{x.name}") for x in ends.xs}
        proto, folder = ends.finished()
        return GradientGraph(
            model=proto,
            seeds=names_of(seeds),
            gradients=names_of(gradients),
            relu=overlay.name,
            activations=found.activations,
            folder=folder,
        )
