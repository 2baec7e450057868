"""Objects are held no longer than they are used, and settings changed for one call alone."""

from __future__ import annotations

import gc
import sys
import types
import warnings
import weakref
from typing import Any

import numpy as np
import onnxray
import pytest
from by_hand import CONV, DENSE, model
from onnxray.attribution.plan_cache import KEPT, Plans
from onnxray.data.pictures import read_picture
from onnxray.gate import quantus_adapter
from PIL import Image


def test_plans_are_few_and_the_one_unused_longest_goes() -> None:
    plans = Plans[str]()
    for key in range(KEPT + 1):
        plans.get(key, lambda key=key: f"plan {key}")
        plans.get(0, lambda: "plan 0")
    assert list(plans) == [*(f"plan {key}" for key in range(2, KEPT)), f"plan {KEPT}", "plan 0"]
    assert plans.get(1, lambda: "built again") == "built again"


def test_explainer_of_many_sizes_keeps_few_of_them() -> None:
    explainer = onnxray.Explainer(CONV.proto(size=("H", "W")))
    for side in range(4, 8 + KEPT):
        x = CONV.x(2, size=(side, side + 1))
        np.testing.assert_allclose(explainer(x, target=1).values, CONV.gradient(x, 1), rtol=1e-4, atol=1e-5)
    assert len(explainer.plans) == KEPT


def test_pictures_leave_the_filters_of_warnings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Filters are those of all threads: two that read pictures would put back each other's."""
    monkeypatch.setattr(warnings, "catch_warnings", lambda **_: pytest.fail("filters changed"))
    assert read_picture(Image.new("RGB", (3, 2))).size == (3, 2)


@pytest.fixture
def quantus(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules and classes of Quantus that the adapter uses."""
    names = ["quantus", "quantus.helpers", "quantus.helpers.utils", "quantus.helpers.model"]
    made = {name: types.ModuleType(name) for name in [*names, "quantus.helpers.model.model_interface"]}
    interface: Any = made["quantus.helpers.model.model_interface"]

    class ModelInterface:
        def __init__(self, model: Any, channel_first: bool, softmax: bool) -> None:
            self.model, self.channel_first, self.softmax = model, channel_first, softmax

    interface.ModelInterface = ModelInterface
    made["quantus.helpers.utils"].get_wrapped_model = lambda model, *_: ("wrapped", model)  # type: ignore[attr-defined]
    for name, module in made.items():
        monkeypatch.setitem(sys.modules, name, module)
    return made["quantus.helpers.utils"]


@pytest.mark.slow
def test_quantus_is_patched_as_long_as_a_model_of_ours_lives(quantus: Any) -> None:
    original = quantus.get_wrapped_model
    first, second = (quantus_adapter.quantus_model(DENSE.proto()) for _ in range(2))
    assert quantus.get_wrapped_model(first) is first
    assert quantus.get_wrapped_model(3) == ("wrapped", 3)
    del first
    gc.collect()
    assert quantus.get_wrapped_model(second) is second
    del second
    gc.collect()
    assert quantus.get_wrapped_model is original


def test_explainers_for_quantus_go_with_their_model() -> None:
    model = onnxray.load(DENSE.proto())
    values = quantus_adapter.explain_func(model, DENSE.x(2), np.array([1, 1]))
    np.testing.assert_allclose(values, DENSE.gradient(DENSE.x(2), 1), rtol=1e-4, atol=1e-5)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_a_message_is_one_line_whatever_names_are_in_it() -> None:
    """Mutant 104097: an operator whose name has a line break in it."""
    proto = model("net (float[N, 3] x) => (float[N, 3] y) { y = Sin(x) }")
    proto.graph.node[0].op_type = "If*;\nthen\x1b[31m"
    with pytest.raises(onnxray.ModelError) as caught:
        onnxray.load(proto)
    assert "\\n" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
