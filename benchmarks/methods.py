"""Methods of one forward and one reverse pass beside saliency and beside their peers; tables in Markdown on stdout.

Run it with the extra [test] installed: `python benchmarks/methods.py [NET ...]`. Zennit and pytorch-grad-cam take part
where they are installed. All have the same weights, one picture and one thread, and take turns; the figures are medians
of processor time with the smallest and the largest, and a ratio is the median of the ratios of each turn.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

TURNS = 9
DEFAULT = ["resnet50", "vgg16", "mobilenet"]
OURS: dict[str, dict[str, Any]] = {
    "saliency": {},
    "deep-lift": {},
    "lrp, epsilon": {"composite": "epsilon"},
    "lrp, epsilon-plus": {"composite": "epsilon-plus"},
    "grad-cam": {},
    "layer-cam": {},
    "hires-cam": {},
    "grad-cam++": {},
    "xgrad-cam": {},
    "eigen-cam": {},
}
CAMS = {  # of pytorch-grad-cam
    "grad-cam": "GradCAM",
    "layer-cam": "LayerCAM",
    "hires-cam": "HiResCAM",
    "grad-cam++": "GradCAMPlusPlus",
    "xgrad-cam": "XGradCAM",
    "eigen-cam": "EigenCAM",
}
Runs = dict[str, Callable[[], Any]]


def main(*names: str) -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
    import torch
    from nets import net

    torch.set_num_threads(1)
    for name in names or DEFAULT:
        print(f"\n{name}\n")
        print("| method | onnxray, ms | over saliency | peer | ms | onnxray over the peer |\n|---|---|---|---|---|---|")
        rows(ours_of(net(name)), peers_of(net(name)))


def ours_of(one: Any) -> Runs:
    import onnxray

    def run(method: str, options: dict[str, Any]) -> Callable[[], Any]:
        explainer, x = onnxray.Explainer(one.proto, method.partition(",")[0], threads=1, **options), one.pictures(1)
        return lambda: explainer(x, target=0)

    return {method: run(method, options) for method, options in OURS.items()}


def peers_of(one: Any) -> dict[tuple[str, str], Callable[[], Any]]:
    """By method and package; a package that is not installed is left out."""
    import torch
    from captum import attr

    module, x = one.module, torch.from_numpy(one.pictures(1)).requires_grad_()
    wanted, layer = torch.eye(module(x).shape[1])[:1], last_maps(module, x)
    given: dict[tuple[str, str], Callable[[], Any]] = {
        ("saliency", "Captum"): lambda: attr.Saliency(module).attribute(x, 0, abs=False),
        ("deep-lift", "Captum"): lambda: attr.DeepLift(module).attribute(x, target=0),
        ("grad-cam", "Captum"): lambda: attr.LayerGradCam(module, layer).attribute(x, 0),
    }
    if installed("zennit.attribution"):
        given["lrp, epsilon-plus", "Zennit"] = partial(by_zennit, module, x, wanted)
    if cams := installed("pytorch_grad_cam"):
        targets = [import_module("pytorch_grad_cam.utils.model_targets").ClassifierOutputTarget(0)]
        for method, kind in CAMS.items():
            cam = getattr(cams, kind)(model=module, target_layers=[layer])
            given[method, "pytorch-grad-cam"] = partial(cam, input_tensor=x, targets=targets)
    return given


def by_zennit(module: Any, x: Any, wanted: Any) -> None:
    """Its hooks stand in the module for this run alone."""
    composite = import_module("zennit.composites").EpsilonPlus()
    with import_module("zennit.attribution").Gradient(model=module, composite=composite) as gradient:
        gradient(x, wanted)


def installed(name: str) -> Any:
    """The module, or None and a line on stderr."""
    try:
        return import_module(name)
    except ImportError as error:
        print(f"left out: {error}", file=sys.stderr)
        return None


def last_maps(module: Any, x: Any) -> Any:
    """The last module whose output has maps of more than one element."""
    found: list[Any] = []

    def hear(layer: Any, _: Any, y: Any) -> None:
        if y.dim() == 4 and y.shape[-1] > 1:
            found.append(layer)

    hooks = [layer.register_forward_hook(hear) for layer in module.modules() if not list(layer.children())]
    module(x)
    for hook in hooks:
        hook.remove()
    return found[-1]


def rows(ours: Runs, peers: dict[tuple[str, str], Callable[[], Any]]) -> None:
    """A row for each method and peer."""
    times: dict[Any, list[float]] = {key: [] for key in (*ours, *peers)}
    for _ in range(TURNS + 1):
        for key, run in (*ours.items(), *peers.items()):
            started = time.process_time()
            run()
            times[key].append(1000 * (time.process_time() - started))
    kept = {key: spans[1:] for key, spans in times.items()}  # the first turn opens sessions
    for method in ours:
        beside = [key for key in peers if key[0] == method] or [None]
        for k, peer in enumerate(beside):
            mine = [method, told(kept[method]), ratio(kept[method], kept["saliency"])] if k == 0 else ["", "", ""]
            theirs = [peer[1], told(kept[peer]), ratio(kept[method], kept[peer])] if peer else ["", "", ""]
            print(f"| {' | '.join([*mine, *theirs])} |", flush=True)


def told(spans: list[float]) -> str:
    return f"{statistics.median(spans):.0f} ({min(spans):.0f} to {max(spans):.0f})"


def ratio(spans: list[float], others: list[float]) -> str:
    return f"{statistics.median(a / b for a, b in zip(spans, others, strict=True)):.2f}"


if __name__ == "__main__":
    main(*sys.argv[1:])
