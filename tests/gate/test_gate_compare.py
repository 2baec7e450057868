"""compare(): the same model is perfect, others are not; thresholds decide; what is interrupted continues."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
import onnxray
import pytest
from held_out import digits
from onnxray import Comparison, InputError, compare, models
from onnxray.gate.calibration import calibrate
from onnxray.gate.layers.randomise import randomised, weighted_layers
from onnxray.gate.metrics.agreement import METRICS
from onnxray.gate.metrics.outputs import OUTPUTS
from onnxray.gate.model_under_test import DEFAULT_METHODS, open_model_under_test

DIGITS, CANCER = models.path("digits.onnx"), models.path("breast_cancer.onnx")
HELD = digits()
X = HELD.unseen[:8, None].astype(np.float32) / 255
FAST = {"threads": 1, "steps": 8}


def of_everything(found: Comparison) -> dict[tuple[str, str], float]:
    return {(one.method, one.metric): one.mean for one in found.summary}


def reordered(source: onnx.ModelProto, path: Path) -> Path:
    """The same weights: other order of nodes and initialisers, other names of nodes, another opset."""
    model = onnx.version_converter.convert_version(source, 21)
    nodes, late = list(model.graph.node), []
    known = {value.name for value in (*model.graph.input, *model.graph.initializer)} | {""}
    while nodes:  # of those that could come next always the one that came last
        one = max(k for k, node in enumerate(nodes) if set(node.input) <= known)
        late.append(nodes.pop(one))
        known |= set(late[-1].output)
    for node in late:
        node.name = ""
    weights = list(model.graph.initializer)[::-1]
    for held, new in ((model.graph.initializer, weights), (model.graph.node, late)):
        del held[:]
        held.extend(new)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    return path


def branched() -> onnx.ModelProto:
    """A net of residual blocks, whose nodes have more than one order."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    from nets import basic_block, export, resnet

    torch.manual_seed(0)
    return export(resnet(basic_block, [1, 1], 8).eval(), torch.randn(2, 3, 32, 32))


def test_a_model_against_itself_is_perfect() -> None:
    found = compare(DIGITS, DIGITS, X, **FAST)
    perfect = {name: metric.perfect for name, metric in {**METRICS, **OUTPUTS}.items()}
    assert all(value == perfect[metric] for (_, metric), value in of_everything(found).items())
    assert (found.verdict, found.exit_code, len(found.rows), found.failed) == ("pass", 0, 8, ())
    assert found.layers is not None
    assert found.layers.breaks is None
    assert len(found.layers.layers) == 12


@pytest.mark.parametrize("name", ["digits", pytest.param("resnet", marks=pytest.mark.slow)])
def test_the_same_weights_in_another_graph(name: str, tmp_path: Path) -> None:
    model = onnx.load(DIGITS) if name == "digits" else branched()
    x = X if name == "digits" else np.random.default_rng(0).standard_normal((4, 3, 32, 32)).astype(np.float32)
    other = reordered(model, tmp_path / "other.onnx")
    changed = onnx.load(other)
    assert {one.version for one in changed.opset_import} != {one.version for one in model.opset_import}
    orders = [[list(node.output) for node in one.graph.node] for one in (model, changed)]
    assert (orders[0] != orders[1]) == (name == "resnet")  # the digits model is a chain
    found = of_everything(compare(model, other, x, **FAST))
    assert {method for method, _ in found} == {*DEFAULT_METHODS, "outputs"}
    for (method, metric), value in found.items():
        held = {**METRICS, **OUTPUTS}[metric]
        assert (value - held.unrelated) / (held.perfect - held.unrelated) > 0.999, (method, metric, value)


@pytest.mark.slow
def test_randomised_weights_are_calibrated_near_zero() -> None:
    other = randomised(onnxray.load(DIGITS), seed=99)
    found = compare(DIGITS, other, X, calibrate=True, layers=False, **FAST)
    assert found.calibration is not None
    assert all(score < 0.15 for score in found.calibration.scores.values()), found.calibration.scores
    assert (found.verdict, found.exit_code) == ("fail", 1)
    assert {check.metric for check in found.checks} == {"calibrated"}


def test_randomising_goes_from_the_top() -> None:
    model = onnxray.load(DIGITS)
    names = [layer.name for layer in weighted_layers(model)]
    assert names == ["conv1", "conv2", "conv3", "conv4", "fc"]
    changed = randomised(model, 0, share=0.4)
    before, after = (
        [layer.weights[1].const_value.numpy() for layer in weighted_layers(one)] for one in (model, changed)
    )
    same = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert same == [True, True, True, False, False]


