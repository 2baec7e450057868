"""Metrics of quality against their formulas in plain numpy, on a net of two layers."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import onnxray
import pytest
from measures import distance
from onnx import parser
from onnxray import InputError, evaluate
from onnxray.attribution.memory import bytes_per_row
from onnxray.gate.metrics.attribution_map import AttributionMap
from onnxray.gate.metrics.quality import QUALITIES
from onnxray.gate.metrics.quality_case import QualityCase
from onnxray.gate.model_under_test import open_model_under_test
from onnxray.gate.summary import rises
from scipy.special import softmax
from scipy.stats import spearmanr

RNG = np.random.default_rng(7)
A, W = RNG.normal(size=(6, 8)).astype(np.float32), RNG.normal(size=(8, 3)).astype(np.float32)
X = RNG.normal(size=(1, 6)).astype(np.float32)
METHOD = "input-x-gradient"


def logits(x: np.ndarray) -> np.ndarray:
    return np.maximum(x.astype(float) @ A, 0) @ W


SIZES = {"x": 6, "h": 8, "a": 8, "y": 3}
TOP = int(logits(X).argmax())


def explained(x: np.ndarray, target: int = TOP) -> np.ndarray:
    """Input times gradient, by hand."""
    return x * ((x @ A > 0) * W[:, target] @ A.T)


@pytest.fixture(scope="module")
def net() -> onnxray.Model:
    return net_of(W)


def net_of(weights: np.ndarray) -> onnxray.Model:
    """Its last layer has these weights."""
    x, hidden, active, y = (ir.val(name, ir.DataType.FLOAT, ["batch", n]) for name, n in SIZES.items())
    a, w = (ir.val(name, const_value=ir.tensor(value, name=name)) for name, value in (("A", A), ("W", weights)))
    nodes = [
        ir.node("MatMul", [x, a], outputs=[hidden]),
        ir.node("Relu", [hidden], outputs=[active]),
        ir.node("MatMul", [active, w], outputs=[y]),
    ]
    graph = ir.Graph([x], [y], nodes=nodes, initializers=[a, w], opset_imports={"": 18}, name="net")
    return onnxray.load(ir.to_proto(ir.Model(graph, ir_version=10)))


def curve(x: np.ndarray, insert: bool) -> float:
    """The strongest places in 20 steps: taken away, or put into zeros; the area by trapezoids."""
    order, values = np.argsort(-np.abs(explained(x)[0])), []
    for step in range(21):
        places = order[: round(step / 20 * 6)]
        row = np.zeros_like(x) if insert else x.copy()
        row[0, places] = x[0, places] if insert else 0
        values.append(softmax(logits(row)[0])[TOP])
    return float(np.sum((np.array(values[1:]) + values[:-1]) / 2 / 20))


def max_sensitivity(x: np.ndarray) -> float:
    rng, found = np.random.default_rng((0, 0)), []
    for _ in range(8):
        near = (x + 0.02 * np.abs(x) * rng.uniform(-1, 1, x.shape)).astype(np.float32)
        found.append(distance(explained(near), explained(x)))
    return max(found)


def infidelity(x: np.ndarray) -> float:
    """At the best scale, over the mean squared change."""
    rng = np.random.default_rng((0, 0))
    masks = np.array([rng.random(6) < 0.2 for _ in range(48)], float)
    falls = np.array([(logits(x) - logits(x - mask * x))[0, TOP] for mask in masks])
    foretold = masks @ explained(x)[0]
    scale = np.linalg.lstsq(foretold[:, None], falls, rcond=None)[0][0]
    return float(np.mean((scale * foretold - falls) ** 2) / np.mean(falls**2))


def completeness(x: np.ndarray) -> float:
    fall = (logits(x) - logits(0 * x))[0, TOP]
    return abs(explained(x).sum() - fall) / abs(fall)


def sparseness(x: np.ndarray) -> float:
    """The Gini index as mean difference of all pairs over twice the mean."""
    sizes = np.abs(explained(x)[0])
    return float(np.abs(sizes[:, None] - sizes).mean() / (2 * sizes.mean()))


def label_randomisation(x: np.ndarray) -> float:
    other = int((TOP + np.random.default_rng((0, 0)).integers(1, 3)) % 3)
    return abs(spearmanr(explained(x)[0], explained(x, other)[0]).statistic)


FORMULAS: dict[str, Callable[[np.ndarray], float]] = {
    "deletion": lambda x: curve(x, insert=False),
    "insertion": lambda x: curve(x, insert=True),
    "max-sensitivity": max_sensitivity,
    "infidelity": infidelity,
    "completeness": completeness,
    "sparseness": sparseness,
    "label-randomisation": label_randomisation,
}


@pytest.mark.parametrize("metric", FORMULAS)
def test_a_metric_is_its_formula(metric: str, net: onnxray.Model) -> None:
    expected = FORMULAS[metric](X)
    found = evaluate(net, X, methods=METHOD, metrics=metric, threads=1).value(METHOD, metric)
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert metric == "completeness" or expected > 1e-3


def test_every_quality_has_a_formula_and_its_direction() -> None:
    elsewhere = {
        "parameter-randomisation",
        "cascading-randomisation",
        "pointing-game",
    }  # test_randomised_parameters, test_gate_evaluate.py
    assert {*FORMULAS, *elsewhere} == set(QUALITIES)
    rising = {"insertion", "pointing-game", "sparseness"}
    assert {name for name in QUALITIES if rises(name)} == rising
    assert all(re.search(r"arXiv:\d{4}\.\d{5}", quality.about) for quality in QUALITIES.values())


@pytest.mark.parametrize(("metric", "share"), [("parameter-randomisation", 1), ("cascading-randomisation", 0.5)])
def test_randomised_parameters(metric: str, share: float, net: onnxray.Model) -> None:
    """The map of the model whose weights were shuffled, as ``randomised`` shuffles them, in both layers or the last."""
    from onnxray.gate.layers.randomise import randomised

    other = onnxray.explain(randomised(net, 0, share), X, METHOD, target=TOP).values
    found = evaluate(net, X, methods=METHOD, metrics=metric, threads=1)
    expected = abs(spearmanr(explained(X)[0], other[0]).statistic)
    assert found.value(METHOD, metric) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("metric", ["parameter-randomisation", "cascading-randomisation"])
def test_a_randomised_model_without_signal_tells_nothing(metric: str, net: onnxray.Model) -> None:
    """Its map is the same everywhere whatever the method: no rank correlation, and no check that is passed."""
    side, dead = (open_model_under_test(one, [METHOD], threads=1) for one in (net, net_of(np.zeros_like(W))))
    given, rng = side.prepared(X), np.random.default_rng(0)
    found = side.evidence(given, TOP)
    subject = QualityCase(side, given, found.target, METHOD, found.maps[METHOD], rng, {1.0: dead, 0.5: dead})
    with warnings.catch_warnings(action="error"):  # of random weights there is nothing to warn
        assert QUALITIES[metric].measure(subject) is None


def test_a_part_that_is_the_same_everywhere_turns_no_map_round() -> None:
    """RISE's mean scores are negative where the score is; the strongest place is still the one that raises it."""
    corner = parser.parse_model("""<ir_version: 10, opset_import: ["" : 18]>
        net (float[N,1,8,8] x) => (float[N,1] y)
        <int64[2] start = {0, 0}, int64[2] end = {2, 2}, int64[2] axes = {2, 3}, int64[3] all = {1, 2, 3},
         float low = {9}, int64[1] one = {1}> {
            c = Slice(x, start, end, axes)
            s = ReduceMean<keepdims = 0>(c, all)
            m = Sub(s, low)
            y = Unsqueeze(m, one)
        }""")
    side = open_model_under_test(onnxray.load(corner), ["rise"], threads=1)
    given = side.prepared(np.ones((1, 1, 8, 8), np.float32))
    strong = AttributionMap(side.evidence(given, 0).maps["rise"]).strength
    assert side.scores(given)[0] == -8
    assert max(np.unravel_index(strong.argmax(), strong.shape)) < 3
    assert strong.min() == 0


