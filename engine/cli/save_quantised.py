"""``onnxray save --quantize``: the explainer on the quantised model, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx_ir as ir

from ..errors import InputError
from ..explainer import Explainer
from ..gate.comparing import DEFAULT_CALIBRATED
from ..gate.quantising import Agreement, check_float, quantised_agreement, quantised_model
from ..graph.model import Model
from ..optional import MEASURING, need_all
from .options import Setup

__all__ = ["Quantising"]

LEAST = DEFAULT_CALIBRATED["calibrated"]
MEGA = 1e6


@dataclass(frozen=True, eq=False)
class Quantising:
    """A float model with its explainer, and the data that give the ranges of 8 bits."""

    source: Model
    float_explainer: Explainer
    setup: Setup
    data: Sequence[Path]
    options: Mapping[str, Any]

    def __post_init__(self) -> None:
        need_all(*MEASURING)
        check_float(self.source)
        if len(self.setup.layer or ()) > 1:
            raise InputError("--quantize compares the maps of one layer; give --layer once")

    @cached_property
    def model(self) -> Model:
        """The quantised model."""
        return quantised_model(self.source, list(self.data), self.float_explainer.preprocess)

    @cached_property
    def explainer(self) -> Explainer:
        """The same method on it."""
        return Explainer(
            self.model, self.setup.method, score=self.setup.score, layer=self.setup.layer or None,
            preprocess=self.float_explainer.preprocess, **self.options,
        )  # fmt: skip

    def lines(self, before: ir.Model, after: ir.Model) -> list[str]:
        """Size and agreement, in words."""
        layer = self.setup.layer[0] if self.setup.layer else None
        found = quantised_agreement(
            self.source, self.model, list(self.data), self.float_explainer.method.name, self.options,
            score=self.setup.score, layer=layer, preprocess=self.float_explainer.preprocess,
        )  # fmt: skip
        return [_size(before, after), *_agreement(found)]


def _size(before: ir.Model, after: ir.Model) -> str:
    was, now = (ir.to_proto(one).ByteSize() / MEGA for one in (before, after))
    return f"  size: {was:.2f} MB in float32, {now:.2f} MB quantised ({now / was:.0%})"


def _agreement(found: Agreement) -> list[str]:
    count = len(found.comparison.rows)
    told = ", ".join(f"{name} {value:.3f}" for name, value in found.metrics.items())
    lines = [f"  agreement with the float model's {found.method} on {count} sample{'s' * (count != 1)}: {told}"]
    if found.calibrated is None:
        return [*lines, "  calibrated: no metric tells this model from random weights on these samples"]
    mark = "passes" if found.calibrated >= LEAST else "fails"
    return [
        *lines,
        f"  loss of agreement, calibrated: {1 - found.calibrated:.2f} (0: that of noise of one grey level, 1: that of "
        f"random weights); it {mark} the gate's default of at most {1 - LEAST:g}",
    ]
