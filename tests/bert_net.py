"""A small BERT of ``transformers`` as a module of ids or of their embeddings, and as ONNX."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import onnx
import torch
import transformers
from nets import export
from shared_folder import made_once
from torch import Tensor, nn

__all__ = ["IDS", "Scores", "bert", "proto"]

IDS = np.array([[2, 17, 45, 3, 99, 8, 60], [2, 31, 5, 72, 3, 0, 0]])


@cache
def bert() -> Any:
    """With weights such that none is negligible."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 100, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2}
    config = transformers.BertConfig(**sizes, intermediate_size=64, max_position_embeddings=16, num_labels=10)
    made = transformers.BertForSequenceClassification(config).eval().requires_grad_(False)
    for weight in made.parameters():
        weight.data = 0.1 * torch.randn_like(weight) + (0 if weight.dim() > 1 else weight.data)
    return made


class Scores(nn.Module):
    """Of what a model is ``given``: "input_ids", of which 0 is padding, or "inputs_embeds" of IDS."""

    def __init__(self, model: Any, given: str) -> None:
        super().__init__()
        self.model, self.given = model, given

    def forward(self, x: Tensor) -> Tensor:
        kept = x > 0 if self.given == "input_ids" else torch.from_numpy(IDS > 0)
        return self.model(**{self.given: x}, attention_mask=kept.long()).logits


def proto() -> onnx.ModelProto:
    """With input x, ids (N, 7)."""
    return made_once("bert-small", lambda: export(Scores(bert(), "input_ids"), torch.from_numpy(IDS)))