def test_a_map_without_numbers_is_refused() -> None:
    """Ranks of NaN would be numbers, and mean nothing."""
    x, y = (ir.val(name, ir.DataType.FLOAT, ["batch", 3]) for name in "xy")
    graph = ir.Graph([x], [y], nodes=[ir.node("Sqrt", [x], outputs=[y])], opset_imports={"": 18}, name="roots")
    side = open_model_under_test(onnxray.load(ir.to_proto(ir.Model(graph, ir_version=10))), ["saliency"], threads=1)
    given = side.prepared(np.ones((1, 3), np.float32))
    found = side.evidence(given, 0)
    subject = QualityCase(side, given, found.target, "saliency", found.maps["saliency"], np.random.default_rng(0))
    np.testing.assert_allclose(subject.attribution(4 * subject.x), [0.25, 0, 0])
    with pytest.raises(InputError, match="the map of saliency of a changed input, class or model holds NaN"):
        subject.attribution(-subject.x)


@pytest.mark.parametrize(("rows", "size"), [(1, 1), (5, 5), (100, 16)])
def test_changed_inputs_run_in_as_much_memory_as_is_allowed(
    rows: int, size: int, net: onnxray.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = open_model_under_test(net, [METHOD], memory=rows * bytes_per_row(net))
    given = side.prepared(X)
    found = side.evidence(given, TOP)
    subject = QualityCase(side, given, found.target, METHOD, found.maps[METHOD], np.random.default_rng(0))
    runs: list[int] = []
    plain = QualityCase._chunk
    monkeypatch.setattr(QualityCase, "_chunk", lambda one, inputs: runs.append(len(inputs)) or plain(one, inputs))
    many = RNG.normal(size=(20, 6)).astype(np.float32)
    np.testing.assert_allclose(subject.scores(many), logits(many)[:, TOP], rtol=1e-5)
    assert max(runs) == size
    assert sum(runs) == 20
