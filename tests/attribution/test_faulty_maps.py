"""Maps that say nothing: a warning says of which examples, why, and what to try."""

from __future__ import annotations

import json
import warnings
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxray
import pytest
from by_hand import CONV, DENSE, Convolutional, model, normal
from onnxray.cli.app import run
from onnxray.gate.model_under_test import open_model_under_test
from onnxray.graph.model import Model
from onnxray.runtime import Session, SessionSettings, open_model


def told(method: str, proto: onnx.ModelProto, x: np.ndarray, target: Any = 0, **options: Any) -> list[str]:
    """The warnings of one explanation."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = onnxray.explain(proto, x, method, target=target, **options)
    lines = [f"the {method} map {text}" for _, text in found.provenance.get("faults", [])]
    assert lines == [str(one.message) for one in caught]
    return lines


def dead() -> onnx.ModelProto:
    """The dense net whose hidden units are all off."""
    proto = DENSE.proto()
    next(one for one in proto.graph.initializer if one.name == "a").CopyFrom(
        onnx.numpy_helper.from_array(np.full(9, -1e3, np.float32), "a")
    )
    return proto


def one_way(sign: float) -> onnx.ModelProto:
    """A net of one channel whose class 0 counts with that sign."""
    net = Convolutional(channels=1, maps=1, classes=1)
    weights = {"A": np.ones((1, 1, 3, 3), np.float32), "a": np.ones(1, np.float32), "b": np.zeros(1, np.float32)}
    proto = net.proto()
    del proto.graph.initializer[:]
    weights["B"] = np.full((1, 1), sign, np.float32)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    return proto


PICTURE = np.abs(normal(1, 1, 6, 5))


def test_a_relu_that_removes_everything() -> None:
    (said,) = told("grad-cam", one_way(-1), PICTURE)
    assert said.startswith("the grad-cam map is zero everywhere: no place speaks for the score, the ReLU removed all")
    assert "relu=False (--no-relu)" in said
    assert told("grad-cam", one_way(-1), PICTURE, relu=False) == []
    assert told("grad-cam", one_way(1), PICTURE) == []


def test_the_reason_is_looked_for_on_the_threads_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another graph tries the map without its ReLU."""
    opened: list[int | None] = []

    def noted(model: Model, settings: SessionSettings, in_place: Collection[str]) -> Session:
        opened.append(settings.threads)
        return open_model(model, settings, in_place)

    monkeypatch.setattr("onnxray.backends.open_model", noted)
    explainer = onnxray.Explainer(one_way(-1), "grad-cam", threads=1)
    with pytest.warns(UserWarning, match="the ReLU removed all"):
        explainer(PICTURE, target=0)
    assert opened == [1, 1]
    assert len(explainer.plans) == 2


def test_a_layer_that_the_score_does_not_depend_on() -> None:
    """The second head has a convolution of its own, which is the last one."""
    proto = model(
        """net (float[N, 2, 6, 5] x) => (float[N, 2] y) {
            [first] h = Conv(x, F) [second] k = Conv(x, G)
            p = GlobalAveragePool(h) q = GlobalAveragePool(k) c = Concat<axis=1>(p, q) y = Flatten(c)
        }""",
        {"F": normal(1, 2, 3, 3), "G": normal(1, 2, 3, 3, seed=1)},
    )
    (said,) = told("grad-cam", proto, CONV.x(1), target=0)
    assert "does not depend on 'the default layer' here, though on the input; name another layer" in said
    (said,) = told("grad-cam", proto, CONV.x(1), target=0, layer="second")
    assert "does not depend on 'second' here" in said
    assert told("grad-cam", proto, CONV.x(1), target=1, relu=False) == []


@pytest.mark.parametrize("tail", ["Sigmoid", "Softmax"])
def test_a_saturated_activation(tail: str) -> None:
    x = 1e5 * np.abs(DENSE.x(1))
    k = int(DENSE.scores(x).argmax())
    proto = DENSE.proto(f"y = {tail}(z)")
    (said,) = told("saliency", proto, x, target=k, score="output")
    assert f"the final {tail} is saturated, its slope is zero; explain what stands before it: score='logit'" in said
    assert told("saliency", proto, x, target=k) == []


def test_a_gradient_that_float32_does_not_hold() -> None:
    small = "h2 = Mul(z, tiny) h3 = Mul(h2, tiny) h4 = Mul(h3, tiny) y = Mul(h4, large)"
    proto = DENSE.proto(small)
    proto.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.float32(value), name) for name, value in (("tiny", 1e-16), ("large", 1e-4))
    )
    (said,) = told("saliency", proto, DENSE.x(1))
    assert said == "the saliency map is zero everywhere: the gradient is too small for float32"


