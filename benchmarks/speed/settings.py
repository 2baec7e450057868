"""What is timed, and how: the settings of one run of the benchmark."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

__all__ = [
    "ALONE", "BLACK_BOXES", "CELLS", "CHANNEL_BY_CHANNEL", "CLOCKS", "GOALS", "LRP", "METHODS", "OURS", "POINTS",
    "QUICK", "SHARE", "SHARED", "TITLES", "UNLIKE", "VARIANTS", "Settings", "method_of", "options_of",
]  # fmt: skip

TITLES = {
    "resnet50": "ResNet-50",
    "vgg16": "VGG-16",
    "mobilenet": "MobileNetV2",
    "vit-b16": "ViT-B/16",
    "convnext-tiny": "ConvNeXt-Tiny",
    "lstm": "LSTM",
}
IMAGES = ("resnet50", "vgg16", "mobilenet", "vit-b16", "convnext-tiny")
ALL = (*IMAGES, "lstm")
RELUS = ("resnet50", "vgg16")  # whose activations are all modules that the peers know
CONVOLUTIONS = ("resnet50", "vgg16", "mobilenet")
LRP = ("lrp-epsilon", "lrp-epsilon-plus", "lrp-epsilon-plus-flat", "lrp-epsilon-alpha2-beta1", "lrp-epsilon-gamma-box")
METHODS: Mapping[str, tuple[str, ...]] = {  # with the nets of which a peer computes the same, or that have a goal
    "saliency": ALL,
    "input-x-gradient": ALL,
    "guided-backprop": RELUS,
    "deconvnet": RELUS,
    "integrated-gradients": ALL,
    "smoothgrad": ALL,
    "deep-lift": CONVOLUTIONS,
    **dict.fromkeys(LRP, CONVOLUTIONS),
    "grad-cam": (*CONVOLUTIONS, "vit-b16"),
    "guided-grad-cam": RELUS,
    "layer-cam": CONVOLUTIONS,
    "hires-cam": CONVOLUTIONS,
    "grad-cam++": CONVOLUTIONS,
    "xgrad-cam": CONVOLUTIONS,
    "eigen-cam": CONVOLUTIONS,
    "eigen-grad-cam": CONVOLUTIONS,
    "ablation-cam": ("mobilenet",),
    "score-cam": ("mobilenet",),
    "expected-gradients": IMAGES,
    "occlusion": IMAGES,
    "feature-ablation": IMAGES,
    "rise": IMAGES,
    "kernel-shap": IMAGES,
    "lime": IMAGES,
    "shapley-sampling": IMAGES,
}
BLACK_BOXES = ("occlusion", "feature-ablation", "rise", "kernel-shap", "lime", "shapley-sampling")
CHANNEL_BY_CHANNEL = ("ablation-cam", "score-cam")
POINTS = (  # many runs of each example
    "integrated-gradients", "smoothgrad", "expected-gradients", *CHANNEL_BY_CHANNEL, *BLACK_BOXES,
)  # fmt: skip
_CAMS = ("layer-cam", "hires-cam", "grad-cam++", "xgrad-cam", "eigen-cam", "eigen-grad-cam")
GOALS: Mapping[str, tuple[str, float]] = {  # the most that a method may take of another's time
    "deep-lift": ("saliency", 1.5),
    "lrp-epsilon": ("saliency", 1.6),
    "lrp-epsilon-plus": ("saliency", 1.6),
    **dict.fromkeys(_CAMS, ("grad-cam", 1.05)),  # at most its time, of which medians of few runs are some 5 % off
}
SHARED, SHARE = ("rise", "kernel-shap"), 0.9  # whose share of time in the model has a least
OURS, ALONE = "onnxray", "the model alone"  # names of sides
# Zennit hands the relevance of x + y to both unless the module has its Sum; Captum has no rule for ReLU6.
UNLIKE = (("mobilenet", "deep-lift"), *((net, method) for net in ("resnet50", "mobilenet") for method in LRP))
CLOCKS: Mapping[str, Callable[[], float]] = {"wall": time.perf_counter, "processor": time.process_time}
VARIANTS = ("eager", "channels_last", "compile", "compile_channels_last")
CELLS = 4
_OPTIONS: dict[str, dict[str, Any]] = {
    "integrated-gradients": {"steps": 50},
    "smoothgrad": {"samples": 50},
    "expected-gradients": {"samples": 8},
    "occlusion": {"window": 32, "stride": 32},
    "feature-ablation": {"cells": CELLS},
    "rise": {"samples": 64},
    "kernel-shap": {"cells": CELLS, "samples": 64},
    "lime": {"cells": CELLS, "samples": 64},
    "shapley-sampling": {"cells": CELLS, "samples": 4},
}


@dataclass(frozen=True)
class Settings:
    """``seconds`` is the time of one row of the table, which has at least ``turns[0]``, at most ``turns[1]`` turns."""

    nets: tuple[str, ...] = ALL
    methods: tuple[str, ...] = tuple(METHODS)
    batches: tuple[int, ...] = (1, 8, 32)
    variants: tuple[str, ...] = VARIANTS
    provider: str = "cpu"
    threads: int = 2
    memory: str = "1GB"
    seconds: float = 30
    turns: tuple[int, int] = (3, 9)
    pause: float = 0.3
    clock: str = "wall"
    tf32: bool = False
    measure_memory: bool = True

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Settings:
        """From what ``as_json`` gave."""
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()})

    @property
    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def rows(self, net: str) -> list[tuple[str, int]]:
        """Methods and batches of a net; methods of many points are timed at the smallest batch alone."""
        methods = [method for method in self.methods if net in METHODS[method]]
        least = self.batches[:1]
        return [(method, batch) for method in methods for batch in (least if method in POINTS else self.batches)]


def method_of(row: str) -> str:
    """The method of a row of the table: rows of LRP have the name of their composite."""
    return "lrp" if row in LRP else row


def options_of(row: str) -> dict[str, Any]:
    """The options that make a method do what its peers do."""
    return {"composite": row.removeprefix("lrp-")} if row in LRP else _OPTIONS.get(row, {})


QUICK = replace(
    Settings(),
    nets=("resnet50", "mobilenet"),
    methods=("saliency", "grad-cam"),
    batches=(1, 8),
    variants=("eager", "channels_last"),
    seconds=3,
    turns=(3, 7),
)
