"""Rules, methods and saved files on a CUDA device, in full float32, against those of the CPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import onnxruntime
import pytest
from black_box import ANYWHERE, QUICK
from by_hand import CONV, DENSE, ByHand
from cases import CASES
from gradcheck import FLOAT32_TOLERANCE, Case
from measures import distance
from onnxray.runtime import open_session

if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
    pytest.skip("this onnxruntime has no CUDA", allow_module_level=True)

CUDA: list[Any] = [("cuda", {"use_tf32": 0})]  # by default onnxruntime rounds factors to 10 bits there
TOLERANCE = 1e-4
NETS = ["cnn", "resnet", "vgg", "vit", "mobilenet", "efficientnet-b0", "convnext-tiny"]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_rule(case: Case) -> None:
    graph = case.gradient(np.float32, lowering="cuda")
    seeds = {graph.seeds[y]: w.astype(np.float32) for y, w in case.cotangents.items()}
    found = open_session(graph.model, CUDA, threads=1).run(case.feeds(np.float32) | seeds)
    for name, expected in case.expected.items():
        assert distance(found[graph.gradients[name]], expected, least=1e-6) <= FLOAT32_TOLERANCE, name


@pytest.mark.parametrize(
    ("by_hand", "method"),
    [(net, name) for net in (DENSE, CONV) for name in ANYWHERE if net is CONV or not onnxray.METHODS[name].has_layer],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_every_method(by_hand: ByHand, method: str) -> None:
    x, options = by_hand.x(), QUICK.get(method, {})
    found, expected = (
        onnxray.explain(by_hand.proto(), x, method=method, target=1, providers=where, **options)
        for where in (CUDA, "cpu")
    )
    assert distance(found.values, expected.values) <= TOLERANCE
    assert distance(found.score, expected.score) <= TOLERANCE


@pytest.mark.parametrize("method", ["saliency", "integrated-gradients", "grad-cam", "lrp", "deep-lift"])
@pytest.mark.parametrize("name", NETS)
def test_nets(net: Any, name: str, method: str) -> None:
    """Of three pictures, as a Relu's input that is nearly 0 may be rounded to its other side."""
    one = net(name)
    x, options = one.pictures(3), one.options(method)
    options |= {"steps": 5} if method == "integrated-gradients" else {}
    if name == "convnext-tiny" and method == "lrp":
        options = {"composite": "epsilon"}
    found, expected = (
        onnxray.explain(one.proto, x, method=method, target=1, providers=where, **options).values
        for where in (CUDA, "cpu")
    )
    assert min(distance(a, b) for a, b in zip(found, expected, strict=True)) <= TOLERANCE


def test_a_saved_explainer_runs_on_both(tmp_path: Path) -> None:
    explainer = onnxray.Explainer(CONV.proto(), "integrated-gradients", steps=5, providers=CUDA)
    expected = explainer(CONV.x(), target=2).values
    model = onnx.load(explainer.save(tmp_path / "explainer.onnx"))
    for where in (CUDA, ["cpu"]):
        feeds = {"x": CONV.x(), "target": np.full(3, 2)}
        found = open_session(model, where).run(feeds, ["attribution"])["attribution"]
        assert distance(found, expected) <= TOLERANCE


def test_threads_share_an_explainer() -> None:
    explainer = onnxray.Explainer(CONV.proto(), "smoothgrad", samples=4, providers=CUDA)
    batches = [CONV.x(3, seed) for seed in range(8)]
    serial = [explainer(x, target=1).values for x in batches]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda x: explainer(x, target=1).values, batches))
    for found, expected in zip(together, serial, strict=True):
        assert distance(found, expected) <= TOLERANCE


def test_a_small_budget_changes_nothing() -> None:
    found, expected = (
        onnxray.explain(CONV.proto(), CONV.x(), method="occlusion", target=1, providers=CUDA, memory=memory).values
        for memory in ("1MB", "1GB")
    )
    assert distance(found, expected) <= TOLERANCE


def test_a_device_that_is_not_there() -> None:
    with pytest.raises(onnxray.RuntimeUnavailable, match="CUDA"):
        onnxray.Explainer(DENSE.proto(), providers=[("cuda", {"device_id": 77})])
