"""Data of a run: every kind of file holds the same digits, which come out as the same rows in their order."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import pytest
from late import late
from onnxray.errors import InputError
from onnxray.models import path
from onnxray.samples.reader import DataChanged, Reader
from onnxray.samples.sample_set import modules_for, open_samples
from PIL import Image

arrow = late("pyarrow")
DIGITS = path("digits.onnx")
PLANES = np.random.default_rng(0).integers(0, 255, (6, 28, 28), np.uint8)
X = PLANES[:, None].astype(np.float32) / 255


@pytest.fixture(scope="module")
def model() -> Any:
    return onnxray.load(DIGITS)


def png(plane: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(plane).save(stream, "PNG")
    return stream.getvalue()


def parquet(file: Path, **columns: Any) -> Path:
    from pyarrow import parquet as writer

    writer.write_table(arrow.table(columns), file, row_group_size=2)
    return file


def hugging_face(folder: Path, **columns: Any) -> Path:
    """As ``datasets`` 4 saves it."""
    folder.mkdir()
    for k, (start, stop) in enumerate([(0, 4), (4, 6)]):
        table = arrow.table({name: column[start:stop] for name, column in columns.items()})
        name = str(folder / f"data-0000{k}-of-00002.arrow")
        with arrow.OSFile(name, "wb") as file, arrow.ipc.new_stream(file, table.schema) as stream:
            stream.write_table(table)
    files = [{"filename": f"data-0000{k}-of-00002.arrow"} for k in range(2)]
    (folder / "state.json").write_text(json.dumps({"_data_files": files, "_fingerprint": "f", "_split": "train"}))
    (folder / "dataset_info.json").write_text('{"features": {}}')
    return folder


def web_data_set(file: Path, labels: bool = True) -> Path:
    with tarfile.open(file, "w") as tar:
        for k, plane in enumerate(PLANES):
            for name, content in ((f"d/{k}.png", png(plane)), (f"d/{k}.cls", b"%d" % k), (f"d/{k}.txt", b"a digit")):
                if labels or not name.endswith("cls"):
                    member = tarfile.TarInfo(name)
                    member.size = len(content)
                    tar.addfile(member, io.BytesIO(content))
    return file


def pictures(folder: Path) -> list[str]:
    folder.mkdir(exist_ok=True)
    for k, plane in enumerate(PLANES):
        (folder / f"{k}.png").write_bytes(png(plane))
    return [f"{k}.png" for k in range(len(PLANES))]


def kinds(folder: Path) -> dict[str, Path]:
    """A file of each kind, and of each kind of column."""
    names, lists = pictures(folder / "p"), X.tolist()
    (folder / "paths.csv").write_text("file_name,label\n" + "".join(f"p/{n},{k}\n" for k, n in enumerate(names)))
    structs = [{"bytes": png(plane), "path": None} for plane in PLANES]
    labels = list(range(6))
    return {
        "paths.csv": folder / "paths.csv",
        "paths.parquet": parquet(folder / "paths.parquet", image=[f"p/{name}" for name in names], label=labels),
        "nested.parquet": parquet(folder / "nested.parquet", pixels=lists, label=labels),
        "flat.parquet": parquet(folder / "flat.parquet", pixels=[one.ravel().tolist() for one in X], label=labels),
        "bytes.parquet": parquet(folder / "bytes.parquet", image=[png(plane) for plane in PLANES], y=labels),
        "structs.parquet": parquet(folder / "structs.parquet", image=structs, label=labels),
        "hf": hugging_face(folder / "hf", image=structs, label=labels),
        "set.tar": web_data_set(folder / "set.tar"),
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return kinds(tmp_path_factory.mktemp("kinds"))


SERVER = """from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
input()"""
KINDS = [f"{one}.parquet" for one in ("paths", "nested", "flat", "bytes", "structs")] + ["paths.csv", "hf", "set.tar"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_holds_the_same_samples(kind: str, files: dict[str, Path], model: Any) -> None:
    samples = open_samples(files[kind], model)
    assert (len(samples), samples.labelled) == (6, True)
    assert [one.label for one in samples] == list(range(6))
    reader = Reader(model)
    order = [4, 5, 0, 3, 2, 1]
    located, at = samples.locations, samples.at
    assert located is not None
    assert at is not None
    for k, location in [(k, located(k, k + 1)[0]) for k in order]:
        assert_plane(reader.read(location).given, k)
    for k, one in enumerate(samples):
        assert_plane(one.load(), k)
        assert one.name == at(k).name


def assert_plane(given: Any, k: int) -> None:
    plane = np.asarray(given.convert("L")) / np.float32(255) if isinstance(given, Image.Image) else given[0, 0]
    if isinstance(given, Path):
        plane = np.asarray(Image.open(given)) / np.float32(255)
    np.testing.assert_array_equal(plane, X[k, 0])


def test_several_inputs_are_one_run(files: dict[str, Path], tmp_path: Path) -> None:
    """The maps of the same digit are the same, whatever file it is in; the rows name their files."""
    np.save(tmp_path / "x.npy", X)
    photos = files["paths.csv"].parent / "p"
    given = [files["set.tar"], photos, files["nested.parquet"], tmp_path / "x.npy", files["hf"]]
    report = onnxray.run(DIGITS, given, tmp_path / "maps", workers=0, piece=8, batch=6)
    found = onnxray.read_run(report.out)
    rows, maps = list(found.rows()), [one for _, one in found.maps()]
    assert (report.done, report.failed, len({row["id"] for row in rows})) == (30, 0, 30)
    for k in range(6):
        for part in range(1, 5):
            np.testing.assert_allclose(maps[6 * part + k], maps[k], atol=2e-3 * np.abs(maps[k]).max())
    assert rows[0]["source"] == f"{files['set.tar']}/d/0.png"
    assert rows[6]["digest"] == rows[0]["digest"] == rows[24]["digest"]
    assert rows[12]["source"] is None
    assert rows[24]["source"] == f"{files['hf']}/image"


def test_a_pattern_of_tar_files_is_these(files: dict[str, Path], tmp_path: Path, model: Any) -> None:
    for name in ("a.tar", "b.TAR"):
        (tmp_path / name).write_bytes(files["set.tar"].read_bytes())
    assert [len(open_samples(str(tmp_path / name), model)) for name in ("*.tar", "b.TAR", "[ab].*")] == [6, 6, 12]


def test_threads_share_a_reader(files: dict[str, Path], model: Any) -> None:
    """As tasks of a Dask worker with several threads do."""
    reader, locations = Reader(model), open_samples(files["paths.csv"], model).locations(0, 6)

    def planes(start: int) -> list[tuple[int, Any]]:
        return [(k, reader.read(locations[k]).given) for k in [*range(start, 6), *range(start)] * 40]

    with ThreadPoolExecutor(4) as pool:
        for held in pool.map(planes, range(4)):
            for k, given in held:
                assert_plane(given, k)


def test_urls(model: Any) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    for k, plane in enumerate(PLANES):
        memory.pipe(f"/photos/{k}.png", png(plane))
    memory.pipe("/photos/notes.txt", b"no picture")
    stream = io.BytesIO()
    np.save(stream, X)
    memory.pipe("/x.npy", stream.getvalue())
    samples = open_samples("memory://photos", model)
    assert [one.name for one in samples] == [f"{k}.png" for k in range(6)]
    assert_plane(Reader(model).read(samples.locations(3, 4)[0]).given, 3)
    assert [one.name for one in open_samples(Path("memory://photos/[12].png"), model)] == [
        "memory:///photos/1.png", "memory:///photos/2.png",
    ]  # fmt: skip
    assert_plane(Reader(model).read(open_samples("memory://x.npy", model).locations(5, 6)[0]).given, 5)
    assert modules_for(["memory://photos", "x.parquet"]) == ("pyarrow", "fsspec")
    for url, told in (
        ("memory://none", "there is no such file or folder"),
        ("nosuch://a", "nosuch://a cannot be read"),
    ):
        with pytest.raises(InputError, match=told):
            open_samples(url, model)


def test_a_table_behind_a_url_is_what_it_names(files: dict[str, Path], tmp_path: Path) -> None:
    """Its files are beside it, its rows name the URL and not a copy, and a later table is read again."""
    memory = pytest.importorskip("fsspec").filesystem("memory")
    for name in ("paths.csv", "structs.parquet", *(f"p/{k}.png" for k in range(6))):
        memory.pipe(f"/d/{name}", (files["paths.csv"].parent / name).read_bytes())
    given = ["memory://d/paths.csv", "memory://d/structs.parquet"]
    rows = list(onnxray.read_run(onnxray.run(DIGITS, given, tmp_path / "maps", workers=0).out).rows())
    assert [row["error"] for row in rows] == [None] * 12
    assert (rows[0]["source"], rows[6]["source"]) == ("memory:///d/p/0.png", "memory:///d/structs.parquet/image")
    memory.pipe("/d/paths.csv", b"file_name\np/5.png\n")
    (row,) = onnxray.read_run(onnxray.run(DIGITS, given[0], tmp_path / "later", workers=0).out).rows()
    assert row["source"] == "memory:///d/p/5.png"


def test_a_table_may_name_a_picture_instead_of_holding_it(files: dict[str, Path], model: Any) -> None:
    structs = [{"bytes": None, "path": f"p/{k}.png"} for k in range(6)]
    file = parquet(files["paths.csv"].parent / "named.parquet", image=structs)
    for k, one in enumerate(open_samples(file, model)):
        assert_plane(one.load(), k)


def test_a_file_url_is_a_path(files: dict[str, Path], model: Any) -> None:
    assert len(open_samples(files["set.tar"].as_uri(), model)) == 6
    assert len(open_samples((files["paths.csv"].parent / "p").as_uri(), model)) == 6


def test_a_table_that_changed_is_refused(tmp_path: Path, model: Any) -> None:
    file = parquet(tmp_path / "x.parquet", pixels=X.tolist())
    location = open_samples(file, model).locations(0, 1)[0]
    parquet(file, pixels=X[:5].tolist())
    with pytest.raises(DataChanged, match=r"x\.parquet is another file now"):
        Reader(model).read(location)


def test_what_holds_no_samples_is_one_line(tmp_path: Path, model: Any, files: dict[str, Path]) -> None:
    (tmp_path / "cut.tar").write_bytes(files["set.tar"].read_bytes()[:700])
    (tmp_path / "no.tar").write_bytes(b"no archive" * 100)
    with tarfile.open(tmp_path / "packed.tar", "w:gz") as tar:
        tar.add(files["paths.csv"], "a.csv")
    for name, told in (("no.tar", "tar file without compression"), ("packed.tar", "tar file without compression")):
        with pytest.raises(InputError, match=told):
            open_samples(tmp_path / name, model)
    two = parquet(tmp_path / "two.parquet", a=[b"1"], b=[b"2"])
    with pytest.raises(InputError, match="several columns of pictures, a, b"):
        open_samples(two, model)
    short = parquet(tmp_path / "short.parquet", pixels=[[1.0, 2.0]])
    with pytest.raises(InputError, match="the 2 numbers under 'pixels' make no 1 x 28 x 28"):
        next(iter(open_samples(short, model))).load()
    with pytest.raises(InputError, match="no data are given"):
        open_samples([], model)


def test_what_is_not_the_rows_of_one_data_set_is_refused(tmp_path: Path, model: Any) -> None:
    one = hugging_face(tmp_path / "train", pixels=X.tolist())
    chosen = json.loads((one / "state.json").read_text()) | {"_indices_data_files": [{"filename": "indices.arrow"}]}
    (one / "state.json").write_text(json.dumps(chosen))
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train"]}')
    for data, said in ((one, "is a selection of the rows of its files"), (tmp_path, "holds several data sets, such")):
        with pytest.raises(InputError, match=said):
            open_samples(data, model)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of an S3 server of this machine."""
    for name in ("moto", "s3fs", "flask"):
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    with subprocess.Popen([sys.executable, "-c", SERVER], stdin=-1, stdout=-1, stderr=-3, text=True) as server:
        assert server.stdout is not None
        address = f"http://127.0.0.1:{int(server.stdout.readline())}"
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "x")
        urllib.request.urlopen(urllib.request.Request(f"{address}/data", method="PUT")).close()
        yield address
        server.kill()


