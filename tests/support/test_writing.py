"""Files are written whole or not at all: the older content stays until the newer one is complete."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxray
import pytest
from onnxray import OutputError
from onnxray.graph import weights
from onnxray.loading import saving
from onnxray.models import path as shipped
from onnxray.support import writing

OLD, NEW = b"older", b"newer"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "out.bin"
    path.write_bytes(OLD)
    return path


def alone(file: Path) -> bool:
    """Whether nothing else is in the file's folder."""
    return list(file.parent.iterdir()) == [file]


def test_the_newer_file_comes_at_the_end(file: Path) -> None:
    with writing.replacing(file) as temporary:
        temporary.write_bytes(NEW)
        assert file.read_bytes() == OLD
        assert temporary.parent == file.parent
        assert temporary.suffix == file.suffix
    assert file.read_bytes() == NEW
    assert alone(file)


def write_and_raise(file: Path, error: BaseException) -> None:
    with writing.replacing(file) as temporary:
        temporary.write_bytes(NEW)
        raise error


@pytest.mark.parametrize("error", [ValueError("a value"), KeyboardInterrupt(), SystemExit(3)])
def test_other_errors_pass_and_the_older_file_stays(file: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        write_and_raise(file, error)
    assert file.read_bytes() == OLD
    assert alone(file)


def test_a_full_disk_names_the_file(file: Path) -> None:
    with pytest.raises(OutputError, match=r"out\.bin cannot be written: No space") as caught:
        write_and_raise(file, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert writing.disk_is_full(caught.value)
    assert file.read_bytes() == OLD
    assert alone(file)


def test_other_work_in_a_staged_block_is_not_blamed_on_the_file(file: Path) -> None:
    with pytest.raises(FileNotFoundError), writing.staged(file):
        Path("nowhere").read_bytes()
    assert file.read_bytes() == OLD


def test_permissions_are_those_of_the_older_or_of_any_new_file(file: Path) -> None:
    file.chmod(0o640)
    writing.write_bytes(file, NEW)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    plain, ours = file.with_name("plain"), file.with_name("ours")
    plain.write_bytes(NEW)
    writing.write_bytes(ours, NEW)
    assert ours.stat().st_mode == plain.stat().st_mode


def test_a_link_stays_one(file: Path) -> None:
    link = file.with_name("link.bin")
    link.symlink_to(file.name)
    writing.write_bytes(link, NEW)
    assert link.is_symlink()
    assert file.read_bytes() == NEW


def test_a_folder_of_that_name_is_refused_at_the_beginning(file: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written: Is a directory"):
        writing.check_writable(file.parent)
    with pytest.raises(OutputError, match="cannot be written: No such file"):
        writing.check_writable(file.parent / "no" / "out.bin")
    writing.check_writable(file)
    assert alone(file)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write to any file")
def test_a_file_that_is_read_only_is_refused(file: Path) -> None:
    file.chmod(0o444)
    with pytest.raises(OutputError, match="Permission denied"):
        writing.write_bytes(file, NEW)
    assert file.read_bytes() == OLD


def test_a_device_is_written_directly() -> None:
    writing.write_text(os.devnull, "text")
    assert Path(os.devnull).is_char_device()
    assert Path(os.devnull).read_bytes() == b""


def test_names_that_are_not_utf_8_come_back_from_json(file: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    writing.write_text(file, json.dumps({"name": name}, ensure_ascii=False))
    assert json.loads(file.read_text(encoding="utf-8"))["name"] == name


def test_a_record_knows_what_was_written_and_what_is_half_written(file: Path) -> None:
    with writing.record_files() as record:
        writing.write_bytes(file.with_name("first"), NEW)
        with writing.replacing(file) as temporary:
            assert list(record.begun) == [temporary]
            record.discard()
            assert not temporary.exists()
            temporary.write_bytes(NEW)
    assert record.written == [file.with_name("first"), file]
    assert record.begun == {}


def test_a_name_that_the_locale_cannot_write(file: Path) -> None:
    """As Python raises where LC_ALL is C."""
    told = r"caf\\xe9\.png' cannot be written: the locale has no such letters"
    with pytest.raises(OutputError, match=told), writing.writing(file.with_name("caf\u00e9.png")):
        "caf\u00e9".encode("ascii")


def test_folders_that_stay_empty_are_removed(tmp_path: Path) -> None:
    """But for those that were there, and those that hold something, whatever the block raises."""
    (tmp_path / "there").mkdir()

    @writing.record_files()
    def refused() -> None:
        for name in ("a/b", "full/c", "there/d"):
            writing.make_folder(tmp_path / name)
        with writing.record_files():
            writing.write_bytes(tmp_path / "full" / "file", NEW)
        assert (tmp_path / "a" / "b").is_dir()
        raise KeyError

    with pytest.raises(KeyError):
        refused()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full", "there"]


# Two files ----------------------------------------------------------------------------------------------------


@pytest.fixture
def save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes a gradient graph as if its weights were over 2 GB; ``of`` tells one version from another."""
    for module in (saving, weights):
        monkeypatch.setattr(module, "LIMIT", 1000)
        monkeypatch.setattr(module, "LARGE", 1000)
    graph = onnxray.differentiate(shipped("digits.onnx"))

    def write(version: str) -> Path:
        graph.model.producer_version = version
        return graph.save(tmp_path / "gradient.onnx")

    return write


def whole(path: Path) -> str:
    """The version of a model whose weights are all there."""
    model = onnx.load(path)
    assert all(np.isfinite(onnx.numpy_helper.to_array(one)).all() for one in model.graph.initializer)
    return model.producer_version


def data(path: Path) -> set[str]:
    return {one.name for one in path.parent.iterdir()} - {path.name}


def test_a_model_and_its_weights_replace_the_older_ones_together(save: Callable[[str], Path]) -> None:
    for version, name in (("1", "gradient.onnx.data"), ("2", "gradient.onnx.1.data"), ("3", "gradient.onnx.data")):
        path = save(version)
        assert whole(path) == version
        assert data(path) == {name}


@pytest.mark.parametrize("moment", ["fsync", "rename"])
def test_a_failure_leaves_the_older_model_with_its_weights(
    moment: str, save: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save("1")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*{"fsync": (os, "fsync"), "rename": (Path, "replace")}[moment], fail)
    with pytest.raises(OutputError, match=r"gradient\.onnx cannot be written: No space"):
        save("2")
    assert whole(path) == "1"
    assert data(path) == {"gradient.onnx.data"}


def test_weights_that_are_not_ours_stay(save: Callable[[str], Path], tmp_path: Path) -> None:
    other = tmp_path / "gradient.onnx.data"
    other.write_bytes(OLD)
    assert data(save("1")) == {"gradient.onnx.data", "gradient.onnx.1.data"}
    assert other.read_bytes() == OLD
