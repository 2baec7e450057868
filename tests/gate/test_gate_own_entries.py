"""A metric, a quality and a method of somebody else: each is one entry of its table, and nothing else knows it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnxray
import pytest
from cli_tools import DIGITS
from held_out import digits
from onnxray.cli.app import run
from onnxray.gate.layers.randomise import randomised
from onnxray.gate.metrics.agreement import METRICS, Metric
from onnxray.gate.metrics.quality import QUALITIES, Quality
from onnxray.methods.base import EmitContext, Emitted, Reduction

X = digits().unseen[:4, None].astype(np.float32) / 255


@dataclass(frozen=True)
class Halved(onnxray.METHODS["saliency"]):
    """Half of the gradient (Nobody, 2026)."""

    name: ClassVar[str] = "halved"
    reduction: ClassVar[Reduction] = "norm"

    def emit(self, context: EmitContext) -> Emitted:
        gradients, activations = context.gradients()
        return Emitted({name: context.g.Mul(dx, 0.5) for name, dx in gradients.items()}, activations)


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Metric("row-gap", lambda a, b: abs(a.strength.sum() - b.strength.sum()), 0.0, 1.0, least_side=9)
    total = Quality("total", lambda case: float(np.abs(case.map).sum()), rises=False)
    steps = Quality("steps", lambda case: np.linspace(0, 1, 5), rises=False, across="steps")
    monkeypatch.setitem(METRICS, "row-gap", rows)
    monkeypatch.setitem(QUALITIES, "total", total)
    monkeypatch.setitem(QUALITIES, "steps", steps)
    monkeypatch.setitem(onnxray.METHODS, "halved", Halved)


def test_a_metric(tmp_path: Path) -> None:
    """It falls, so the worst sample is the one of the largest value, and more than the threshold fails."""
    other = randomised(onnxray.load(DIGITS), 0, 0.2)
    found = onnxray.compare(DIGITS, other, X, methods="saliency", metrics="row-gap", fail_under={"row-gap": 1e-9})
    values = [row.maps["saliency"]["row-gap"] for row in found.rows]
    (summary,) = [one for one in found.summary if one.metric == "row-gap"]
    assert (summary.worst, found.verdict) == (max(values), "fail")
    assert "row-gap ↓" in found.report(tmp_path).read_text(encoding="utf-8")
    assert not METRICS["row-gap"].measures((8, 28))


def test_qualities(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = onnxray.evaluate(DIGITS, X, methods="saliency", metrics=["total", "steps"], threads=1)
    values = [row.maps["saliency"]["total"] for row in found.rows]
    assert [one.worst for one in found.summary] == [max(values), 0.5]
    assert found.curves == {"steps": {"saliency": (0, 0.25, 0.5, 0.75, 1)}}
    assert "total ↓" in found.report(tmp_path).read_text(encoding="utf-8")
    np.save(tmp_path / "x.npy", X)
    assert run(["evaluate", str(DIGITS), str(tmp_path / "x.npy"), "-m", "saliency", "--metric", "total"]) == 0
    assert "total -" in capsys.readouterr().out


def test_a_method_says_itself_that_its_map_is_a_gradient() -> None:
    """Infidelity is that of the gradient, as it takes the best scale of a map."""
    found = onnxray.evaluate(DIGITS, X, methods=["saliency", "halved"], metrics="infidelity", threads=1)
    assert found.value("halved", "infidelity") == pytest.approx(found.value("saliency", "infidelity"), rel=1e-4)
    assert json.loads(found.json_text())["provenance"]["methods"] == ["saliency", "halved"]
