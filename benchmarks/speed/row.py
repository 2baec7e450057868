"""One row of the table: one method on one net at one batch, by each side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxray
from onnxray.runtime import Session, open_session
from onnxray.support.distance import relative_l2

from ..onnx_ad_peer import fixed, one_seed, reverse_of, version
from .peers import Peer, captum_attribute, on_device, peers_of, prepared
from .settings import POINTS, Settings, options_of
from .subjects import Subject, last_convolution
from .turns import Times, take_turns
from .watch import Watch, bound, watched

__all__ = ["OURS", "measure_row", "providers_of"]

OURS = "onnxray"
RANDOM = ("smoothgrad",)  # each package draws its own noise
SCALED = ("pytorch-grad-cam",)  # a picture, not the map


def measure_row(one: Subject, forward: Session, method: str, batch: int, settings: Settings) -> dict[str, Any]:
    """Times of the sides, and how far the map of each peer is from onnxray's."""
    x = one.examples(batch)
    with watched() as watch:
        explainer = explainer_of(one, method, settings)
        sides: dict[str, Callable[[], Any]] = {OURS: lambda: explainer(x, target=0).values}
        ours = sides[OURS]()
        peers = peers_of(one, method, x, settings) | onnx_ad_of(one, method, x, settings)
        maps = {name: peer() for name, peer in peers.items()}
        sides |= peers | {"forward": lambda: forward.native.run(None, {"x": x})}
        each = _runs_per_call(sides[OURS], watch)
        if settings.provider == "cuda":
            sides |= on_cuda(one, method, x, settings, watch)
        for name in sides.keys() - peers.keys() - {OURS}:  # those have run already
            sides[name]()
        times = take_turns(sides, settings)
    record = {"net": one.name, "method": method, "batch": batch, "runs_per_call": each}
    record["sides"] = {name: side.as_json for name, side in times.items()}
    record["distances"] = distances(one, method, ours, maps, x)
    return record | compared(times, list(peers), inside(watch, each, len(times[OURS].seconds)))


def explainer_of(one: Subject, method: str, settings: Settings) -> onnxray.Explainer:
    layer = {"layer": last_convolution(one)} if method == "grad-cam" and one.name == "vit-b16" else {}
    return onnxray.Explainer(
        one.proto, method, providers=providers_of(settings), threads=settings.threads, memory=settings.memory,
        **layer, **options_of(method),
    )  # fmt: skip


def providers_of(settings: Settings) -> Any:
    return "cpu" if settings.provider == "cpu" else [("cuda", {"use_tf32": int(settings.tf32)}), "cpu"]


def _runs_per_call(call: Callable[[], Any], watch: Watch) -> int:
    """How often one call runs a session; only this call is watched then."""
    watch.runs.clear()
    call()
    return len(watch.runs)


def inside(watch: Watch, each: int, calls: int) -> list[float]:
    """The seconds that each of the last calls spent in runs of the session that it ran last: the method's graph."""
    session = watch.runs[-1].session
    last = [one.seconds if one.session is session else 0.0 for one in watch.runs[-each * calls :]]
    return [sum(last[start : start + each]) for start in range(0, len(last), each)]


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


def on_cuda(one: Subject, method: str, x: np.ndarray, settings: Settings, watch: Watch) -> dict[str, Callable[[], Any]]:
    """Sides whose inputs and outputs stay on the device: onnxray's graph with bound inputs, and Captum."""
    import torch

    sides: dict[str, Callable[[], Any]] = {}
    if method not in POINTS:
        sides[f"{OURS}, on the device"] = bound(watch.runs[-1])
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
    comparable = {name: made for name, made in maps.items() if method not in RANDOM and name not in SCALED}
    found: dict[str, Any] = {name: told(relative_l2([made], [ours])) for name, made in comparable.items()}
    if method == "saliency" and len(x) == 1:
        import torch

        truth = captum_attribute(method, one.double, None, torch.from_numpy(x).double(), "cpu").numpy()
        found["from float64"] = {
            name: told(relative_l2([made], [truth])) for name, made in ({OURS: ours} | maps).items()
        }
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