def test_nothing_changes_the_score() -> None:
    for method in ("saliency", "guided-backprop", "input-x-gradient", "integrated-gradients", "smoothgrad"):
        (said,) = told(method, dead(), DENSE.x(1))
        assert "is zero everywhere: the score does not change with the input near it" in said
    (said,) = told("occlusion", dead(), DENSE.x(1))
    assert "covering a window never changes the score" in said


def test_what_stands_between_gradient_and_map() -> None:
    (said,) = told("input-x-gradient", DENSE.proto(), np.zeros((1, 6), np.float32))
    assert "the input is zero wherever the gradient is not" in said
    (said,) = told("integrated-gradients", DENSE.proto(), np.full((1, 6), 0.5, np.float32), baseline=0.5)
    assert "the input is the baseline wherever the gradient is not zero" in said
    (said,) = told("guided-backprop", one_way(-1), PICTURE)
    assert "its rule for Relu lets no gradient through" in said


def test_examples_are_named_and_keep_what_is_theirs() -> None:
    x = DENSE.x(4)
    x[[1, 3]] = 0
    with pytest.warns(
        UserWarning, match="the input-x-gradient map of examples 1, 3 is zero everywhere: the input is"
    ) as warned:
        found = onnxray.explain(DENSE.proto(), x, "input-x-gradient", target=0)
    assert [one.filename for one in warned] == [__file__]  # not a line of the package's own
    assert [row for row, _ in found.provenance["faults"]] == [1, 3]
    assert [row for row, _ in found[2:].provenance["faults"]] == [1]
    assert "faults" not in found[0].provenance
    assert "is zero everywhere" in found[3].provenance["faults"][0][1]


def test_values_that_are_not_finite() -> None:
    proto = DENSE.proto("e = Exp(z) y = Exp(e)")
    (said,) = told("saliency", proto, 1e3 * DENSE.x(1))
    assert said.startswith("the saliency map holds NaN or infinity: the score itself is")


def test_a_map_of_one_value() -> None:
    proto = model(
        """net (float[N, 2, 6, 5] x) => (float[N, 4] y) {
            p = GlobalAveragePool(x) [head] z = Conv(p, C) y = Flatten(z) }""",
        {"C": normal(4, 2, 1, 1)},
    )
    (said,) = told("grad-cam", proto, CONV.x(1), layer="head", relu=False)
    assert said == (
        "the grad-cam map is the same everywhere: the layer's map has one value; name a layer with a larger map "
        "by layer="
    )


def test_a_derivative_of_zero_is_no_fault() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not onnxray.jacobian(dead(), DENSE.x()).any()


def test_the_command_line_names_file_and_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx.save(dead(), tmp_path / "dead.onnx")
    files = []
    for name in ("a", "b"):
        files.append(str(tmp_path / f"{name}.npy"))
        np.save(files[-1], DENSE.x(1))
    assert run(["explain", str(tmp_path / "dead.onnx"), *files, "--json", "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    *warned, closing = err.splitlines()
    assert closing.startswith("onnxray: 2 files: 2 done")
    for file, line, record in zip(files, warned, map(json.loads, out.splitlines()), strict=True):
        assert line.startswith(f"onnxray: warning: {file}: the saliency map is zero everywhere: the score does not")
        assert record["warning"].startswith("is zero everywhere: ")
    np.save(files[0], 1e3 * DENSE.x(1))
    onnx.save(DENSE.proto("e = Exp(z) y = Exp(e)"), tmp_path / "large.onnx")
    assert run(["explain", str(tmp_path / "large.onnx"), files[0], "--out", str(tmp_path)]) == 2
    assert "error: " in capsys.readouterr().err.splitlines()[-1]


def test_the_gate_tells_it_too() -> None:
    side = open_model_under_test(dead(), ["saliency"], threads=1)
    with pytest.warns(UserWarning, match="the saliency map is zero everywhere"):
        side.evidence(side.prepared(DENSE.x(1)), 0)


def test_a_window_that_covers_all_tells_no_place_from_another() -> None:
    with pytest.warns(UserWarning, match="is the same everywhere: each window covers all of it"):
        onnxray.explain(CONV.proto(), CONV.x(), "occlusion", target=0, window=99)