def test_the_noise_floor_is_better_than_noise() -> None:
    side = open_model_under_test(DIGITS, ["saliency"], threads=1)
    found = calibrate(side, [lambda k=k: X[k : k + 1] for k in range(4)], METRICS)
    assert found.samples == 4
    for scale in found.scales:
        assert scale.threads == pytest.approx(METRICS[scale.metric].perfect, abs=1e-3)
        assert (scale.floor > scale.ceiling) == METRICS[scale.metric].rises


def test_targets() -> None:
    labelled = (X, HELD.unseen_labels[:8])
    wrong = (X, (HELD.unseen_labels[:8] + 1) % 10)
    by_label = compare(DIGITS, DIGITS, labelled, target="label", methods=["saliency"], layers=False)
    assert [row.target for row in by_label.rows] == HELD.unseen_labels[:8].tolist()
    assert all(row.correct == (True, True) for row in by_label.rows)
    missed = compare(DIGITS, DIGITS, wrong, target="label", methods="saliency", layers=False)
    assert [row.target for row in missed.rows] == list(wrong[1])
    assert not any(one for row in missed.rows for one in row.correct or ())
    own = compare(DIGITS, randomised(onnxray.load(DIGITS), 0), X, target="own", methods="saliency", layers=False)
    assert own.value("saliency", "cosine") < 0.5


@pytest.mark.slow
def test_thresholds() -> None:
    changed = randomised(onnxray.load(DIGITS), 0, share=0.2)
    gate = {"saliency.cosine": -1.0, "relative-l2": 5.0, "top1": 1.0}
    found = compare(DIGITS, changed, X, methods=["saliency", "grad-cam"], layers=False, fail_under=gate)
    assert [(one.method, one.metric, one.passed) for one in found.checks] == [
        ("saliency", "cosine", True),
        ("saliency", "relative-l2", True),
        ("grad-cam", "relative-l2", True),
        ("outputs", "top1", False),
    ]
    with pytest.raises(InputError, match="--calibrate"):
        compare(DIGITS, DIGITS, X[:1], methods="saliency", fail_under=["calibrated=0.8"], layers=False)
    for bad in (["magic=1"], ["spearman"], ["spearman=x"]):
        with pytest.raises(InputError, match="fail-under"):
            compare(DIGITS, DIGITS, X[:1], fail_under=bad)


def test_intervals_hold_the_mean() -> None:
    found = compare(DIGITS, randomised(onnxray.load(DIGITS), 0, share=0.2), X, methods="saliency", layers=False)
    for one in found.summary:
        assert one.low <= one.mean <= one.high
        assert one.count == 8
    again = compare(DIGITS, randomised(onnxray.load(DIGITS), 0, share=0.2), X, methods="saliency", layers=False)
    assert again.summary == found.summary


def test_a_bad_sample_is_skipped_and_counted() -> None:
    bad, heard = X.copy(), []
    bad[3] = np.nan
    found = compare(DIGITS, DIGITS, bad, methods="saliency", layers=False, failed=heard.append)
    assert (len(found.rows), [one.name for one in found.failed]) == (7, ["sample:3"])
    assert heard == list(found.failed)
    with pytest.raises(InputError, match="none of 8 samples"):
        compare(DIGITS, DIGITS, bad * np.nan, methods="saliency")


def test_guided_backprop_alone_warns() -> None:
    with pytest.warns(UserWarning, match="guided-backprop alone"):
        compare(DIGITS, DIGITS, X[:1], methods="guided-backprop", layers=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compare(DIGITS, DIGITS, X[:1], methods=["guided-backprop", "saliency"], layers=False)


def test_tables(tmp_path: Path) -> None:
    found = compare(CANCER, CANCER, models.path("breast_cancer.csv"), methods=["saliency", "integrated-gradients"])
    assert found.passed
    assert not {"ssim", "centre-distance"} & {one.metric for one in found.summary}
    assert json.loads(found.json_text())["verdict"] == "pass"


def test_masks() -> None:
    picture = models.path("digit.png")
    found = compare(DIGITS, DIGITS, [picture], methods="saliency", masks={"digit": [14, 0, 27, 27]}, layers=False)
    assert (found.value("saliency", "mass-inside"), found.value("saliency", "pointing")) == (1, 1)


def test_models_that_do_not_fit_are_one_line() -> None:
    for other in (CANCER,):
        with pytest.raises(InputError, match="different inputs"):
            compare(DIGITS, other, X)
    with pytest.raises(InputError, match="needs labels"):
        compare(DIGITS, DIGITS, X, target="label")
    with pytest.raises(InputError, match="or reference, label, own"):
        compare(DIGITS, DIGITS, X, target="mine")
    with pytest.raises(InputError, match="option 'stepz'"):
        compare(DIGITS, DIGITS, X, options={"stepz": 3})
