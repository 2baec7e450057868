"""Sessions on the CPU whose quotients of images stay in onnxruntime's blocked layout, between its convolutions.

onnxruntime optimises the graph and writes it down; what it left the layout for is moved into it, and the graph opened
once more as it is. Every element is computed by the same operators as before.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx_ir as ir

from .errors import OnnxrayError
from .graph.blocked_layout import divides_in_blocks
from .graph.model import Model
from .graph.weights import LARGE, array_of, detached
from .passes.stay_in_blocks import DOMAIN, late_order, stay_in_blocks
from .runtime import Session, SessionSettings, open_session, provider_names
from .support.execution_providers import CPU
from .support.heap import release

__all__ = ["block_of_this_processor", "open_in_blocks"]

_CHANNELS, _WIDTH = 32, 2  # of the image that tells how wide blocks are: several of any width


def open_in_blocks(model: Model, settings: SessionSettings, in_place: Collection[str] = ()) -> Session | None:
    """A session as from ``open_model``; None where nothing is to be moved, or where it cannot be opened that way."""
    alone = settings.optimization == "all" and provider_names(settings.providers) == [CPU]
    block = block_of_this_processor() if alone and divides_in_blocks(model.program) else None
    if block is None:
        return None
    try:
        with TemporaryDirectory(prefix="onnxray-") as folder:
            session, optimised = _optimised(model, settings, in_place, Path(folder, "optimised.onnx"))
        if stay_in_blocks(optimised, block):
            late_order(optimised.graph)
            session = _opened(optimised, settings)
        release()
        return replace(session, fed={name: array_of(model.graph.initializers[name]) for name in in_place})
    except (OnnxrayError, OSError):  # a full disk, or what ``open_model`` will say of the model
        return None


def _optimised(
    model: Model, settings: SessionSettings, in_place: Collection[str], file: Path
) -> tuple[Session, ir.Model]:
    """A session, and the graph as onnxruntime optimised it for this processor, with its weights."""
    proto, arrays = detached(model.program, in_place)
    written = {"optimized_model_filepath": os.fspath(file)}
    session = open_session(proto, settings.providers, settings.threads, model.folder, arrays, options=written)
    optimised = ir.load(file)
    for value in optimised.graph.initializers.values():  # in memory, where they stay
        if value.const_value is not None and value.const_value.nbytes > LARGE:
            value.const_value = ir.Tensor(value.const_value.numpy(), name=value.name)
    return session, optimised


def _opened(optimised: ir.Model, settings: SessionSettings) -> Session:
    import onnxruntime

    in_order = {"execution_order": onnxruntime.ExecutionOrder.PRIORITY_BASED}  # that of the nodes in the graph
    proto, arrays = detached(optimised)
    return open_session(
        proto, settings.providers, settings.threads, weights=arrays, optimization="off", options=in_order
    )


@cache
def block_of_this_processor() -> int | None:
    """The channels of a block on this processor, as onnxruntime arranges an image; None where it has no such layout."""
    image = np.arange(_CHANNELS * _WIDTH, dtype=np.float32).reshape(1, _CHANNELS, 1, _WIDTH)
    shape, dtype = ir.Shape(image.shape), ir.TensorType(ir.DataType.FLOAT)
    x, y = (ir.Value(name=name, shape=shape, type=dtype) for name in "xy")
    node = ir.Node(DOMAIN, "ReorderInput", [x], outputs=[y])
    graph = ir.Graph([x], [y], nodes=[node], opset_imports={"": 17, DOMAIN: 1}, name="one image")
    proto = ir.to_proto(ir.Model(graph, ir_version=8))
    try:
        found = open_session(proto, threads=1, optimization="off").run({"x": image})
    except OnnxrayError:
        return None
    block = int(np.flatnonzero(found["y"].ravel() == 1)[0])
    cut = image.reshape(-1, block, _WIDTH).swapaxes(1, 2) if _CHANNELS % block == 0 else image
    return block if np.array_equal(cut.ravel(), found["y"].ravel()) else None
