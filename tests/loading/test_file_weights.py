"""Large weights stay in the file of their model: nothing is copied, and nothing is used of a file that has changed."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxray
import pytest
from by_hand import model, normal
from onnxray.errors import ModelError
from onnxray.graph import file_weights, weights
from onnxray.graph.file_weights import FileWeight, folded_or_packed
from onnxray.loading import weights_apart
from onnxray.loading.load import load
from onnxray.serving import served_model

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="weights stay in files where open ones may be replaced")

N = 160
TEXT = f"""net (float[N, {N}] x) => (float[N, {N}] y) {{
    h = MatMul(x, W) b = MatMul(h, K) r = Relu(b) y = Gemm<transB = 1>(r, V)
}}"""
READ_IN_RUNS = f"net (float[N, {N}] x) => (float[N, {N}, {N}] y) {{ s = Constant<value_ints = [-1, {N}, 1]>() " \
               "u = Reshape(x, s) y = Mul(u, W) }"  # fmt: skip
ARRAYS = {name: normal(N, N, seed=k) / 12 for k, name in enumerate("WKV")}


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    """Weights of 100 KB stay."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights_apart, "STAYS", 2**16)
        yield


@pytest.fixture
def file(tmp_path: Path) -> Path:
    onnx.save(model(TEXT, ARRAYS), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


def expected(x: np.ndarray) -> np.ndarray:
    return onnxray.explain(model(TEXT, ARRAYS), x, target=3).values


def weight(of: onnxray.Model | onnxray.Explainer, name: str = "W") -> FileWeight:
    held = (of.model if isinstance(of, onnxray.Explainer) else of).graph.initializers[name].const_value
    assert isinstance(held, FileWeight)
    return held


def test_an_explainer_holds_no_array_and_no_map_of_the_weights(file: Path) -> None:
    explainer, x = onnxray.Explainer(file, threads=1), normal(2, N)
    (opened,) = explainer._runs.plans
    assert opened.session.weights == {}
    assert str(file) not in Path("/proc/self/maps").read_text()
    np.testing.assert_array_equal(explainer(x, target=3).values, expected(x))
    assert weight(explainer).numpy().tolist() == ARRAYS["W"].tolist()
    assert explainer.model.digest == load(file.read_bytes()).digest


@pytest.mark.parametrize("name", ["two\nlines.onnx", "\udcff.onnx", "a name (deleted).onnx", "modèle.onnx"])
def test_any_name_of_a_file(name: str, file: Path) -> None:
    other, x = file.rename(file.with_name(name)), normal(2, N)
    explainer = onnxray.Explainer(other, threads=1)
    np.testing.assert_array_equal(explainer(x, target=3).values, expected(x))
    (opened,) = explainer._runs.plans
    assert set(opened.session.weights) == (set(ARRAYS) if name[0] in "t\udcff" else set())


def test_a_system_that_does_not_tell_what_is_mapped(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_weights, "Path", lambda *_: file.with_name("nothing"))
    (opened,) = onnxray.Explainer(file, threads=1)._runs.plans
    assert set(opened.session.weights) == set(ARRAYS)


def test_a_read_in_pieces_and_one_that_fails(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held, pread = weight(load(file)), os.pread
    monkeypatch.setattr(os, "pread", lambda number, size, offset: pread(number, min(size, 1000), offset))
    np.testing.assert_array_equal(held.numpy(), ARRAYS["W"])
    monkeypatch.setattr(os, "pread", lambda *_: (_ for _ in ()).throw(OSError(116, "Stale file handle")))
    with pytest.raises(ModelError, match=r"cannot be read any more \(Stale file handle\)"):
        held.numpy()


def test_an_array_is_read_once_as_long_as_it_is_in_use(file: Path) -> None:
    held = weight(load(file))
    array = held.numpy()
    assert held.numpy() is array
    assert not array.flags.writeable
    del array
    gc.collect()
    assert held._array is not None
    assert held._array() is None


@pytest.mark.parametrize("way", ["deleted", "replaced", "renamed", "linked", "behind a link"])
def test_a_file_may_go_and_another_may_come(way: str, file: Path) -> None:
    loaded, x = load(file), normal(2, N)
    if way == "deleted":
        file.unlink()
    elif way == "linked":
        os.link(file, file.with_name("other.onnx"))
    elif way == "behind a link":
        file.with_name("link.onnx").symlink_to(file)
        loaded = load(file.with_name("link.onnx"))
    else:
        file.rename(file.with_name("other.onnx"))
    if way == "replaced":
        onnx.save(model(TEXT, {name: array + 1 for name, array in ARRAYS.items()}), file)
    np.testing.assert_array_equal(onnxray.explain(loaded, x, target=3).values, expected(x))


@pytest.mark.parametrize("size", [0, 1])
def test_what_is_written_to_the_file_changes_no_result(size: int, file: Path) -> None:
    """An explainer that is open goes on; what has to be read anew is an error."""
    explainer, loaded, x = onnxray.Explainer(file, threads=1), load(file), normal(2, N)
    content = file.read_bytes()
    with file.open("wb") as again:
        again.write((content[:-9] + bytes(9)) * size)
    os.utime(file, ns=(0, 10**18))
    np.testing.assert_array_equal(explainer(x, target=3).values, expected(x))
    with pytest.raises(ModelError, match=r"model\.onnx was written to after the model was loaded; load it again"):
        onnxray.Explainer(loaded)
    with pytest.raises(ModelError, match="written to"):
        _ = loaded.digest


def test_a_service_reads_nothing_of_the_file_later(file: Path) -> None:
    """It opens explainers again after others were closed, whatever became of the file."""
    one, x = served_model(file, "net", ["saliency"], threads=1), normal(2, N)
    file.write_bytes(bytes(file.stat().st_size))
    one.side.explainers.opened.clear()
    np.testing.assert_array_equal(one.explainer("saliency")(x, target=3).values, expected(x))


def test_a_weight_that_runs_read_is_in_memory(tmp_path: Path) -> None:
    """Also where it was not known that they would: the session is opened again."""
    file, x = tmp_path / "model.onnx", normal(2, N)
    onnx.save(model(READ_IN_RUNS, {"W": ARRAYS["W"]}), file)
    loaded = load(file)
    assert not folded_or_packed(loaded.graph.initializers["W"])
    found = onnxray.explain(loaded, x, target=(3, 5)).values
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "folded_or_packed", lambda value: True)
        again = onnxray.Explainer(loaded, threads=1)
        np.testing.assert_array_equal(again(x, target=(3, 5)).values, found)
    assert str(file) not in Path("/proc/self/maps").read_text()
    (opened,) = again._runs.plans
    assert set(opened.session.weights) == {"W"}


def test_copies_in_other_processes_have_their_weights_in_memory(file: Path) -> None:
    loaded, x = load(file), normal(2, N)
    for other in (pickle.loads(pickle.dumps(loaded)), copy.deepcopy(loaded)):
        assert isinstance(other.graph.initializers["W"].const_value, ir.Tensor)
        np.testing.assert_array_equal(onnxray.explain(other, x, target=3).values, expected(x))


def test_the_file_is_closed_with_the_model(file: Path) -> None:
    loaded = load(file)
    descriptor = weight(loaded).file.descriptor
    assert os.path.realpath(f"/proc/self/fd/{descriptor}") == str(file)
    del loaded
    gc.collect()
    assert os.path.realpath(f"/proc/self/fd/{descriptor}") != str(file)


def test_weights_that_stay_are_saved_and_differentiated(file: Path, tmp_path: Path) -> None:
    import onnxruntime as ort

    x = normal(2, N)
    saved = onnxray.Explainer(file).save(tmp_path / "explainer.onnx")
    session = ort.InferenceSession(saved, providers=["CPUExecutionProvider"])
    found = session.run(["attribution"], {"x": x, "target": np.array([3, 3])})[0]
    np.testing.assert_allclose(found, expected(x), rtol=1e-5, atol=1e-6)
    assert onnxray.differentiate(load(file)).model == onnxray.differentiate(load(file.read_bytes())).model
