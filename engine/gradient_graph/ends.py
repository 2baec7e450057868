"""Opens a model to be differentiated: a copy with its float32 shadow, and the values at both ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from ..autodiff.embeddings import start_names
from ..autodiff.float32_shadow import Float32Shadow, add_float32_shadow
from ..autodiff.registry import Overlay
from ..errors import ModelError
from ..graph.builder import GraphBuilder, Lowering
from ..graph.model import Model, is_float
from ..passes.separate_weights import separate_weights

__all__ = ["Ends", "open_ends"]


@dataclass(frozen=True, eq=False)
class Ends:
    """A copy of a model to which a builder appends nodes: ys are differentiated with respect to xs."""

    model: Model
    g: GraphBuilder
    shadow: Float32Shadow
    ys: Sequence[ir.Value]
    xs: Sequence[ir.Value]

    def input(self, name: str, like: ir.Value) -> ir.Value:
        """A new input of the shape of a value, in the type in which gradients of the value are computed."""
        return self.g.input(name, self.shadow(like).dtype or ir.DataType.FLOAT, like.shape)

    def finished(self) -> tuple[onnx.ModelProto, Path | None]:
        """The model without the nodes that no output needs, and the folder of weights that stay in their files."""
        self.shadow.reuse_quantized(self.g)
        RemoveUnusedNodesPass()(self.model.program)
        if self.g.lowering == "portable":
            separate_weights(self.model.program)
        return self.model.proto(), self.model.folder if self.model.large else None


def open_ends(
    source: Model,
    of: Sequence[str] | str | None,
    wrt: Sequence[str] | str | None,
    overlay: Overlay,
    lowering: Lowering = "portable",
) -> Ends:
    """Copies a model and makes it differentiable between the named tensors, or the default ones."""
    model = source.copy()
    of = of if of is not None else [str(v.name) for v in model.outputs if is_float(v)]
    if not of:
        raise ModelError("the model has no floating-point output to differentiate; name a tensor with of=")
    wrt = wrt if wrt is not None else start_names(model, of)
    shadow = add_float32_shadow(model, of, wrt, overlay=overlay)
    return Ends(model, GraphBuilder(model.graph, lowering), shadow, model.values(of), model.values(wrt))
