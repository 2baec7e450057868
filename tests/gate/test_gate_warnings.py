"""What a comparison and an evaluation warn of: once, with the samples and the model; never of random weights."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
import pytest
from onnx import parser
from onnxray import compare, evaluate

QUICK = {"methods": "saliency", "metrics": ["cosine"], "layers": False, "threads": 1}
X = np.array([[10, 1, 1, 1], [1, 1, 1, 0], [9, 1, 1, 1], [8, 1, 1, 1], [7, 1, 1, 1]], np.float32)


def net(most: float = 1e9) -> onnx.ModelProto:
    """Two scores; above ``most`` they stand still. Its only hidden unit is off if its weights change places."""
    return parser.parse_model(f"""<ir_version: 10, opset_import: ["" : 21]>
        net (float[N,4] x) => (float[N,2] y)
        <float[4,1] a = {{1, -1, -1, -1}}, float[1,2] b = {{1, -1}}, float low = {{-1e9}}, float most = {{{most:f}}}> {{
            h = MatMul(x, a)
            r = Relu(h)
            s = MatMul(r, b)
            y = Clip(s, low, most)
        }}""")


def told(**settings: object) -> list[str]:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        compare(net(), net(4.5), X[[0, 2, 3, 4]], **QUICK, **settings)
    return [str(one.message) for one in found]


def test_a_warning_names_the_samples_and_the_model() -> None:
    [text] = told()
    assert text.startswith("sample:0, sample:1, sample:2: candidate: the saliency map is zero everywhere")


def test_many_samples_are_counted() -> None:
    with pytest.warns(UserWarning, match="sample:0, sample:1, sample:2 and 2 more: candidate: the saliency map"):
        compare(net(), net(4.5), X[[0, 0, 2, 2, 3, 4]], **QUICK)


def test_random_weights_are_no_warning() -> None:
    """They switch the hidden unit off, so that all their maps are zero."""
    with warnings.catch_warnings(action="error"):
        found = compare(net(), net(), X[[0, 2, 3]], **QUICK, calibrate=True)
        evaluate(net(), X[[0, 2, 3]], methods="saliency", metrics=["parameter-randomisation"], threads=1)
    assert found.calibration is not None
    assert found.calibration.scales[0].ceiling < 1


def test_an_evaluation_names_the_samples() -> None:
    with pytest.warns(UserWarning, match="^sample:1: the saliency map is zero everywhere"):
        evaluate(net(), X[:2], methods="saliency", metrics=["sparseness"], threads=1)


def test_warnings_point_at_the_line_of_the_caller() -> None:
    with pytest.warns(UserWarning, match="hardly depend on the weights") as told:
        compare(net(), net(4.5), X[:4], **(QUICK | {"methods": "guided-backprop"}))
    texts = [str(one.message) for one in told]
    assert any("candidate: the guided-backprop map is zero" in text for text in texts)
    assert {one.filename for one in told} == {__file__}
