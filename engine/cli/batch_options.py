"""The options of `onnxray explain` for many files: what is written of each, how many together, and what is skipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from typer import Option

from .options import one_of

__all__ = ["Batching", "Saved"]

SAVED = {
    "png": "a picture",
    "npz": "all numbers, without the picture",
    "map": "the map alone, as an array in an .npy file",
}  # what explain writes of an example


def _kinds(text: str | frozenset[str]) -> frozenset[str]:
    found = text if isinstance(text, frozenset) else frozenset(text.split(","))
    for kind in found:
        one_of(*SAVED)(kind)
    return found


Saved = Annotated[
    Any,
    Option(
        "--save",
        parser=_kinds,
        metavar="KINDS",
        help=f"What is written of each example: {'; '.join(f'{name}, {meaning}' for name, meaning in SAVED.items())}. "
        "Several between commas, as in png,map.",
    ),
]


@dataclass(frozen=True)
class Batching:
    """How many files are explained together, and which are explained again."""

    batch_size: Annotated[
        int | None,
        Option(
            metavar="N",
            help="Pictures of one shape that are explained together, by default 16; one at a time by methods of many "
            "points, such as occlusion, for all boxes of a detector, and on models that quantise by the batch.",
            min=1,
        ),
    ] = None
    resume: Annotated[
        bool,
        Option(
            "--resume",
            help="Skip files whose results are in DIR already, by the same settings, model and content, as its "
            "index.jsonl says.",
        ),
    ] = False
