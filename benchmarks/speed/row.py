"""One row of the table: one method on one net at one batch, by each side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxray
from onnxray.runtime import Session, open_session
from onnxray.support.distance import relative_l2

from ..onnx_ad_peer import fixed, one_seed, reverse_of, version
from .captum_maps import captum_attribute
from .peers import Peer, on_device, peers_of, prepared
from .settings import (
    ALONE,
    BLACK_BOXES,
    CHANNEL_BY_CHANNEL,
    CLOCKS,
    GOALS,
    OURS,
    POINTS,
    UNLIKE,
    Settings,
    method_of,
    options_of,
)
from .subjects import NARROW, Subject, last_convolution
from .turns import Times, take_turns
from .watch import Run, Watch, bound, watched

__all__ = ["measure_row", "providers_of"]

RANDOM = ("smoothgrad", "expected-gradients", "kernel-shap", "lime", "shapley-sampling")  # packages draw their own
SCALED = ("pytorch-grad-cam",)  # a picture, not the map


def measure_row(one: Subject, forward: Session, method: str, batch: int, settings: Settings) -> dict[str, Any]:
    """Times of the sides, and how far the map of each peer is from onnxray's."""
    x = one.examples(batch)
    with watched(CLOCKS[settings.clock]) as watch:
        explainer = explainer_of(one, method, settings)
        sides: dict[str, Callable[[], Any]] = {OURS: lambda: explainer(x, target=0).values}
        ours = sides[OURS]()
        peers = peers_of(one, method, x, settings) | onnx_ad_of(one, method, x, settings)
        maps = {name: peer() for name, peer in peers.items()}
        sides |= peers | {"forward": lambda: forward.native.run(None, {"x": x})}
        own = _runs_of_call(sides[OURS], watch)
        sides |= references(one, method, x, settings) | alone(forward, method, x, own)
        if settings.provider == "cuda":
            sides |= on_cuda(one, method, x, settings, own[-1])
        for name in sides.keys() - peers.keys() - {OURS}:  # those have run already
            sides[name]()
        times = take_turns(sides, settings)
    record = {"net": one.name, "method": method, "batch": batch, "runs_per_call": len(own)}
    record["sides"] = {name: side.as_json for name, side in times.items()}
    record["distances"] = distances(one, method, ours, maps, x)
    record |= goals(method, times)
    return record | compared(times, list(peers), inside(watch, own))


def references(one: Subject, method: str, x: np.ndarray, settings: Settings) -> dict[str, Callable[[], Any]]:
    """The method whose time the goal of this one is told in, on the same net."""
    if method not in GOALS:
        return {}
    explainer = explainer_of(one, GOALS[method][0], settings)
    return {_reference_name(method): lambda: explainer(x, target=0).values}


def _reference_name(method: str) -> str:
    return f"{OURS}, {GOALS[method][0]}"


