"""Every operator that has a rule, by the second builder: right by central differences, or refused in words.

This is how its silent errors were found; what it refuses is listed, so that nothing slips from right to refused.
"""

from __future__ import annotations

import numpy as np
import pytest
from cases import CASES, daily
from gradcheck import Case
from onnxray.errors import BuilderError, UnsupportedOperator
from onnxray.gradient_graph import differentiate
from training_tools import distance, gradient

TOLERANCE = 1e-3

# The library has no gradient of these, or none that is right.
REFUSED = frozenset(
    (  # noqa: SIM905  read as a paragraph
        "Acos Acosh AffineGrid Asin Asinh Atan Atanh BatchNormalization Bernoulli Cosh Compress CumProd CumSum DFT "
        "DepthToSpace DequantizeLinear Det Einsum GlobalLpPool GlobalMaxPool GridSample GRU InstanceNormalization "
        "LRN LSTM LpNormalization LpPool MaxRoiPool MaxUnpool Mod OneHot Range ReduceL1 ReduceLogSum ReduceMax "
        "ReduceMin ReduceProd ReverseSequence RNN RoiAlign ScatterElements ScatterND Sinh SpaceToDepth STFT Tan "
        "TensorScatter Unique Col2Im CenterCropPad DeformConv Hardmax Inverse"
    ).split()
)
# Of these it has some gradients: not those of bounds, exponents and pads, of Reduce over nothing, of unlike batches.
PARTLY = frozenset(
    "Clip LayerNormalization Mean Pad Pow ReduceL2 ReduceLogSumExp ReduceSumSquare Split Sum".split()  # noqa: SIM905
)


def check(case: Case, symbolic: str, runtime: str = "onnxruntime") -> None:
    """Asserts that each gradient is right, or that it is refused and may be."""
    for name in case.differentiable():
        made, of = case.model(np.float32, symbolic), [f"y{k}" for k in case.of]
        try:
            graph = differentiate(made, of, [name], builder="ort-training", runtime=runtime)
            found = gradient(graph, case.feeds(np.float32), _cotangents(case))[name]
        except (BuilderError, UnsupportedOperator) as error:
            refusal = str(error)
        else:
            assert distance(found, case.expected[name]) <= TOLERANCE, name
            continue
        assert "\n" not in refusal
        assert runtime == "training" or case.op in REFUSED | PARTLY or symbolic == "all", refusal


def _cotangents(case: Case) -> dict[str, np.ndarray]:
    return {y: w.astype(np.float32) for y, w in case.cotangents.items()}


@pytest.mark.parametrize("case", daily(CASES))
def test_lowered(case: Case) -> None:
    check(case, "none")


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if c.symbolic != "none"], ids=str)
def test_lowered_with_an_open_batch(case: Case) -> None:
    check(case, "batch")


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in CASES if c.symbolic == "all"], ids=str)
def test_lowered_with_unknown_shapes(case: Case) -> None:
    check(case, "all")


@pytest.mark.slow  # lowered, which is what users run, every day
@pytest.mark.parametrize("case", CASES, ids=str)
def test_raw_in_the_library_itself(case: Case) -> None:
    check(case, "none", "training")
