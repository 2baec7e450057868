"""Long models and heavy ones: time grows with the length, and weights are neither copied nor read without need."""

from __future__ import annotations

import shutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxray
import onnxruntime as ort
import pytest
from onnxray.graph.weights import LARGE, LIMIT
from onnxray.loading.load import load
from onnxray.runtime import open_model, open_session

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
size: Any = import_module("size")

RNG = np.random.default_rng(0)
WORDS = RNG.normal(size=(300, 64)).astype(np.float32)  # 75 KB: large enough to be given to the runtime as it lies
HEAD = RNG.normal(size=(64, 300)).astype(np.float32)

TEXT = """<ir_version: 8, opset_import: ["" : 18]>
text (int64[n, 5] ids) => (float[n, 3] y)
{ e = Gather (words, ids) t = Tanh (e) axes = Constant <value_ints = [1]> () s = ReduceSum <keepdims = 0> (t, axes)
  y = MatMul (s, head) }"""


def seconds(nodes: int) -> float:
    source = load(ir.to_proto(size.long(nodes)))
    return min(size.timed(lambda: onnxray.differentiate(source))[1] for _ in range(2))


@pytest.mark.slow
def test_time_grows_with_the_length() -> None:
    """Four times the nodes in at most eight times the processor time; what is quadratic takes sixteen."""
    short, long = seconds(500), seconds(2000)
    assert long < 8 * max(short, 0.02), f"{short:.2f} s for 500 nodes, {long:.2f} s for 2000"


@pytest.mark.parametrize(
    "text",
    [
        "net (float[n, 64] x) => (float[n, 300] y) { y = MatMul (x, head) }",
        "net (float[n, 64] x, float[300, 64] words) => (float[n, 300] y) { y = MatMul (x, head) }",
        "net (float[n, 64] x) => (float[n, 300] y, float[300, 64] words) { y = MatMul (x, head) }",
        "net (float[n, 64] x) => (float[n, 300] y) { d = Gemm <transB = 1> (x, words) y = MatMul (x, head) }",
    ],
    ids=["unread", "unread input", "output", "read for nothing"],
)
def test_a_large_weight_that_nothing_reads(text: str) -> None:
    """The runtime drops it before it takes the weights that it is given: "Failed to find existing initializer"."""
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> {text}')
    model.graph.initializer.extend(onnx.numpy_helper.from_array(a, n) for n, a in (("head", HEAD), ("words", WORDS)))
    x = np.ones((1, 64), np.float32)
    found = open_model(load(model)).run({"x": x}, ["y"])["y"]
    np.testing.assert_allclose(found, x @ HEAD, rtol=1e-5, atol=1e-5)


def test_nodes_grow_with_the_length() -> None:
    made = [len(onnxray.differentiate(ir.to_proto(size.long(n))).model.graph.node) for n in (50, 100, 200)]
    assert made[2] - made[1] == 2 * (made[1] - made[0])


def dense(opset: int) -> onnx.ModelProto:
    """Two layers, and a shape that lies in an initializer, which checks and upgrades are to see."""
    text = f"""<ir_version: 8, opset_import: ["" : {opset}]>
    net (float[n, 64] x) => (float[n, 300] y)
    {{ h = MatMul (x, head) r = Relu (h) y = Reshape (r, shape) }}"""
    model = onnx.parser.parse_model(text)
    held = {"head": HEAD, "shape": np.array([-1, 300])}
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in held.items())
    return model


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("external", [False, True])
def test_weights_reach_the_runtime_unchanged(opset: int, external: bool, tmp_path: Path) -> None:
    """Whether they lie in memory or beside the file, through an upgrade or not: outputs are the same to the bit."""
    file, x = tmp_path / "model.onnx", RNG.normal(size=(2, 64)).astype(np.float32)
    onnx.save(dense(opset), file, save_as_external_data=external, location="weights", size_threshold=0)
    model = load(file)
    kind = ir.ExternalTensor if external else ir.Tensor
    assert isinstance(model.graph.initializers["head"].const_value, kind)
    expected = open_session(dense(opset)).run({"x": x})["y"]
    np.testing.assert_array_equal(open_model(model).run({"x": x})["y"], expected)
    found = onnxray.explain(model, x, target=[3, 4]).values
    np.testing.assert_allclose(found, HEAD.T[[3, 4]] * (expected[[0, 1], [3, 4]] > 0)[:, None], rtol=1e-6)
    graph = onnxray.differentiate(model)
    assert graph.folder is None
    assert not any(held.external_data for held in graph.model.graph.initializer)
    ort.InferenceSession(graph.save(tmp_path / "gradient.onnx"))


