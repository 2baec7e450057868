"""`onnxray explain` on folders: what is found, written and listed, batches, and what a second run does."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnxray
import pytest
from cli_tools import CANCER, DIGIT, DIGITS, ROWS, one_line, records
from onnxray import Attribution, Explainer, runtime
from onnxray.cli.app import run
from onnxray.cli.result_names import claim_stems
from PIL import Image

EXPLAIN = ["explain", DIGITS, "photos", "--json", "--save", "map", "--threads", "1"]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Five digits, two of one name, and a file that is no picture."""
    monkeypatch.chdir(tmp_path)
    digit = Image.open(DIGIT).convert("L")
    for k, name in enumerate(["1.png", "2.png", "a/cat.png", "b/cat.bmp", "b/dog.png"]):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        digit.rotate(9 * k).save(tmp_path / "photos" / name)
    (tmp_path / "photos/bad.png").write_text("no picture")
    return tmp_path / "photos"


def lines() -> list[dict[str, Any]]:
    return records(Path("out/index.jsonl").read_text())


def maps() -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(Path("out").glob("*.npy"))}


def images(capsys: pytest.CaptureFixture[str], *more: str, code: int = 1) -> list[str]:
    """The files that a run explained."""
    assert run([*EXPLAIN, *more]) == code
    return [Path(record["image"]).name for record in records(capsys.readouterr().out)]


