"""Maps of several layers as one."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..errors import InputError
from ..graph.builder import GraphBuilder

__all__ = ["Layers", "merged", "names_of", "settled"]

Layers = str | Sequence[str] | None
TINY = 1e-30


def settled(layers: Layers) -> str | tuple[str, ...] | None:
    """The name of a layer, or the names of several; InputError for what is none of these."""
    if layers is None or isinstance(layers, str):
        return layers or None
    names: tuple[str, ...] = tuple(layers)
    if not names or not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise InputError(f"layer={layers!r}: give the name of a layer, or several different names")
    return names if names[1:] else str(names[0])


def names_of(layers: Layers) -> tuple[str | None, ...]:
    """The names of the layers that are meant; None for the default one."""
    return (layers,) if layers is None or isinstance(layers, str) else tuple(layers)


def merged(g: GraphBuilder, cams: Sequence[ir.Value], signed: bool) -> ir.Value:
    """The mean of maps (rows, *places), each scaled to 0 to 1, in the size of the finest of them.

    As pytorch-grad-cam does it in the size of the input; the paper of LayerCAM scales by the maximum alone, some layers
    by tanh, and takes the maximum over layers. ``signed``: to -1 to 1, where 0 stays 0. Coarser maps are enlarged
    bilinearly; pixels are squares, whose centres are compared.
    """
    if len(cams) == 1:
        return cams[0]
    if len({g.rank(cam) for cam in cams}) > 1:
        raise InputError(f"layer=: maps of {', '.join(str(g.rank(cam) - 1) for cam in cams)} axes are no one map")
    sizes = [g.Shape(cam, start=1) for cam in cams]
    finest = g.Max(*sizes)
    scaled = [_enlarged(g, _scaled(g, cam, signed), finest) for cam in cams]
    return g.Div(g.Add(*scaled), float(len(cams)))


def _scaled(g: GraphBuilder, cam: ir.Value, signed: bool) -> ir.Value:
    places = list(range(1, g.rank(cam)))
    cam = cam if signed else g.Sub(cam, g.ReduceMin(cam, places, keepdims=1))
    return g.Div(cam, g.Max(g.ReduceMax(g.Abs(cam), places, keepdims=1), TINY))


def _enlarged(g: GraphBuilder, cam: ir.Value, sizes: ir.Value) -> ir.Value:
    whole = g.Concat(g.Shape(cam, end=1), [1], sizes, axis=0)
    return g.Squeeze(g.Resize(g.Unsqueeze(cam, [1]), None, None, whole, mode="linear"), [1])
