"""The files that paths, folders and patterns name."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pytest
from onnxray import InputError
from onnxray.data.found_files import find_files


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("b/x.png", "b/deep/y.JPG", "b/a.npy", "b/.hidden.png", "b/.git/z.png", "c/x.png", "top.png"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    return tmp_path


def found(*named: str) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return list(map(os.fspath, find_files(map(Path, named))))


@pytest.mark.parametrize(
    ("named", "files"),
    [
        (["b"], ["b/a.npy", "b/x.png", "b/deep/y.JPG"]),
        (["b/"], ["b/a.npy", "b/x.png", "b/deep/y.JPG"]),
        (["*/x.png"], ["b/x.png", "c/x.png"]),
        (["c", "*/x.png", "top.png"], ["c/x.png", "b/x.png", "top.png"]),
        (["**/*.JPG"], ["b/deep/y.JPG"]),
        (["[bc]"], ["b/a.npy", "b/x.png", "b/deep/y.JPG", "c/x.png"]),
        (["top.png", "top.png", "nowhere.png"], ["top.png", "top.png", "nowhere.png"]),
    ],
)
def test_files_folders_and_patterns(named: list[str], files: list[str], here: Path) -> None:
    assert found(*named) == files


def test_a_file_that_is_there_is_no_pattern(here: Path) -> None:
    Path("x[1].png").touch()
    assert found("x[1].png") == ["x[1].png"]


@pytest.mark.parametrize(
    ("named", "said"), [("*.gif", "no file has a name of this pattern"), ("e", "holds no picture")]
)
def test_nothing_found_is_an_error(named: str, said: str, here: Path) -> None:
    Path("e").mkdir()
    Path("e/notes.txt").touch()
    with pytest.raises(InputError, match=said):
        find_files([Path(named)])


def test_what_is_left_out_is_told_and_results_are_not_searched(here: Path) -> None:
    for name in ("b/notes.txt", "b/out/sources.json", "b/out/x-saliency.png"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).touch()
    with pytest.warns(UserWarning, match=r"^b: by their names no pictures or arrays, left out: notes.txt$"):
        assert Path("b/out/x-saliency.png") not in find_files([Path("b")])


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_in_a_circle_end(here: Path) -> None:
    Path("c/again").symlink_to(here / "c", target_is_directory=True)
    Path("c/other").symlink_to(here / "b", target_is_directory=True)
    assert found("c") == ["c/x.png", "c/other/a.npy", "c/other/x.png", "c/other/deep/y.JPG"]
