"""Products of derivatives with tangents: jvp() and hvp(), which differentiate a vector-Jacobian product once more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

import onnx
import onnx_ir as ir

from ..autodiff.backward import Backward, backward, connected
from ..autodiff.overlays import EXACT
from ..errors import NoGradientPath
from ..graph.model import Source
from ..loading.load import load
from ..runtime import blaming_model
from .derivative_files import names_of, save_with_weights
from .ends import Ends, open_ends
from .seed_axis import with_axis

__all__ = ["TangentGraph", "hvp", "jvp"]


@dataclass(frozen=True)
class TangentGraph:
    """A model that computes its outputs and, from tangents of its inputs, products of derivatives (``jvp``, ``hvp``).

    ``model`` holds standard operators only. Feed each tangent (by ``tangents``: value name to input name) an array of
    that value's shape; ``products`` (value name to output name) then give the results. ``seeds`` (output name to input
    name), which ``hvp`` alone has, weigh the outputs. Weights of 2 GB and more, which no message holds, stay in their
    files, in ``folder``, to which the model refers.
    """

    model: onnx.ModelProto
    tangents: Mapping[str, str]
    products: Mapping[str, str]
    seeds: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None

    def save(self, path: str | PathLike[str]) -> Path:
        """Writes the model as one file, with the weights beside it from 2 GB on."""
        return save_with_weights(self.model, self.folder, path)

    def with_tangent_axis(self) -> TangentGraph:
        """Returns the graph that takes several tangents in one run.

        Each tangent and each product has an axis more at the front, for K tangents. The forward pass, and of ``hvp``
        the gradient, run once; the rest runs in a Scan, once for each tangent.
        """
        return replace(self, model=with_axis(self.model, self.tangents.values(), "tangents"))


def jvp(
    model: Source,
    of: Sequence[str] | str | None = None,
    wrt: Sequence[str] | str | None = None,
) -> TangentGraph:
    """Makes an ONNX model of standard operators that computes Jacobian-vector products: forward mode.

    The product is exact. The reverse pass gives v J, linear in v; its own reverse pass with respect to v gives J u (J.
    Townsend, A new trick for calculating Jacobian vector products, 2017). Nothing of the first one is left to run but
    what the second one reads.

    Args:
        model: Path, bytes, ModelProto or ``Model``.
        of: Names of the tensors or layers y to differentiate; None for the floating-point outputs.
        wrt: Names of the tensors or layers x to differentiate with respect to; None for the floating-point inputs, or,
            where there are none, the embeddings of token ids, as a warning tells.

    Returns:
        TangentGraph: The model with an input more for each x, its tangent u in the shape of x, and an output more for
            each y, the sum over x of dy/dx u in the shape of y.

    Raises:
        ModelError: A model that cannot be read, has no floating-point output, or lacks a tensor that is named.
        NoGradientPath: A y that depends differentiably on no x, or an x on which no y depends.
        UnsupportedOperator: An operator between them, which the message names, has no gradient rule, or its rule
            consists of one that has none.

    Example:
        >>> import numpy as np, onnxruntime, onnxray.models
        >>> graph = onnxray.jvp(onnxray.models.path("digits.onnx"))
        >>> graph.tangents, graph.products
        ({'image': 'tangent_image'}, {'logits': 'jvp_logits'})
        >>> session = onnxruntime.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])
        >>> x, u = np.zeros((2, 1, 28, 28), np.float32), np.ones((2, 1, 28, 28), np.float32)
        >>> session.run(["jvp_logits"], {"image": x, "tangent_image": u})[0].shape
        (2, 10)
    """
    source = load(model)
    with blaming_model(source):
        ends = open_ends(source, of, wrt, EXACT)
        g, shadow = ends.g, ends.shadow
        cotangents = {y: _zeros(ends, shadow(y)) for y in ends.ys}
        found = backward(g, {shadow(y): v for y, v in cotangents.items()}, map(shadow, ends.xs), EXACT)
        tangents, start = _tangents(ends, found)
        second = backward(g, start, cotangents.values(), EXACT)
        products = {y: g.output(_product(ends, second, y, v, found), f"jvp_{y.name}") for y, v in cotangents.items()}
        proto, folder = ends.finished()
        return TangentGraph(proto, names_of(tangents), names_of(products), folder=folder)


def _zeros(ends: Ends, y: ir.Value) -> ir.Value:
    """A cotangent of its own for y; that it is zero does not matter, as what depends on it does so linearly."""
    return ends.g.Identity(ends.g.expand_like(ends.g.constant(0, y.dtype), y))


def _tangents(ends: Ends, found: Backward) -> tuple[dict[ir.Value, ir.Value], dict[ir.Value, ir.Value]]:
    """The tangent of each x, and the tangents as seeds of the gradients, of which two may be one value of the graph."""
    tangents = {x: ends.input(f"tangent_{x.name}", x) for x in ends.xs}
    gradients = {x: connected(found, ends.shadow(x), ends.ys, x.name) for x in ends.xs}
    return tangents, {ends.g.Identity(gradients[x]): u for x, u in tangents.items()}


def _product(ends: Ends, second: Backward, y: ir.Value, v: ir.Value, found: Backward) -> ir.Value:
    if v in second.gradients:
        return second.gradients[v]
    stops = f"; the path ends at {found.blockers[0].op_type}" if found.blockers else ""
    raise NoGradientPath(
        f"{y.name!r} depends differentiably on none of {_named(ends.xs)}{stops}: name other tensors with of="
    )


def _named(values: Sequence[ir.Value]) -> str:
    return ", ".join(repr(value.name) for value in values)


def hvp(
    model: Source,
    of: Sequence[str] | str | None = None,
    wrt: Sequence[str] | str | None = None,
) -> TangentGraph:
    """Makes an ONNX model of standard operators that computes Hessian-vector products.

    Args:
        model: Path, bytes, ModelProto or ``Model``.
        of: Names of the tensors or layers y whose weighted sum is differentiated twice; None for the floating-point
            outputs.
        wrt: Names of the tensors or layers x to differentiate with respect to; None for the floating-point inputs, or,
            where there are none, the embeddings of token ids, as a warning tells.

    Returns:
        TangentGraph: The model with an input more for each y, its seed v in the shape of y, an input more for each x,
            its tangent u in the shape of x, and an output more for each x: of the scalar s = sum of v y, the row of x
            of the product of the Hessian d2s/dx2 of all x with u. Zeros for an x on which no gradient depends.

    Raises:
        ModelError: A model that cannot be read, has no floating-point output, or lacks a tensor that is named.
        NoGradientPath: No y depends differentiably on an x, or no gradient does: the Hessian is zero everywhere, as
            that of a network of Relu and linear layers.
        UnsupportedOperator: An operator between them, which the message names, has no gradient rule, or its rule
            consists of one that has none.

    Example:
        >>> import numpy as np, onnx, onnxruntime, onnxray
        >>> cubes = onnx.parser.parse_model('''
        ... <ir_version: 8, opset_import: ["": 18]>
        ... cubes (float[N] x) => (float[N] y) { z = Mul(x, x) y = Mul(z, x) }''')
        >>> graph = onnxray.hvp(cubes)
        >>> graph.seeds, graph.tangents, graph.products
        ({'y': 'seed_y'}, {'x': 'tangent_x'}, {'x': 'hvp_x'})
        >>> session = onnxruntime.InferenceSession(graph.model.SerializeToString(), providers=["CPUExecutionProvider"])
        >>> x, ones = np.array([1, 2, 3], np.float32), np.ones(3, np.float32)
        >>> session.run(["hvp_x"], {"x": x, "seed_y": ones, "tangent_x": ones})[0].tolist()
        [6.0, 12.0, 18.0]
    """
    source = load(model)
    with blaming_model(source):
        ends = open_ends(source, of, wrt, EXACT)
        g, shadow = ends.g, ends.shadow
        seeds = {y: ends.input(f"seed_{y.name}", y) for y in ends.ys}
        xs = [shadow(x) for x in ends.xs]
        found = backward(g, {shadow(y): seed for y, seed in seeds.items()}, xs, EXACT)
        tangents, start = _tangents(ends, found)
        second = backward(g, start, xs, EXACT)
        if not second.gradients:
            raise NoGradientPath(f"the gradient by {_named(ends.xs)} is constant: the Hessian is zero everywhere")
        products = {x: g.output(_or_zeros(ends, second, x), f"hvp_{x.name}") for x in ends.xs}
        proto, folder = ends.finished()
        return TangentGraph(proto, names_of(tangents), names_of(products), names_of(seeds), folder)


def _or_zeros(ends: Ends, second: Backward, x: ir.Value) -> ir.Value:
    found = second.gradients.get(ends.shadow(x))
    return _zeros(ends, ends.shadow(x)) if found is None else found
