"""The options that `onnxray compare` and `onnxray evaluate` share on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from typer import Argument, BadParameter, Option

from ..attribution.preprocess_text import preprocess_of
from ..data.preprocess import Preprocess
from ..loading.load import load
from ..support.name_value import name_and_value
from ..workers.executor_named import EXECUTORS
from .flatten_options import numbers

__all__ = [
    "DataPath",
    "LayerName",
    "Masks",
    "MethodOptions",
    "Methods",
    "Sampling",
    "ScoreName",
    "SideSessionOption",
    "TargetName",
    "WorkerOptions",
    "named_preprocess",
    "parse_options",
]

DataPath = Annotated[
    list[Path],
    Argument(
        metavar="DATA...",
        help="Pictures, folders (sub-folders are labels), files of many samples (.npy, .npz, .csv, .parquet, .tar), "
        "folders of Hugging Face's save_to_disk, URLs such as s3://bucket/photos, or the folder of a run over these.",
        show_default=False,
    ),
]
Methods = Annotated[
    list[str] | None,
    Option("--method", "-m", metavar="NAME", help="Attribution method; repeat it for several. By default saliency, "
           "input-x-gradient, integrated-gradients and grad-cam."),
]  # fmt: skip
MethodOptions = Annotated[
    list[str] | None,
    Option(metavar="NAME=VALUE", help="Option for every method that has it, as in steps=20; repeat it for several."),
]
Masks = Annotated[
    Path | None,
    Option(metavar="PATH", help="Masks of the objects: a folder of masks named like the samples, or JSON with boxes."),
]

LayerName = Annotated[str | None, Option(metavar="NAME", help="Layer for grad-cam and other layer methods.")]
TargetName = Annotated[
    str,
    Option(metavar="TARGET", help="What is explained: top1, label, or as for explain, such as 6, cat-dog or box:0."),
]
ScoreName = Annotated[
    str, Option(metavar="NAME", help="logit (before a final softmax or sigmoid), output, or a tensor's name.")
]
SideSessionOption = Annotated[
    list[str] | None,
    Option(
        metavar="NAME=VALUE",
        help="Setting of this side's sessions alone: optimization=off (basic, extended, all), threads=1, "
        "provider=cuda; repeat it for several. So a model is compared with itself.",
    ),
]


@dataclass(frozen=True)
class Sampling:
    """Which samples are taken."""

    samples: Annotated[int | None, Option(metavar="N", help="Number of random samples; all by default.", min=1)] = None
    seed: Annotated[int, Option(metavar="N", help="Seed of all random numbers.")] = 0


@dataclass(frozen=True)
class WorkerOptions:
    """Who measures the samples."""

    executor: Annotated[
        str | None,
        Option(metavar="NAME", help="What runs workers: " + ", ".join(EXECUTORS) + ". By default there are none: this "
               "process measures one sample after another, with all threads."),
    ] = None  # fmt: skip
    workers: Annotated[
        int | None,
        Option(metavar="N", min=0, help="Samples measured at the same time, by processes unless --executor says else; "
               "--threads of each."),
    ] = None  # fmt: skip
    address: Annotated[
        str | None, Option(metavar="ADDRESS", help="Of a Ray or Dask cluster; by default one is started here.")
    ] = None


def parse_options(texts: Sequence[str]) -> dict[str, Any]:
    """Options of methods: numbers, lists of them, switches, words."""
    return dict(map(_option, texts))


def _option(text: str) -> tuple[str, Any]:
    name, value = name_and_value(text, "--option", "NAME=VALUE", "steps=20")
    if value.lower() in ("true", "false"):
        return name, value.lower() == "true"
    try:
        return name, numbers(value)
    except BadParameter:
        return name, value


def named_preprocess(model: Path, text: str | None) -> Preprocess | None:
    """The value of --preprocess; None leaves it to the models."""
    return preprocess_of(load(model), text) if text else None