@pytest.mark.slow
def test_an_object_store(s3: str, files: dict[str, Path], tmp_path: Path) -> None:
    """Pictures, a tar file and a table of a bucket, by two worker processes, as the same files of the disk."""
    s3fs = import_module("s3fs")
    store = s3fs.S3FileSystem(endpoint_url=s3)
    folder = files["paths.csv"].parent
    store.put(f"{folder}/p/", "data/photos/", recursive=True)
    for name in ("set.tar", "nested.parquet"):
        store.put(str(folder / name), f"data/{name}")
    given = ["s3://data/photos", "s3://data/set.tar", "s3://data/nested.parquet"]
    report = onnxray.run(DIGITS, given, tmp_path / "maps", "grad-cam", workers=2, piece=6)
    assert [row["error"] for row in onnxray.read_run(report.out).rows() if row["error"]] == []
    assert report.done == 18
    found = onnxray.read_run(report.out)
    local = [folder / "p", folder / "set.tar", folder / "nested.parquet"]
    expected = onnxray.read_run(onnxray.run(DIGITS, local, tmp_path / "local", "grad-cam", workers=0, piece=6).out)
    columns = ["digest", "target", "score", "map"]
    assert found.table.to_table(columns=columns).equals(expected.table.to_table(columns=columns))
    assert next(iter(found.rows()))["source"] == "s3://data/photos/0.png"
    with pytest.raises(InputError, match="s3://nobody/x"):
        onnxray.run(DIGITS, "s3://nobody/x", tmp_path / "none", workers=0)
