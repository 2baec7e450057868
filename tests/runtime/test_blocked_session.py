"""A session whose quotients stay in the blocked layout gives the bits of one that onnxruntime opened by itself."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import pytest
from by_hand import model, normal
from onnxray import blocked_session
from onnxray.attribution.plan import explanation_graph
from onnxray.backends import backend_named
from onnxray.blocked_session import block_of_this_processor, open_in_blocks
from onnxray.graph import blocked_layout
from onnxray.methods import method_named
from onnxray.runtime import SessionSettings, open_model

LAYERS = 4
ALONE = SessionSettings(threads=1)


def net(layers: int = LAYERS) -> onnxray.Model:
    """1x1 convolutions of 32 channels with a Clip each, one after the other, and a dense layer."""
    text = " ".join(f"h{k + 1} = Conv(c{k}, W{k}, b{k}) c{k + 1} = Clip(h{k + 1}, zero, six)" for k in range(layers))
    weights = {"zero": np.float32(0), "six": np.float32(1), "dense": normal(32 * 6, 4, seed=9)}
    for k in range(layers):
        weights |= {f"W{k}": normal(32, 32, 1, 1, seed=k) / 4, f"b{k}": normal(32, seed=k)}
    return onnxray.load(
        model(
            f"net (float[N, 32, 2, 3] c0) => (float[N, 4] y) {{ {text} f = Flatten(c{layers}) y = Gemm(f, dense) }}",
            weights,
        )
    )


def explained(method: str = "deep-lift", layers: int = LAYERS) -> Any:
    """The graph of a method that divides at each Clip, or at each layer."""
    return explanation_graph(net(layers), method_named(method, None, {}), lowering="cpu").model


needs_blocks = pytest.mark.skipif(
    block_of_this_processor() is None, reason="onnxruntime has no blocked layout on this processor"
)


def feeds() -> dict[str, Any]:
    return {"c0": normal(2, 32, 2, 3, seed=7), "target": np.array([1, 3])}


@needs_blocks
@pytest.mark.parametrize("method", ["deep-lift", "lrp"])
def test_the_bits_are_those_of_a_session_that_is_opened_once(method: str) -> None:
    program = explained(method)
    session = open_in_blocks(program, ALONE)
    assert session is not None
    once = open_model(program, ALONE).run(feeds())
    for name, found in session.run(feeds()).items():
        np.testing.assert_array_equal(found, once[name])


@needs_blocks
def test_weights_that_are_read_in_place_are_fed() -> None:
    program = explained()
    session = open_in_blocks(program, ALONE, ["dense"])
    assert session is not None
    assert list(session.fed) == ["dense"]
    once = open_model(program, ALONE).run(feeds())
    for name, found in session.run(feeds()).items():
        np.testing.assert_allclose(found, once[name], rtol=1e-5, atol=1e-6)


@needs_blocks
def test_explainers_open_such_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = []
    monkeypatch.setattr(blocked_session, "stay_in_blocks", lambda *given: moved.append(given))
    onnxray.Explainer(net(), "deep-lift")
    assert moved


@needs_blocks
def test_where_nothing_moves_the_session_that_there_is_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    real = blocked_session.open_session
    monkeypatch.setattr(
        blocked_session, "open_session", lambda *given, **how: opened.append(how) or real(*given, **how)
    )
    monkeypatch.setattr(blocked_session, "stay_in_blocks", lambda program, block: False)
    program = explained()
    session = open_in_blocks(program, ALONE, ["dense"])
    assert session is not None
    assert len(opened) == 1
    once = open_model(program, ALONE, ["dense"]).run(feeds())
    for name, found in session.run(feeds()).items():
        np.testing.assert_array_equal(found, once[name])


@pytest.mark.parametrize(
    ("method", "settings", "layers"),
    [
        ("saliency", ALONE, LAYERS),
        ("deep-lift", ALONE, LAYERS - 1),
        ("deep-lift", SessionSettings(optimization="extended"), LAYERS),
    ],
    ids=["no quotients", "few quotients", "no blocked layout at this level"],
)
def test_what_is_opened_once(method: str, settings: SessionSettings, layers: int) -> None:
    assert open_in_blocks(explained(method, layers), settings) is None


def test_quotients_by_a_constant_count_for_nothing() -> None:
    text = " ".join(f"c{k + 1} = Conv(d{k}, W) d{k + 1} = Div(c{k + 1}, six)" for k in range(2 * LAYERS))
    weights = {"W": normal(32, 32, 1, 1), "six": np.float32(6), "dense": normal(32 * 6, 4)}
    net = f"net (float[N, 32, 2, 3] d0) => (float[N, 4] y) {{ {text} f = Flatten(d{2 * LAYERS}) y = Gemm(f, dense) }}"
    saliency = method_named("saliency", None, {})
    program = explanation_graph(onnxray.load(model(net, weights)), saliency, lowering="cpu").model
    assert open_in_blocks(program, ALONE) is None


def test_large_weights_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    program = explained()
    monkeypatch.setattr(blocked_layout, "_WEIGHTS", 1000)
    assert open_in_blocks(program, ALONE) is None


@pytest.mark.parametrize("fault", ["no space", "no layout"])
def test_a_session_is_opened_once_where_it_cannot_be_opened_twice(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program, settings = explained(), ALONE
    if fault == "no space":
        monkeypatch.setattr(tempfile, "tempdir", str(Path(__file__)))  # no folder can be made there
    else:
        monkeypatch.setattr(blocked_session, "block_of_this_processor", lambda: None)
    assert open_in_blocks(program, settings) is None
    found = backend_named("portable").open(program, settings).run(feeds())
    assert np.isfinite(next(iter(found.values()))).all()


def test_nothing_is_left_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    open_in_blocks(explained(), ALONE)
    assert not list(tmp_path.iterdir())
