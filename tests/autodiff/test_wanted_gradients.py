"""Only wanted gradients are emitted: those of weights and bounds are not, unless somebody asks for them."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import onnxray
import pytest
from by_hand import model, normal
from onnxray.autodiff.backward import backward
from onnxray.autodiff.composites import COMPOSITES
from onnxray.autodiff.overlays import EXACT
from onnxray.autodiff.registry import Overlay
from onnxray.graph.builder import GraphBuilder

WEIGHTS = {
    "W": normal(4, 3, 3, 3), "b": normal(4, seed=1), "low": np.float32(0), "high": np.float32(2),
    "V": normal(4, 5, 2, 2, seed=2), "v": normal(5), "A": normal(80, 6) / 9, "B": normal(6, 4), "c": normal(4),
}  # fmt: skip
TEXT = """net (float[2, 3, 5, 5] x) => (float[2, 4] y) {
    d = Conv(x, W, b)  r = Clip(d, low, high)  t = ConvTranspose(r, V, v)  f = Flatten(t)  m = MatMul(f, A)
    y = Gemm(m, B, c)
}"""


def swept(overlay: Overlay, wrt: str) -> tuple[list[ir.Node], set[ir.Node]]:
    """The nodes that a reverse pass emits, and those of them that its gradients depend on."""
    net = onnxray.load(model(TEXT, WEIGHTS)).copy()
    g = GraphBuilder(net.graph)
    y = net.outputs[0]
    found = backward(g, {y: g.expand_like(g.constant(1, ir.DataType.FLOAT), y)}, [net.value(wrt)], overlay)
    waiting, read = [node for dx in found.gradients.values() if (node := dx.producer()) is not None], set[ir.Node]()
    while waiting:
        node = waiting.pop()
        if node not in read:
            read.add(node)
            waiting += [made for x in node.inputs if x is not None and (made := x.producer()) is not None]
    return [node for node in net.graph if node in g.emitted], read


@pytest.mark.parametrize("overlay", [EXACT, COMPOSITES["epsilon"]], ids=lambda one: one.name)
def test_no_node_is_thrown_away(overlay: Overlay) -> None:
    emitted, read = swept(overlay, "x")
    assert [node.name for node in emitted if node not in read] == []
    assert len(emitted) > 5


@pytest.mark.parametrize("name", WEIGHTS)
def test_what_is_asked_for_is_emitted(name: str) -> None:
    graph = onnxray.differentiate(model(TEXT, WEIGHTS), "y", name)
    assert graph.gradients.keys() == {name}
