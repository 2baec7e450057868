"""Walks through a graph: what depends on what, and how often a value is visited."""

from __future__ import annotations

import onnx_ir as ir
import onnxray
import pytest
from by_hand import model, normal
from onnxray.graph import traversal
from onnxray.graph.traversal import DependsOn, depends_on_inputs


def test_what_depends_on_the_inputs() -> None:
    """Through nodes and what the graphs in them capture; not what is computed of weights alone."""
    found = onnxray.load(
        model(
            """net (float[N, 4] x, bool c) => (float[N, 4] y) {
                v = Mul(W, W) a = MatMul(x, v) b = Add(v, one)
                y = If(c) <then_branch = t () => (float[N, 4] p) { p = Relu(a) },
                          else_branch = e () => (float[N, 4] q) { q = Neg(a) }> }""",
            {"W": normal(4, 4), "one": normal(1)},
        )
    )
    told = {name: depends_on_inputs(found.value(name)) for name in ("x", "W", "v", "b", "a", "y")}
    assert told == {"x": True, "W": False, "v": False, "b": False, "a": True, "y": True}


def test_what_is_found_of_a_value_is_kept() -> None:
    """A value is looked at before and after what it depends on, however often it is asked for."""
    net = onnxray.load(model("net (float[N, 4] x) => (float[N, 4] y) { a = Add(x, x) b = Add(a, a) y = Add(b, a) }"))
    values, picked = [net.value(name) for name in "yxab"], list[str]()

    def picks(value: ir.Value) -> bool:
        picked.append(str(value.name))
        return value.name == "b"

    depends = DependsOn(picks)
    assert [depends(value) for value in (*values, *values, None)] == [True, False, False, True] * 2 + [False]
    assert {name: picked.count(name) for name in "xaby"} == {"x": 1, "a": 2, "b": 1, "y": 2}


def chain(length: int) -> object:
    """Products with weights and Relus, one behind the other."""
    nodes = [f"a{k} = MatMul(v{k}, W) v{k + 1} = Relu(a{k})" for k in range(length)]
    return model(f"net (float[N, 4] v0) => (float[N, 4] v{length}) {{ {' '.join(nodes)} }}", {"W": normal(4, 4)})


@pytest.mark.parametrize("composite", ["epsilon", "epsilon-plus-flat", "attnlrp"])
def test_the_rules_of_relevance_visit_a_long_net_once(composite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A net twice as long takes twice the visits; it was four times, and eight where first layers have a rule."""
    visits, inputs_of = list[ir.Node](), traversal.inputs_of
    monkeypatch.setattr(traversal, "inputs_of", lambda node: visits.append(node) or inputs_of(node))
    counts = []
    for length in (15, 30):
        visits.clear()
        onnxray.Explainer(chain(length), "lrp", composite=composite, threads=1)  # type: ignore[arg-type]
        counts.append(len(visits))
    assert counts[1] < 2.2 * counts[0]
