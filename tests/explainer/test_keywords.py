"""explain(), Explainer and what is behind them take the same keywords, with the same defaults, and describe them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import onnxray
import pytest
from by_hand import DENSE
from onnxray.attribution.faulty_maps import ControlMap
from onnxray.explainer import explanation_runs
from onnxray.explainer.explanation_runs import open_runs

NOT_OF_A_JACOBIAN = {"score", "layer", "features", "rules"}


def keywords(call: Callable[..., Any]) -> dict[str, Any]:
    parameters = inspect.signature(call).parameters.values()
    return {one.name: one.default for one in parameters if one.kind is inspect.Parameter.KEYWORD_ONLY}


def handed_on(call: Callable[..., Any]) -> set[str]:
    """The keywords of Explainer that a docstring lists at ``**options``."""
    text = (call.__doc__ or "").partition("**options:")[2].partition("\n\n")[0].rpartition("; and")[2]
    return set(re.findall(r"``(\w+)``", text)) - {"Explainer"}


@pytest.mark.parametrize("call", [onnxray.Explainer, onnxray.explain, onnxray.jacobian])
def test_every_keyword_is_described(call: Callable[..., Any]) -> None:
    assert [name for name in keywords(call) if not re.search(rf"^ +{name}: ", call.__doc__ or "", re.MULTILINE)] == []


def test_explain_takes_every_keyword_of_explainer() -> None:
    whole, own = keywords(onnxray.Explainer), keywords(onnxray.explain)
    assert {name: default for name, default in own.items() if name != "target"}.items() <= whole.items()
    assert set(own) - {"target"} | handed_on(onnxray.explain) == set(whole)
    assert handed_on(onnxray.jacobian) == set(whole) - NOT_OF_A_JACOBIAN


def test_explainer_hands_every_keyword_on() -> None:
    whole = keywords(onnxray.Explainer)
    assert whole.pop("preprocess", "none") is None
    assert keywords(open_runs) == whole


def test_a_second_method_on_the_model_gets_every_keyword(monkeypatch: pytest.MonkeyPatch) -> None:
    """But those of the first method and of its backend, as it runs on the portable one."""
    runs = open_runs(DENSE.proto(), "saliency")
    monkeypatch.setattr(explanation_runs, "open_runs", lambda *_, **given: given)
    assert set(runs.beside(ControlMap(runs.method, "output"))) == set(keywords(open_runs)) - {
        "layer",
        "builder",
        "runtime",
    }