def test_a_folder_is_explained_and_listed(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert images(capsys) == ["1.png", "2.png", "cat.png", "cat.bmp", "dog.png"]
    assert list(maps()) == [f"{stem}-saliency.npy" for stem in ("1", "2", "cat-2", "cat", "dog")]
    failed, first, *_, last = lines()
    assert (failed["source"], failed["files"]) == (str(photos / "bad.png"), [])
    assert "no picture" in failed["error"]
    assert first["digest"] == "sha256:" + onnxray.support.fingerprint.file_digest(photos / "1.png")
    assert (first["target"], first["label"], first["files"]) == (6, "6", ["1-saliency.npy"])
    direct = Explainer(DIGITS, threads=1)(photos / "b/dog.png")
    np.testing.assert_allclose(np.load(f"out/{last['files'][0]}"), direct.map()[0], rtol=0, atol=1e-6)
    assert last["score"] == pytest.approx(float(direct.score[0]), abs=1e-5)


@pytest.mark.slow
def test_the_last_line_counts(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(EXPLAIN) == 1
    error, last = capsys.readouterr().err.splitlines()
    assert "bad.png cannot be read as a picture" in error
    assert last.startswith("onnxray: 6 files: 5 done, 1 failed, 0 skipped, in ")
    assert last.endswith(" s -> out/index.jsonl")
    assert run(["explain", DIGITS, "photos/[12].png", "--save", "map"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].startswith("2 files: 2 done, 0 failed, 0 skipped")


# Batches ------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("size", "runs"), [("1", 5), ("2", 3), ("16", 1)])
def test_batches(
    size: str, runs: int, photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = runtime.Session.run, []
    monkeypatch.setattr(runtime.Session, "run", lambda *given: calls.append(1) or real(*given))
    assert len(images(capsys, "--batch-size", size)) == 5
    assert len(calls) == runs


@pytest.mark.slow
def test_pictures_of_two_shapes_are_two_batches(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A net of any size: the sum of squares, whose gradient is twice the input."""
    proto = onnx_of("net (float[N, 1, H, W] x) => (float[N, 1] y) {s = ReduceSumSquare <keepdims = 0> (x, a) "
                    "y = Unsqueeze (s, b)}")  # fmt: skip
    Path("any.onnx").write_bytes(proto)
    for k, size in enumerate([(5, 4), (3, 3), (5, 4)]):
        Image.new("L", size, 51 * (k + 1)).save(f"photos/{k}.bmp")
    command = ["explain", "any.onnx", "photos/*.bmp", "--preprocess", "unit", "--save", "map", "--json"]
    assert run(command) == 0
    for k, shape in enumerate([(4, 5), (3, 3), (4, 5)]):
        np.testing.assert_allclose(np.load(f"out/{k}-saliency.npy"), np.full(shape, 0.4 * (k + 1)), rtol=1e-6)
    assert [record["score"] for record in records(capsys.readouterr().out)] == pytest.approx([0.8, 1.44, 7.2])


def onnx_of(text: str) -> bytes:
    import onnx

    axes = "int64[3] a = {1, 2, 3}, int64[1] b = {1}"
    head = '<ir_version: 8, opset_import: ["" : 18]>'
    named, body = text.split(" => ")
    outputs, nodes = body.split(" {", 1)
    return onnx.parser.parse_model(f"{head} {named} => {outputs} <{axes}> {{{nodes}").SerializeToString()


@pytest.mark.slow
def test_a_map_that_is_zero_is_told_of_its_file(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proto = onnx_of("net (float[N, 1, 4, 4] x) => (float[N, 1] y) {r = Relu (x) s = ReduceSum <keepdims = 0> (r, a) "
                    "y = Unsqueeze (s, b)}")  # fmt: skip
    Path("relu.onnx").write_bytes(proto)
    for name, grey in (("dark", 0), ("light", 200)):
        Image.new("L", (4, 4), grey).save(f"photos/{name}.bmp")
    assert run(["explain", "relu.onnx", "photos/*.bmp", "--preprocess", "unit,range=-0.5/0.5", "--save", "map"]) == 0
    first, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith("onnxray: warning: photos/dark.bmp: the saliency map is zero everywhere: ")


# What is written ----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_kinds_of_results_are_chosen(photos: Path) -> None:
    command = ["explain", DIGITS, DIGIT, "-m", "grad-cam", "--preprocess", "unit,size=28x28"]
    assert run([*command, "--save", "npz,map"]) == 0
    assert sorted(file.name for file in Path("out").glob("digit*")) == ["digit-grad-cam.npy", "digit-grad-cam.npz"]
    held = Attribution.load("out/digit-grad-cam.npz")
    assert held.pictures == ()
    np.testing.assert_array_equal(np.load("out/digit-grad-cam.npy"), held.map()[0])
    assert np.load("out/digit-grad-cam.npy").dtype == np.float32
    assert Path("out/digit-grad-cam.npz").stat().st_size < 4000
    assert run([*command, "--npz", "--reduce", "sum"]) == 0
    assert lines()[-1]["files"] == ["digit-grad-cam.png", "digit-grad-cam.npz"]


@pytest.mark.slow
def test_a_table_has_features_but_no_chart_without_png(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", CANCER, ROWS, "--json", "--save", "map"]) == 0
    first, second = records(capsys.readouterr().out)
    assert (len(first["features"]), second["files"]) == (30, ["out/breast_cancer-row1-saliency.npy"])
    assert [(line["example"], line["examples"], "features" in line) for line in lines()] == [
        (0, 2, False),
        (1, 2, False),
    ]


@pytest.mark.parametrize("kinds", ["jpg", "", "png,,map"])
def test_an_unknown_kind_is_one_line(kinds: str, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "choose from png, npz, map" in one_line([*EXPLAIN[:3], "--save", kinds], capsys)


@pytest.mark.slow
def test_results_do_not_go_where_pictures_come_from(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "name another folder with --out" in one_line([*EXPLAIN, "--out", "./photos"], capsys)
    assert images(capsys, "--out", "photos/maps") == images(capsys, "--out", "photos/maps")


def test_names_of_rows_are_not_those_of_files(photos: Path) -> None:
    files = [Path(name) for name in ("x/two.npz", "y/two-row0.png", "z/TWO-row1-box2.png", "w/a-row0.png", "w/a.npz")]
    assert [one.stem for one in claim_stems(files, photos)] == ["two", "two-row0-2", "TWO-row1-box2-2", "a-row0", "a-2"]


def test_runs_at_one_time_take_different_names(photos: Path) -> None:
    (photos.parent / "out").mkdir()
    files = [photos / f"{k}/cat.png" for k in range(8)]
    found: dict[Path, str] = {}

    def claim(file: Path) -> None:
        found[file] = claim_stems([file], photos.parent / "out")[0].stem

    runs = [threading.Thread(target=claim, args=(file,)) for file in files]
    for one in runs:
        one.start()
    for one in runs:
        one.join()
    assert len(set(found.values())) == 8
    assert set(json.loads((photos.parent / "out/sources.json").read_text())) == set(found.values())


# A second run -------------------------------------------------------------------------------------------------


def test_resume_does_what_is_not_done(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(images(capsys)) == 5
    first = maps()
    assert images(capsys, "--resume") == []  # but the one that failed is tried again
    Image.open(photos / "2.png").rotate(90).save(photos / "2.png")
    Path("out/dog-saliency.npy").unlink()
    Path("out/cat-saliency.npy").write_bytes(b"")
    shutil.copy(photos / "1.png", photos / "new.png")
    assert images(capsys, "--resume") == ["2.png", "new.png", "cat.png", "dog.png"]
    assert {name for name, content in maps().items() if first.get(name) != content} == {
        "2-saliency.npy",
        "new-saliency.npy",
    }
    shutil.copy(photos / "1.png", photos / "bad.png")
    assert images(capsys, "--resume", code=0) == ["bad.png"]
    assert images(capsys, "--resume", code=0) == []


@pytest.mark.slow
@pytest.mark.parametrize("other", [["--target", "3"], ["--reduce", "sum"], ["--preprocess", "unit,range=0/2"]])
def test_other_settings_are_other_results(other: list[str], photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(images(capsys)) == 5
    assert len(images(capsys, "--resume", *other)) == 5
    assert len(images(capsys, "--resume")) == 5  # whose files have been overwritten meanwhile
    assert images(capsys, "--resume") == []
    assert run([*EXPLAIN, "--resume", *other]) == 1
    assert "6 of 6 files were explained by other settings" in capsys.readouterr().err


@pytest.mark.slow
def test_the_batch_size_and_other_methods_change_nothing(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(images(capsys)) == 5
    assert len(images(capsys, "-m", "input-x-gradient")) == 5
    assert images(capsys, "--resume", "--batch-size", "3") == []


@pytest.mark.slow
def test_a_line_that_was_cut_off_is_done_again(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(images(capsys)) == 5
    index = Path("out/index.jsonl")
    index.write_bytes(index.read_bytes()[:-40])
    assert images(capsys, "--resume") == ["dog.png"]
    assert images(capsys, "--resume") == []


def test_an_index_of_something_else_is_left_alone(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out").mkdir()
    Path("out/index.jsonl").write_text('{"title": "mine"}\n')
    assert "is not the index of results" in one_line(EXPLAIN, capsys)
    assert Path("out/index.jsonl").read_text() == '{"title": "mine"}\n'


@pytest.mark.slow
def test_interrupted_and_resumed(
    photos: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(images(capsys, "--batch-size", "2")) == 5
    undisturbed, real, calls = maps(), runtime.Session.run, []
    shutil.rmtree("out")

    def second(self: runtime.Session, *given: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, *given)

    with monkeypatch.context() as patched:
        patched.setattr(runtime.Session, "run", second)
        assert run([*EXPLAIN, "--batch-size", "2"]) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("onnxray: interrupted: 3 of 6 done, ")  # one of them failed
    assert last.endswith("; the same command with --resume goes on")
    assert images(capsys, "--batch-size", "2", "--resume") == ["cat.png", "cat.bmp", "dog.png"]
    assert maps() == undisturbed


def test_a_full_disk_ends_the_run(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", full)
    assert run(EXPLAIN) == 2
    assert [line["source"] for line in lines()] == [str(photos / "bad.png"), str(photos / "1.png")]
