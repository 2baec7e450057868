"""Recurrent layers of an exported program, written out step by step: an LSTM operator has no gradient rule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .quiet import require

__all__ = ["is_recurrent", "unroll"]

KINDS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
LONGEST = 128


def is_recurrent(module: Any) -> bool:
    """Whether a module has recurrent layers."""
    kind = require("torch").nn.RNNBase
    return any(isinstance(part, kind) for part in module.modules())


def unroll(program: Any, examples: Sequence[Any]) -> Any:
    """The same program without recurrent operators, unless a series is too long to be written out."""
    torch = require("torch")
    if any(length > LONGEST for example in examples for length in example.shape[1:2]):
        return program
    known = torch.export.default_decompositions()
    operators = [getattr(torch.ops.aten, kind).input for kind in KINDS]
    return program.run_decompositions({operator: known[operator] for operator in operators if operator in known})
