"""Architectures of ``transformers`` with random weights, small but of the real classes, each behind one tensor.

A net takes a dict of arrays; ``tokens`` names the module whose output the gradient is taken of where the input holds
token ids, which have none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from late import Late
from torch import Tensor, nn

__all__ = ["ARCHITECTURES", "Architecture", "Scores"]

hf: Any = Late("transformers")
TEXT = {"vocab_size": 100, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2}
PICTURE = {"image_size": 32, "patch_size": 8, "num_channels": 3}
EAGER = {"attn_implementation": "eager"}  # the operators that onnxruntime's optimiser looks for


class Scores(nn.Module):
    """A model whose forward takes tensors by position and gives one tensor of its output."""

    def __init__(self, model: nn.Module, names: tuple[str, ...], output: str) -> None:
        super().__init__()
        self.model, self.names, self.output = model, names, output

    def forward(self, *inputs: Tensor) -> Tensor:
        return getattr(self.model(**dict(zip(self.names, inputs, strict=True))), self.output)


@dataclass(frozen=True)
class Architecture:
    """How a net is made; its inputs; what onnxruntime's optimiser calls its kind."""

    make: Callable[[], Any]
    inputs: Callable[[], dict[str, Tensor]]
    output: str = "logits"
    tokens: str | None = None
    kind: str = "bert"

    def module(self) -> Scores:
        """With the same weights every time, all of them such that none is negligible."""
        torch.manual_seed(0)
        model = self.make().eval()
        for weight in model.parameters():
            nn.init.normal_(weight, std=0.1) if weight.dim() > 1 else weight.data.add_(torch.randn_like(weight) * 0.1)
        return Scores(model, tuple(self.inputs()), self.output).eval()


def _ids() -> Tensor:
    return torch.tensor([[2, 17, 45, 3, 99, 8, 60], [2, 31, 5, 72, 3, 0, 0]])


def _masked() -> dict[str, Tensor]:
    return {"input_ids": _ids(), "attention_mask": (_ids() > 0).long()}


def _pair() -> dict[str, Tensor]:
    kinds = torch.tensor([[0, 0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 0, 0]])
    return {**_masked(), "token_type_ids": kinds}


def _random(name: str, *shape: int) -> Callable[[], dict[str, Tensor]]:
    return lambda: {name: torch.randn(shape, generator=torch.Generator().manual_seed(1))}


def _pictures(size: int) -> Callable[[], dict[str, Tensor]]:
    return _random("pixel_values", 2, 3, size, size)


def _bert() -> nn.Module:
    config = hf.BertConfig(**TEXT, intermediate_size=64, max_position_embeddings=16, num_labels=3, **EAGER)
    return hf.BertForSequenceClassification(config)


def _distilbert() -> nn.Module:
    sizes = {"vocab_size": 100, "dim": 32, "n_heads": 4, "n_layers": 2, "hidden_dim": 64}
    config = hf.DistilBertConfig(**sizes, max_position_embeddings=16, num_labels=3, **EAGER)
    return hf.DistilBertForSequenceClassification(config)


def _gpt2() -> nn.Module:
    sizes = {"vocab_size": 100, "n_embd": 32, "n_head": 4, "n_layer": 2, "n_positions": 16}
    return hf.GPT2LMHeadModel(hf.GPT2Config(**sizes, use_cache=False, **EAGER))


def _vit() -> nn.Module:
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 64}
    return hf.ViTForImageClassification(hf.ViTConfig(**sizes, **PICTURE, num_labels=5, **EAGER))


def _swin() -> nn.Module:
    sizes = {"embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4}
    config = hf.SwinConfig(image_size=32, patch_size=2, **sizes, num_labels=5, **EAGER)
    return hf.SwinForImageClassification(config)


def _convnext() -> nn.Module:
    config = hf.ConvNextConfig(hidden_sizes=[8, 16, 24], depths=[1, 1, 2], num_stages=3, num_labels=5)
    return hf.ConvNextForImageClassification(config)


def _segformer() -> nn.Module:
    sizes = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 16, 32], "num_attention_heads": [1, 2, 2, 4]}
    config = hf.SegformerConfig(**sizes, decoder_hidden_size=16, num_labels=4, **EAGER)
    return hf.SegformerForSemanticSegmentation(config)


def _detr() -> nn.Module:
    backbone = hf.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage4"],
    )  # fmt: skip
    sizes = {"d_model": 32, "encoder_attention_heads": 4, "decoder_attention_heads": 4, "num_queries": 5}
    layers = {"encoder_layers": 1, "decoder_layers": 1, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
    config = hf.DetrConfig(
        use_timm_backbone=False, backbone_config=backbone, use_pretrained_backbone=False, backbone=None,
        num_labels=4, **sizes, **layers, **EAGER,
    )  # fmt: skip
    return hf.DetrForObjectDetection(config)


def _yolos() -> nn.Module:
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 64}
    config = hf.YolosConfig(image_size=[32, 32], patch_size=8, num_detection_tokens=5, num_labels=4, **sizes, **EAGER)
    return hf.YolosForObjectDetection(config)


def _whisper() -> nn.Module:
    sizes = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
    config = hf.WhisperConfig(**sizes, encoder_ffn_dim=64, num_mel_bins=16, max_source_positions=20, **EAGER)
    return hf.WhisperModel(config).get_encoder()


def _wav2vec2() -> nn.Module:
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 64}
    ears = {"conv_dim": (16, 16, 16), "conv_stride": (5, 2, 2), "conv_kernel": (10, 3, 3), "num_feat_extract_layers": 3}
    turns = {"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 4}
    return hf.Wav2Vec2ForCTC(hf.Wav2Vec2Config(**sizes, **ears, **turns, vocab_size=12, **EAGER))


def _mamba() -> nn.Module:
    config = hf.MambaConfig(vocab_size=100, hidden_size=16, state_size=4, num_hidden_layers=2, use_cache=False)
    return hf.MambaForCausalLM(config)


ARCHITECTURES = {
    "bert": Architecture(_bert, _pair, tokens="bert.embeddings.word_embeddings"),
    "distilbert": Architecture(_distilbert, _masked, tokens="distilbert.embeddings.word_embeddings"),
    "gpt2": Architecture(_gpt2, lambda: {"input_ids": _ids()}, tokens="transformer.wte", kind="gpt2"),
    "vit": Architecture(_vit, _pictures(32), kind="vit"),
    "swin": Architecture(_swin, _pictures(32), kind="swin"),
    "convnext": Architecture(_convnext, _pictures(32), kind="vit"),
    "segformer": Architecture(_segformer, _pictures(64), kind="vit"),
    "detr": Architecture(_detr, _pictures(64)),
    "yolos": Architecture(_yolos, _pictures(32), kind="vit"),
    "whisper": Architecture(_whisper, _random("input_features", 2, 16, 40), output="last_hidden_state", kind="bart"),
    "wav2vec2": Architecture(_wav2vec2, _random("input_values", 2, 800)),
    "mamba": Architecture(_mamba, lambda: {"input_ids": _ids()}, tokens="backbone.embeddings", kind="gpt2"),
}
