"""The rollouts of transformers' architectures: the formulas on the attentions and autograd's gradients of PyTorch.

vit_tiny_patch16_224 and deit_tiny_distilled_patch16_224 of timm 1.0.31, which CI does not install, were compared once
on the same weights, by hooks: relative L2 2e-7 (attention) and 2e-6 (gradient); of the latter two tokens are read.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnxray
import pytest
from attention_nets import ROLLOUTS, attention_rollout, gradient_rollout
from measures import distance

pytest.importorskip("torch", reason="PyTorch is not installed")

import torch
from late import late
from test_transformers import FORMS, exported
from transformer_nets import ARCHITECTURES, Architecture

late("transformers")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
METHODS = list(ROLLOUTS)
TARGET = 1


def truth(one: Architecture, method: str) -> np.ndarray:
    """The map of all tokens, (N, T), in float64; the score is read from token 0, as the class token's."""
    module = one.module().double()
    inputs = {name: x.double() if x.is_floating_point() else x for name, x in one.inputs().items()}
    y = module.model(**inputs, output_attentions=True)
    gradients = torch.autograd.grad(y.logits[:, TARGET].sum(), y.attentions)
    attentions, slopes = ([value.detach().numpy() for value in values] for values in (y.attentions, gradients))
    read = np.eye(attentions[0].shape[-1])[[0] * len(attentions[0])]
    if method == "attention-rollout":
        return attention_rollout(attentions, read)
    return gradient_rollout(attentions, slopes, read)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("name", "form"), [("bert", "scripted"), ("vit", "optimised")])
def test_the_formula_on_tensors_of_pytorch(name: str, form: str, method: str, measured: Callable[[str], None]) -> None:
    """Attention fused by onnxruntime's optimiser; as exported, and DistilBERT, were compared once: at most 5e-6."""
    one = ARCHITECTURES[name]
    feeds = {key: x.numpy() for key, x in one.inputs().items()}
    x = feeds if one.tokens else feeds["pixel_values"]
    found = onnxray.explain(FORMS[form](name, 18), x, method, target=TARGET)
    expected = truth(one, method)
    if not one.tokens:
        expected = expected[:, 1:].reshape(2, 4, 4)
    error = distance(found.map() if one.tokens else found.values, expected)
    measured(f"relative L2 {error:.1e}")
    assert error <= 1e-5


@pytest.mark.parametrize(
    ("name", "message"),
    [("swin", "attends to 16 tokens, which are neither"), ("segformer", "attends from 256 to 4 tokens")],
)
def test_what_has_no_rollout_is_refused(name: str, message: str) -> None:
    feeds = {key: x.numpy() for key, x in ARCHITECTURES[name].inputs().items()}
    for method in METHODS:
        with pytest.raises(onnxray.ModelError, match=message) as caught:
            onnxray.Explainer(exported(name, 18), method, score="y")(feeds)
        assert "\n" not in str(caught.value)