def test_a_session_keeps_the_weights_that_it_reads() -> None:
    session, x = open_model(load(dense(18))), RNG.normal(size=(2, 64)).astype(np.float32)
    np.testing.assert_allclose(session.run({"x": x})["y"], np.maximum(x @ HEAD, 0), rtol=1e-4, atol=1e-4)


MOVED = """<ir_version: 8, opset_import: ["" : 18]>
moved (float[n, 32, 32, 32] x) => (float[n, 32] y)
{ a = Transpose <perm = [0, 2, 3, 1]> (x) b = Mul (a, w) c = Transpose <perm = [0, 3, 1, 2]> (b)
  axes = Constant <value_ints = [2, 3]> () y = ReduceMean <keepdims = 0> (c, axes) }"""


def test_weights_that_the_optimiser_moves() -> None:
    """onnxruntime turns them in place where it takes a Transpose out: their old values by that name are wrong."""
    model, w = onnx.parser.parse_model(MOVED), RNG.normal(size=(32, 32, 32)).astype(np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(w, "w"))
    found = onnxray.explain(model, np.ones((1, 32, 32, 32), np.float32), target=3).values[0]
    np.testing.assert_allclose(found[3], w[:, :, 3] / 1024, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:the file declares")
def test_a_digest_is_that_of_the_model_wherever_its_weights_lie(tmp_path: Path) -> None:
    """And another one where one number differs, of a weight that the message holds or of one that it does not."""
    proto = dense(18)
    found = {load(proto.SerializeToString()).digest}
    onnx.save(onnx.ModelProto.FromString(proto.SerializeToString()), tmp_path / "one.onnx")
    onnx.save(
        onnx.ModelProto.FromString(proto.SerializeToString()), tmp_path / "two.onnx", save_as_external_data=True,
        location="weights", size_threshold=0,
    )  # fmt: skip
    found |= {load(tmp_path / name).digest for name in ("one.onnx", "two.onnx")}
    assert len(found) == 1
    assert max(len(weight.raw_data) for weight in proto.graph.initializer) > LARGE
    for weight in proto.graph.initializer:
        last = onnx.ModelProto.FromString(proto.SerializeToString())
        for one in last.graph.initializer:
            if one.name == weight.name:
                one.raw_data = one.raw_data[:-1] + bytes([one.raw_data[-1] ^ 1])
        found.add(load(last).digest)
    assert len(found) == 1 + len(proto.graph.initializer)


def test_weights_that_no_message_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As above two gigabytes, with the limit at 4 KB: they stay in files, and what is saved has them beside it."""
    for module in ("onnxray.graph.model", "onnxray.loading.saving", "onnxray.graph.weights"):
        monkeypatch.setattr(f"{module}.LIMIT", 2**12)
    x, digests = RNG.normal(size=(1, 64)).astype(np.float32), set()
    for name, factor in (("one", 1), ("other", 2)):
        (tmp_path / name).mkdir()
        proto = dense(18)
        proto.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(HEAD * np.float32(factor), "head"))
        onnx.save(
            proto, tmp_path / name / "model.onnx", save_as_external_data=True, location="weights", size_threshold=0
        )
        digests.add(load(tmp_path / name / "model.onnx").digest)
    assert len(digests) == 2
    graph = onnxray.differentiate(tmp_path / "one" / "model.onnx")
    assert graph.folder == tmp_path / "one"
    assert graph.model.ByteSize() < HEAD.nbytes / 4
    seed = np.zeros((1, 300), np.float32)
    seed[0, 5] = 1
    expected = HEAD[:, 5] * (x @ HEAD > 0)[0, 5]
    session = ort.InferenceSession(graph.save(tmp_path / "gradient.onnx"))
    (found,) = session.run([graph.gradients["x"]], {"x": x, graph.seeds["y"]: seed})
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)
    assert (tmp_path / "gradient.onnx.data").stat().st_size >= HEAD.nbytes
    explainer = onnxray.Explainer(tmp_path / "one" / "model.onnx")
    session = ort.InferenceSession(explainer.save(tmp_path / "explainer.onnx"))
    (found,) = session.run(["attribution"], {"x": x, "target": np.array([5])})
    np.testing.assert_allclose(found[0], expected, rtol=1e-6)
    np.testing.assert_allclose(explainer(x, target=5).values[0], expected, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("where", ["in the file", "beside the file"])
def test_memory(where: str, tmp_path: Path) -> None:
    """Explaining takes at most twice the weights above the model, differentiating once; a share is for the rest."""
    gigabytes, share = 0.5, 0.15
    extra = {} if where == "in the file" else {"external_data": "model.data"}
    ir.save(size.heavy(gigabytes), tmp_path / "model.onnx", **extra)
    took = {what: size.measured_apart(what, tmp_path / "model.onnx")["gigabytes"] for what in size.WORKS}
    model = gigabytes if where == "in the file" else 0.0
    assert took["load"] < 2 * model + share
    assert took["differentiate"] < model + gigabytes + share
    layer = size.WIDTH**2 * 4 / 2**30  # onnxruntime holds one more for a while, of those that lie in memory
    assert took["explain"] < model + 2 * gigabytes + (layer if model else 0) + 0.02


def huge(folder: Path) -> Path:
    """A model whose table of embeddings takes 2.2 GB: a file with holes, so that the disk holds the few rows in use."""
    rows, width = 2_200_000_000 // 256, 64
    with (folder / "table").open("wb") as file:
        file.truncate(rows * width * 4)
        for k in (0, 7, rows - 1):
            file.seek(k * width * 4)
            file.write(WORDS[k % 300].tobytes())
    model = onnx.parser.parse_model(TEXT)
    model.graph.initializer.append(onnx.numpy_helper.from_array(HEAD[:, :3].copy(), "head"))
    table = model.graph.initializer.add(name="words", data_type=1, dims=(rows, width), data_location=1)
    table.external_data.add(key="location", value="table")
    onnx.save(model, folder / "model.onnx")
    assert rows * width * 4 > LIMIT
    return folder / "model.onnx"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the model takes integers")
def test_a_model_above_two_gigabytes(tmp_path: Path) -> None:
    if shutil.disk_usage(tmp_path).free < 6e9:
        pytest.skip("less than 6 GB are free where temporary files go")
    file = huge(tmp_path)
    rows = 2_200_000_000 // 256
    ids = np.array([[0, 7, rows - 1, 7, 5]])
    words = np.stack([WORDS[0], WORDS[7], WORDS[(rows - 1) % 300], WORDS[7], np.zeros(64, np.float32)])
    expected = (1 - np.tanh(words) ** 2) * HEAD[:, 1]
    explainer = onnxray.Explainer(file)
    np.testing.assert_allclose(explainer(ids, target=1).values[0], expected, rtol=1e-4, atol=1e-5)
    graph = onnxray.differentiate(file)
    assert graph.folder == tmp_path
    feeds = {"ids": ids, graph.seeds["y"]: np.eye(3, dtype=np.float32)[[1]]}
    (name,) = graph.gradients.values()
    found = open_session(graph.model, folder=graph.folder).run(feeds, [name])[name]
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)
    for save, given in ((graph.save, feeds), (explainer.save, {"ids": ids, "target": np.array([1])})):
        (tmp_path / "out").mkdir()
        session = ort.InferenceSession(save(tmp_path / "out" / "saved.onnx"))
        (values,) = session.run([name if save == graph.save else "attribution"], given)
        np.testing.assert_allclose(values[0], expected, rtol=1e-4, atol=1e-5)
        shutil.rmtree(tmp_path / "out")
