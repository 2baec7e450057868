"""In-silico mutagenesis: layouts, unknown letters, two inputs, saved files, the command line, and what is refused.

Compared once with tangermeme 1.6's saturation_mutagenesis on a net of Conv1d, Relu and Linear, 3 sequences of 40
letters (relative L2): its hypothetical map is "centred", 1.3e-6 away, and its default is "present", 1.2e-6 away.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxray
import onnxruntime
import pytest
from black_box import mutagenesis
from by_hand import LETTERS, TOLERANCE, model, normal
from failing import fails
from measures import distance
from onnxray.cli.app import run


@pytest.mark.parametrize("show", ["changes", "centred", "present"])
def test_a_file_says_the_same(show: str, tmp_path: Path) -> None:
    x, explainer = LETTERS.x(), onnxray.Explainer(LETTERS.proto(), "mutagenesis", show=show)
    found = explainer(x, [1, 0, 2]).values
    session = onnxruntime.InferenceSession(explainer.save(tmp_path / "e.onnx"), providers=["CPUExecutionProvider"])
    (values,) = session.run(["attribution"], {"x": x, "target": np.array([1, 0, 2])})
    assert distance(values, found) <= TOLERANCE
    assert (found[x == (show != "present")] == 0).all() == (show != "centred")


def test_an_unknown_letter_becomes_each() -> None:
    """N is a column of zeros: all four letters change the score, and none of them is there."""
    x = LETTERS.x(2)
    x[:, :, 1] = 0
    found = onnxray.explain(LETTERS.proto(), x, "mutagenesis", target=2).values
    assert distance(found, mutagenesis(LETTERS, x, 2)) <= TOLERANCE
    assert (found[:, :, 1] != 0).any()
    logo = onnxray.explain(LETTERS.proto(), x, "mutagenesis", target=2, show="present").values
    assert (logo[:, :, 1] == 0).all()


def test_a_sequence_beside_a_table_wherever_its_examples_are() -> None:
    """y = sum w s + v V: the sequence (L, N, 4) alone is changed, and has the differences of w."""
    net = model(
        """net (float[N, 2] v, float[5, N, 4] s) => (float[N, 3] y) {
            t = Transpose<perm=[1, 0, 2]>(s)  f = Flatten(t)  a = MatMul(f, W)  b = MatMul(v, V)  y = Add(a, b)
        }""",
        {"W": normal(20, 3), "V": normal(2, 3)},
    )
    letters = np.random.default_rng(0).integers(0, 4, (5, 3))
    s, weights = np.eye(4, dtype=np.float32)[letters], normal(20, 3)[:, 1].reshape(5, 1, 4)
    found = onnxray.explain(net, {"v": normal(3, 2), "s": s}, "mutagenesis", target=1).values
    truth = weights - (weights * s).sum(2, keepdims=True)
    assert distance(found["s"] if isinstance(found, dict) else found, truth) <= TOLERANCE


def test_the_command_line(tmp_path: Path) -> None:
    onnx.save(LETTERS.proto(), tmp_path / "net.onnx")
    np.save(tmp_path / "x.npy", LETTERS.x(1))
    files = [str(tmp_path / name) for name in ("net.onnx", "x.npy")]
    out = ["--out", str(tmp_path), "--target", "1", "--npz"]
    assert run(["explain", *files, "-m", "mutagenesis", "--letters", "0", "--show", "present", *out]) == 0
    (file,) = tmp_path.glob("*.npz")
    values = np.load(file)["values"]
    assert distance(values, mutagenesis(LETTERS, LETTERS.x(1), 1, show="present")) <= TOLERANCE


def test_what_is_refused() -> None:
    with fails(onnxray.InputError, "mutagenesis", "'x'", "one-hot", "axis 1", "letters="):
        onnxray.explain(LETTERS.proto(), normal(2, 4, 5), "mutagenesis")
    square = model("net (float[N, 4, 4] x) => (float[N, 4] y) { m = ReduceSum<keepdims=0>(x, a)  y = Exp(m) }",
                   {"a": np.array([2])})  # fmt: skip
    with fails(onnxray.InputError, "mutagenesis", "single axis of size 4", "'x' (4, 4)", "letters="):
        onnxray.explain(square, np.eye(4, dtype=np.float32)[None], "mutagenesis")
    with fails(onnxray.InputError, "letters=7: no input is a sequence with such an axis", "'x' (4, 4)"):
        onnxray.explain(square, np.eye(4, dtype=np.float32)[None], "mutagenesis", letters=7)
    with fails(onnxray.InputError, "letters=", "-1"):
        onnxray.explain(square, np.eye(4, dtype=np.float32)[None], "mutagenesis", letters=-1)
    with fails(onnxray.InputError, "show", "change", "changes"):
        onnxray.explain(square, np.eye(4, dtype=np.float32)[None], "mutagenesis", letters=0, show="chang")
    open_length = model("net (float[N, 4, L] x) => (float[N, 4] y) { y = ReduceSum<keepdims=0>(x, a) }",
                        {"a": np.array([2])})  # fmt: skip
    with fails(onnxray.InputError, "mutagenesis", "'x'", "open"):
        onnxray.Explainer(open_length, "mutagenesis").save("never.onnx")
