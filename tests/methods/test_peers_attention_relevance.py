"""AttnLRP on a ViT and a BERT of ``transformers``: its formulas in PyTorch, and LXT, on the same weights.

Within the bound where the stabiliser of layers is 1e-9 on both sides. That of a composite by default, 1e-6, is that of
sums with constants and of Tanh, too, where the paper has none: which moves the maps by 2e-5 and 1.2e-4. LXT 2.1
(``lxt.explicit``) adds its own whatever the sign of the sum, and one to LayerNorm, for which its ``Function`` alone has
an option.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from late import late
from measures import distance
from onnxray.autodiff.attention import AttentionComposite

torch: Any = late("torch")
nets: Any = late("nets", "torch")
formulas: Any = late("relevances_in_torch", "torch")
net: Any = late("bert_net", "torch", "transformers")

NETS = ["vit", "bert"]
TARGET, STABILISER, TINY, BOUND = 3, 1e-9, 1e-12, 1e-5
pytestmark = pytest.mark.slow


def opened(name: str) -> tuple[onnx.ModelProto, np.ndarray, Any, Any]:
    """The file, what it is given, the module in float64, and what that is explained in."""
    if name == "vit":
        one = nets.net(name)
        return one.proto, one.pictures(2), one.double, torch.from_numpy(one.pictures(2)).double()
    model = copy.deepcopy(net.bert()).double()
    words = model.bert.embeddings.word_embeddings(torch.from_numpy(net.IDS))
    return net.proto(), net.IDS, net.Scores(model, "inputs_embeds"), words


def relevance(name: str, of: Any, kind: str = "double") -> Any:
    _, _, module, x = opened(name)
    module, x = (getattr(copy.deepcopy(value), kind)() for value in (module, x))
    return formulas.relevance(module, x, formulas.attention_rules(of), TARGET)


@pytest.mark.filterwarnings("ignore:.* integers, which have no gradient")
@pytest.mark.parametrize("name", NETS)
def test_attnlrp_is_its_formulas(name: str, measured: Callable[[str], None]) -> None:
    proto, x, *_ = opened(name)
    truth, single = (relevance(name, formulas.by_paper(STABILISER), kind) for kind in ("double", "float"))
    rules = AttentionComposite("attnlrp", epsilon=STABILISER)
    found = onnxray.explain(proto, x, "input-x-gradient", rules=rules, target=TARGET)
    bound = max(BOUND, 3 * distance(single, truth))
    usual = onnxray.explain(proto, x, "lrp", composite="attnlrp", target=TARGET)
    moved = distance(usual.values, truth), distance(usual.values, relevance(name, formulas.by_paper()))
    error = distance(found.values, truth)
    measured(f"relative L2 {error:.1e} (bound: {bound:.1e}); by default {moved[1]:.1e}")
    assert error <= bound
    assert moved[1] <= 1e-3
    gap = np.asarray(usual.values, np.float64).reshape(2, -1).sum(1) - usual.score
    np.testing.assert_allclose(usual.delta, gap, atol=1e-4)
    assert np.abs(usual.delta).max() > 0.01  # what biases and Softmax keep is told


@pytest.mark.skipif(find_spec("lxt") is None, reason="LXT is not installed")
@pytest.mark.parametrize("name", NETS)
def test_lxt_says_the_same(name: str, measured: Callable[[str], None]) -> None:
    functional, rules = (import_module(f"lxt.explicit.{name}") for name in ("functional", "rules"))
    convolution = torch.nn.functional.conv2d
    peer = formulas.Operators(
        linear=lambda x, w, b: functional.linear_epsilon(x, w, b, STABILISER),
        conv=lambda x, *more: rules.epsilon_lrp(lambda v: convolution(v, *more), STABILISER, x),
        matmul=lambda a, b: functional.matmul(a, b, False, TINY),
        softmax=lambda x: functional.softmax(x, -1),
        norm=lambda x, shape, weight, bias, eps: functional.layer_norm_grad_fn.apply(x, weight, bias, eps, TINY),
        add=lambda a, b: functional.add2(a, b, False, TINY),
        passed=lambda function, x, **named: rules.identity(lambda v: function(v, **named), x),
    )
    error = distance(relevance(name, formulas.by_paper(STABILISER)), relevance(name, peer))
    measured(f"formulas from LXT, in float64: {error:.1e}")
    assert error <= 1e-6
