"""The memory that a row is planned to take, against a count by hand and against what runs take."""

from __future__ import annotations

import math
import subprocess
import sys
from inspect import signature
from itertools import pairwise

import onnxray
import pytest
from by_hand import model, normal
from onnxray.attribution.memory import CACHE, DEFAULT, WORKING, bytes_per_row, parse_memory, rows_in_cache

ROW = 4 * 100  # bytes
CHAIN = """net (float[N, 100] x) => (float[N, 100] y) {
    a = Relu(x)
    b = Neg(a)
    s = Constant<value_ints = [1, 100]>()
    c = Reshape(b, s)
    w = Neg(W)
    d = Add(c, w)
    e = Add(d, a)
    y = Neg(e)
}"""
SQUARE = "net (float[N, 100] x) => (float[N, 100] y) { y = Mul(x, x) }"
ONE_RUN = """
import sys
sys.path[:0] = sys.argv[3:]
from nets import net
import onnxray
from onnxray.attribution import memory
from onnxray.support.heap import held_memory, reset_peak

memory.CACHE = 2**50  # for all rows in one run, which holds what the run of one row before it did not
one, rows = net(sys.argv[1]), int(sys.argv[2])
explainer, x = onnxray.Explainer(one.proto, threads=1), one.pictures(rows)
explainer(x[:1], target=0)
reset_peak()
before, counts = held_memory(), []
for _ in range(3):
    explainer(x, target=0, progress=lambda done, _: counts.append(done))
assert counts == 3 * [rows], counts
print((held_memory("VmHWM") - before) / (rows * explainer.plans[0].row_bytes))
"""


def test_what_is_alive_at_one_time_is_counted() -> None:
    """At most a, b with its view c, and d; then a, d and e; neither c nor w, which is computed when the model opens."""
    proto = model(CHAIN, {"W": normal(1, 100)})
    assert bytes_per_row(onnxray.load(proto)) == math.ceil(WORKING * 3 * ROW)


def test_values_of_a_body_count_as_long_as_its_node_runs() -> None:
    proto = model("""net (float[N, 100] x, bool c) => (float[N, 100] y) {
        a = Neg(x)
        y = If (c) <then_branch = one () => (float[N, 100] p) { q = Neg(a) p = Neg(q) },
                    else_branch = other () => (float[N, 100] r) { r = Identity(a) }>
    }""")
    assert bytes_per_row(onnxray.load(proto)) == math.ceil(WORKING * 5 * ROW)


def test_a_run_on_a_cpu_has_no_more_rows_than_its_cache_holds() -> None:
    explainer = onnxray.Explainer(model(SQUARE), "integrated-gradients", steps=2, threads=1)
    few, done = normal(9, 100), [0]
    whole = explainer(few, progress=lambda rows, _: done.append(rows)).values
    assert done == [0, 9, 36]  # the inputs themselves, then all other points at once
    (plan,) = explainer.plans
    vars(plan)["row_bytes"] = CACHE // 5
    many, done = normal(6, 100), [0]
    explainer(many, progress=lambda rows, _: done.append(rows))
    assert max(b - a for a, b in pairwise(done)) == 5
    assert [rows_in_cache(CACHE, *others) for others in ((0, 1), (0, 2), (0, 8), (3 * CACHE, 2))] == [1, 1, 4, 3]
    assert whole.shape == few.shape


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is read from /proc")
@pytest.mark.parametrize(("name", "rows"), [("mobilenet", 8), ("resnet18", 8)])
def test_runs_take_no_more_than_is_planned(name: str, rows: int) -> None:
    """Also from the second run on, where onnxruntime by itself would plan one block beside the first."""
    found = subprocess.run(
        [sys.executable, "-c", ONE_RUN, name, str(rows), *sys.path], capture_output=True, text=True, check=True
    )
    assert 0.1 < float(found.stdout.split()[-1]) < 1


def test_a_budget_that_a_single_row_exceeds_is_told_where_it_was_asked_for(recwarn: pytest.WarningsRecorder) -> None:
    for memory in ("1GB", "1MB"):
        onnxray.explain(model(SQUARE), normal(1, 100), target=1, memory=memory)
    assert not recwarn.list
    with pytest.warns(
        UserWarning, match=r"^memory: a run of a single row may take [\d.]+ MB beside the weights, more "
    ):
        onnxray.explain(model(SQUARE), normal(1, 100), target=1, memory="1KB")


def test_the_default_is_the_budget_that_nobody_asked_for() -> None:
    named = (onnxray.Explainer, onnxray.compare, onnxray.evaluate, onnxray.run)
    assert {parse_memory(signature(one).parameters["memory"].default) for one in named} == {DEFAULT}
