"""What a call does beside its runs: nothing that the model alone decides, and no more nodes than the method needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import model, normal
from onnxray.attribution import axes, heads
from onnxray.data.preprocess import METADATA_KEY, Preprocess
from onnxray.graph import metadata
from onnxray.runtime import Session

TWO_LAYERS = """net (float[N, 2, 6, 6] x) => (float[N, 3] y) {
    a = Conv<pads = [1, 1, 1, 1]>(x, v)
    b = Relu(a)
    c = Conv<pads = [1, 1, 1, 1]>(b, w)
    d = Relu(c)
    e = GlobalAveragePool(d)
    y = Flatten(e)
}"""


def two_layers() -> onnx.ModelProto:
    proto = model(TWO_LAYERS, {"v": normal(4, 2, 3, 3), "w": normal(3, 4, 3, 3)})
    onnx.helper.set_model_props(proto, Preprocess(size=(6, 6), mean=(0.5,)).to_metadata())
    return proto


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "grad-cam"])
def test_a_second_call_reads_nothing_of_the_model_anew(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    explainer, x = onnxray.Explainer(two_layers(), method), normal(2, 2, 6, 6)
    first = explainer(x)

    def fails(*given: Any, **named: Any) -> None:
        raise AssertionError("a call reads the model anew")

    assert METADATA_KEY in explainer.model.metadata
    monkeypatch.setattr(Preprocess, "from_settings", fails)
    for module, name in ((axes, "leading_input"), (heads, "find_head"), (metadata, "decoded")):
        monkeypatch.setattr(module, name, fails)
    second = explainer(x)
    np.testing.assert_array_equal(second.values, first.values)


def test_what_a_user_does_to_a_result_stays_out_of_the_next() -> None:
    explainer, x = onnxray.Explainer(two_layers(), "saliency", features="b"), normal(2, 2, 6, 6)
    first = explainer(x)
    first.provenance["features"].append("changed")
    assert explainer(x).provenance["features"] == ["b"]


def test_another_preprocess_counts_from_the_next_call_on() -> None:
    explainer, x = onnxray.Explainer(two_layers()), normal(2, 2, 6, 6)
    assert explainer.preprocess is None
    explainer.preprocess = Preprocess(layout="NHWC")
    assert explainer(x).layout == "NHWC"


@pytest.mark.parametrize("examples", [1, 3])
@pytest.mark.parametrize("rows", [2, 7])
def test_the_sum_over_points_does_not_depend_on_the_rows_of_a_run(examples: int, rows: int) -> None:
    """Rows of several examples come by turns, and a run may end amid a turn."""
    explainer, x = onnxray.Explainer(two_layers(), "integrated-gradients", steps=6), normal(examples, 2, 6, 6)
    whole = explainer(x, target=1)
    (plan,) = explainer.plans
    explainer.memory = plan.held_bytes + rows * plan.row_bytes
    done: list[int] = []
    parted = explainer(x, target=1, progress=lambda n, _: done.append(n))
    assert max(np.diff([0, *done])) == (rows // examples * examples or rows)  # whole turns, as far as one fits
    np.testing.assert_allclose(parted.values, whole.values, rtol=1e-5, atol=1e-6)
    each = [explainer(one[None], target=1).values[0] for one in x]
    np.testing.assert_allclose(parted.values, each, rtol=1e-5, atol=1e-6)


def test_examples_in_several_runs_are_neither_copied_nor_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    explainer, x = onnxray.Explainer(two_layers()), normal(5, 2, 6, 6)
    whole = explainer(x).values
    (plan,) = explainer.plans
    explainer.memory = plan.held_bytes + 2 * plan.row_bytes
    fed: list[np.ndarray] = []
    run = Session.run

    def spy(self: Session, feeds: Mapping[str, np.ndarray], outputs: Sequence[str] | None = None) -> Any:
        fed.append(feeds["x"])
        return run(self, feeds, outputs)

    monkeypatch.setattr(Session, "run", spy)
    parted = explainer(x).values
    assert [len(part) for part in fed] == [2, 2, 1]
    assert all(np.shares_memory(part, x) for part in fed)
    assert parted.dtype == np.float32
    np.testing.assert_allclose(parted, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["grad-cam", "layer-cam"])
@pytest.mark.parametrize(("layer", "convolutions"), [("d", 2), ("b", 3)])
def test_a_class_activation_map_differentiates_what_follows_its_layer_alone(
    method: str, layer: str, convolutions: int
) -> None:
    """The last layer needs no convolution but the model's; the one before needs the gradient of one."""
    (plan,) = onnxray.Explainer(two_layers(), method, layer=layer).plans
    nodes = list(plan.model.graph)
    assert len([node for node in nodes if node.op_type in ("Conv", "ConvTranspose")]) == convolutions