def alone(forward: Session, method: str, x: np.ndarray, own: list[Run]) -> dict[str, Callable[[], Any]]:
    """For a black box: plain runs of the model on as many rows as its own runs have."""
    if method not in BLACK_BOXES:
        return {}
    batches = [np.repeat(x, -(-one.rows // len(x)), 0)[: one.rows] for one in own]
    return {ALONE: lambda: [forward.native.run(None, {"x": batch}) for batch in batches]}


def explainer_of(one: Subject, method: str, settings: Settings) -> onnxray.Explainer:
    narrow = NARROW if method in CHANNEL_BY_CHANNEL else None
    named = narrow or (method == "grad-cam" and one.name == "vit-b16")
    layer = {"layer": last_convolution(one, narrow)} if named else {}
    return onnxray.Explainer(
        one.proto, method_of(method), providers=providers_of(settings), threads=settings.threads,
        memory=settings.memory, **layer, **options_of(method),
    )  # fmt: skip


def providers_of(settings: Settings) -> Any:
    return "cpu" if settings.provider == "cpu" else [("cuda", {"use_tf32": int(settings.tf32)}), "cpu"]


def _runs_of_call(call: Callable[[], Any], watch: Watch) -> list[Run]:
    """The runs of one call in the session where it spends most: the method's graph. Only this call is watched then."""
    watch.runs.clear()
    call()
    longest = max(watch.runs, key=lambda one: one.seconds)
    return [one for one in watch.runs if one.session is longest.session]


def inside(watch: Watch, own: list[Run]) -> list[float]:
    """The seconds that each call but the first, which had the ``own`` runs, spent in the session of these."""
    seconds = [one.seconds for one in watch.runs if one.session is own[0].session]
    return [sum(seconds[start : start + len(own)]) for start in range(len(own), len(seconds), len(own))]


def onnx_ad_of(one: Subject, method: str, x: np.ndarray, settings: Settings) -> dict[str, Peer]:
    """The gradient of class 0 by onnx-ad, which wants the batch fixed, where it is installed."""
    if method != "saliency" or settings.provider != "cpu" or not version():
        return {}
    model = fixed(one.proto, "x", x.shape)
    (y,) = model.graph.output
    made = reverse_of(model, [y.name], "x")
    seed = np.zeros((len(x), y.type.tensor_type.shape.dim[1].dim_value), np.float32)
    seed[:, 0] = 1
    session, feeds = open_session(made.model, threads=settings.threads), {"x": x, made.seeds[y.name]: one_seed(seed)}
    return {"onnx-ad": lambda: session.native.run([made.gradient], feeds)[0][..., 0]}


def on_cuda(one: Subject, method: str, x: np.ndarray, settings: Settings, last: Run) -> dict[str, Callable[[], Any]]:
    """Sides whose inputs and outputs stay on the device: onnxray's graph with bound inputs, and Captum."""
    import torch

    sides: dict[str, Callable[[], Any]] = {}
    if method not in POINTS:
        sides[f"{OURS}, on the device"] = bound(last)
    for variant in settings.variants:
        name = f"Captum, {variant.replace('_', ' ')}"
        if name in peers_of(one, method, x, settings):
            images, made = on_device(x, variant, "cuda"), prepared(one, variant, "cuda")

            def run(images: Any = images, made: Any = made) -> Any:
                captum_attribute(method, *made, images, "cuda")
                torch.cuda.synchronize()

            sides[f"{name}, on the device"] = run
    return sides


def distances(
    one: Subject, method: str, ours: np.ndarray, maps: dict[str, np.ndarray], x: np.ndarray
) -> dict[str, Any]:
    """Relative L2 distance of each peer's map from onnxray's; of saliency also of each from float64 on the CPU."""
    alike = method not in RANDOM and (one.name, method) not in UNLIKE
    comparable = {name: made for name, made in maps.items() if alike and name not in SCALED}
    found: dict[str, Any] = {name: told(relative_l2([made], [ours])) for name, made in comparable.items()}
    if method == "saliency" and len(x) == 1:
        import torch

        truth = captum_attribute(method, one.double, None, torch.from_numpy(x).double(), "cpu").numpy()
        found["from float64"] = {
            name: told(relative_l2([made], [truth])) for name, made in ({OURS: ours} | maps).items()
        }
    return found


def goals(method: str, times: dict[str, Times]) -> dict[str, Any]:
    """A method's time over that of its reference, and a black box's share of time in the model."""
    ours, found = times[OURS].median, dict[str, Any]()
    if method in GOALS:
        found["of_reference"] = round(ours / times[_reference_name(method)].median, 2)
    if method in BLACK_BOXES:
        found["share_of_model"] = round(times[ALONE].median / ours, 2)
    return found


def told(error: float) -> float:
    return float(f"{error:.1e}")


def compared(times: dict[str, Times], peers: list[str], runs: list[float]) -> dict[str, Any]:
    """The ratios of the medians, and what the public call adds to its own runs, in milliseconds."""
    ours = times[OURS].median
    added = Times([call - run for call, run in zip(times[OURS].seconds, runs, strict=True)])
    found: dict[str, Any] = {"added": added.as_json, "of_forward": round(ours / times["forward"].median, 2)}
    if peers:
        best = min(peers, key=lambda name: times[name].median)
        found |= {"best_peer": best, "ratio": round(ours / times[best].median, 2)}
    return found
