"""The composites of LRP on a ResNet, a VGG with BatchNormalization and a MobileNetV2: their formulas, and Zennit.

BatchNormalization is left in the files, and merged by each side. The formulas are Zennit 0.5.1's to 1e-12 in float64,
which has two settings of the tests': Zennit 0.5 leaves the epsilon of a merged BatchNormalization in its place (version
1.0 does not), and its stabiliser of sums and pools, for which neither the papers nor this package have one, is made
small. Epsilon alone divides by sums of both signs: there float32 leaves 4e-5, of Zennit's as of this package's.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from late import late
from measures import distance
from onnx import numpy_helper
from onnxray.autodiff.composites import COMPOSITES as EVERY

torch: Any = late("torch")
zennit: Any = late("zennit_peer", "torch")
peers: Any = late("peers", "torch")
nets: Any = late("nets", "torch")
formulas: Any = late("relevances_in_torch", "torch")

NETS = ["resnet", "vgg-bn", "mobilenet-small"]
COMPOSITES = [name for name in EVERY if name != "attnlrp"]
TARGET, TINY = 3, 1e-12
pytestmark = pytest.mark.slow


def formula(composite: str) -> Any:
    return lambda module, x: formulas.relevance(formulas.fused(module), x, formulas.composite_rules(composite), TARGET)


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("name", NETS)
def test_a_composite_is_its_formula(name: str, composite: str, measured: Callable[[str], None]) -> None:
    one = nets.net(name)
    x = one.pictures(2)
    found = onnxray.explain(one.unfolded, x, "lrp", composite=composite, target=TARGET)
    check = peers.check_each if composite == "epsilon" else peers.check  # sums near zero are its kinks
    check(found.values, formula(composite), one, x, measured)
    gap = np.asarray(found.values, np.float64).sum((1, 2, 3)) - found.score
    np.testing.assert_allclose(found.delta, gap, rtol=1e-3, atol=1e-3)
    assert np.abs(found.delta).max() > 0.01 * np.abs(found.score).min()  # what biases keep is told


@pytest.mark.skipif(find_spec("zennit") is None, reason="Zennit is not installed")
@pytest.mark.parametrize("name", NETS)
def test_zennit_says_the_same(name: str, measured: Callable[[str], None]) -> None:
    double, x = nets.net(name).double, torch.from_numpy(nets.net(name).pictures(2)).double()
    gaps = {}
    for composite in COMPOSITES:
        peer = zennit.by_zennit(double, x, composite, TARGET, TINY)
        gaps[composite] = distance(formula(composite)(double, x), peer)
    measured(f"formulas from Zennit, in float64: {max(gaps.values()):.1e}")
    assert max(gaps.values()) <= 1e-8, gaps  # epsilon's sums near zero: 5e-12 with the kernels of another processor


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("name", NETS)
def test_without_biases_the_score_is_conserved(name: str, composite: str, measured: Callable[[str], None]) -> None:
    """Or the gap is told: alpha R - beta R is R where a sum has parts of both signs, and half of those of depthwise
    convolutions, which add up nine products, have not."""
    one = nets.net(name)
    found = onnxray.explain(without_biases(one.unfolded), one.pictures(2), "lrp", composite=composite, target=TARGET)
    kept, said = np.asarray(found.values, np.float64).sum((1, 2, 3)) / found.score, 1 + found.delta / found.score
    measured(f"{kept[0]:.5f} and {kept[1]:.5f} of the score")
    np.testing.assert_allclose(said, kept, rtol=1e-3)
    assert (np.abs(kept - 1).max() <= 0.01) == ((name, composite) != ("mobilenet-small", "epsilon-alpha2-beta1"))


def without_biases(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Zeros in the place of biases, and of the means and offsets of BatchNormalization."""
    places = {"BatchNormalization": slice(2, 4), "Conv": slice(2, 3), "Gemm": slice(2, 3)}
    named = {name for node in proto.graph.node for name in node.input[places.get(node.op_type, slice(0))]}
    made = onnx.ModelProto()
    made.CopyFrom(proto)
    for weight in made.graph.initializer:
        if weight.name in named:
            weight.CopyFrom(numpy_helper.from_array(0 * numpy_helper.to_array(weight), weight.name))
    return made
