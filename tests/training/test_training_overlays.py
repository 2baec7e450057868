"""Overlays that the second builder cannot patch in are refused before the library is asked; names decide nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import onnx_ir as ir
import pytest
from onnxray.autodiff.backward import Backward
from onnxray.autodiff.overlays import OVERLAYS
from onnxray.autodiff.registry import Overlay, as_rule
from onnxray.errors import BuilderError
from onnxray.graph.builder import GraphBuilder
from onnxray.loading.load import load
from onnxray.training import training_backward
from onnxray.training.client import Worker
from onnxray.training.patch import POLICIES
from training_tools import model, with_weights

BODY = "{ c = Conv(x, w) r = Relu(c) g = GlobalAveragePool(r) y = Flatten(g) }"
OTHER = as_rule(lambda g, node, dy: [dy, *[None] * (len(node.inputs) - 1)])


class Unasked(Worker):
    """A worker that must not be asked."""

    def ask(self, *args: Any, **named: Any) -> Any:
        pytest.fail("the library was asked")


def reverse(overlay: Overlay, **options: Any) -> Backward:
    program = load(with_weights(model(BODY, "float[2,3,8,8] x", "float[2,4] y"), w=(4, 3, 3, 3))).copy()
    g, (y,) = GraphBuilder(program.graph), program.outputs
    seed = g.input("seed", ir.DataType.FLOAT, y.shape)
    return training_backward(g, {y: seed}, program.inputs, overlay, name="net.onnx", **options)


@pytest.mark.parametrize(
    "overlay",
    [
        replace(OVERLAYS["guided"]),
        replace(OVERLAYS["deconvnet"], name="guided"),
        Overlay("guided", {"Conv": OTHER}),
        Overlay("lrp", {"Conv": OTHER, "Relu": OTHER}),
        Overlay("exact", {"Relu": OTHER}),
        OVERLAYS["lrp-epsilon"],
    ],
    ids=["a copy", "a borrowed name", "of layers", "a name of its own", "not exact", "lrp"],
)
@pytest.mark.parametrize("lowered", [True, False])
def test_rules_that_it_cannot_patch_are_refused(overlay: Overlay, lowered: bool) -> None:
    message = rf"overlay '{overlay.name}', which override operator (Conv|Relu) .*use builder='portable'"
    with pytest.raises(BuilderError, match=message):
        reverse(overlay, lowered=lowered, by=Unasked())


@pytest.mark.parametrize(
    "overlay",
    [*(OVERLAYS[name] for name in ("exact", *POLICIES)), Overlay("of mine"), Overlay("none here", {"Elu": OTHER})],
)
def test_overlays_that_it_has_or_that_change_nothing_are_taken(overlay: Overlay) -> None:
    found = reverse(overlay)
    (activation,) = found.activations
    assert activation.overridden == (overlay.name in ("guided", "deconvnet"))
    assert [x.name for x in found.gradients] == ["x"]
