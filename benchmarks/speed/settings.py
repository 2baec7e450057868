"""What is timed, and how: the settings of one run of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

__all__ = ["METHODS", "POINTS", "QUICK", "TITLES", "VARIANTS", "Settings", "options_of"]

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
METHODS: Mapping[str, tuple[str, ...]] = {  # with the nets of which a peer computes the same
    "saliency": ALL,
    "input-x-gradient": ALL,
    "guided-backprop": RELUS,
    "deconvnet": RELUS,
    "integrated-gradients": ALL,
    "smoothgrad": ALL,
    "deep-lift": RELUS,
    "lrp": RELUS,
    "grad-cam": (*CONVOLUTIONS, "vit-b16"),
    "guided-grad-cam": RELUS,
    "layer-cam": CONVOLUTIONS,
    "hires-cam": CONVOLUTIONS,
    "grad-cam++": CONVOLUTIONS,
    "xgrad-cam": CONVOLUTIONS,
    "eigen-cam": CONVOLUTIONS,
    "occlusion": IMAGES,
}
POINTS = ("integrated-gradients", "smoothgrad", "occlusion")  # many runs of each example
VARIANTS = ("eager", "channels_last", "compile", "compile_channels_last")
_OPTIONS: dict[str, dict[str, Any]] = {
    "integrated-gradients": {"steps": 50},
    "smoothgrad": {"samples": 50},
    "lrp": {"composite": "epsilon-plus"},
    "occlusion": {"window": 32, "stride": 32},
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


def options_of(method: str) -> dict[str, Any]:
    """The options that make a method do what its peers do."""
    return _OPTIONS.get(method, {})


QUICK = replace(
    Settings(),
    nets=("resnet50", "mobilenet"),
    methods=("saliency", "grad-cam"),
    batches=(1, 8),
    variants=("eager", "channels_last"),
    seconds=3,
    turns=(3, 7),
)
