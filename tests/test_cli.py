"""The command line: what it prints, writes and returns, for good and for bad input."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import typer.main
from cli_reference import reference
from onnxray import Attribution, Explainer, errors, runtime
from onnxray.cli import app, run
from onnxray.labels import parse_target, read_labels
from onnxray.models import path
from PIL import Image

DATA = Path(__file__).parents[2] / "shared" / "data"
DIGITS, DIGIT, CANCER, ROWS = (
    str(path(name)) for name in ("digits.onnx", "digit.png", "breast_cancer.onnx", "breast_cancer.csv")
)
COMMANDS = sorted(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the real models and pictures of shared/data are not here")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def records(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def table() -> list[list[str]]:
    return list(csv.reader(Path(ROWS).read_text().splitlines()))


def last_convolution() -> str:
    return [node for node in onnx.load(DIGITS).graph.node if node.op_type == "Conv"][-1].name


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    text = capsys.readouterr().out
    assert "Example:" in text
    assert f"onnxray {command}" in text.split("Example:")[1]


def test_docs_are_current() -> None:
    page = Path(__file__).parents[1] / "docs" / "cli.md"
    assert page.read_text() == reference(), "run: python tests/cli_reference.py > docs/cli.md"


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    text = capsys.readouterr().out
    assert all(command in text for command in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.startswith("onnxray 0.")


def test_explain_prints_one_record_per_image(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", DIGITS, DIGIT, DIGIT, "--json", "--npz", "--out", "o"]) == 0
    first, second = records(capsys.readouterr().out)
    assert list(first) == ["image", "method", "target", "label", "score", "files"]
    assert (first["image"], first["method"], first["label"]) == (DIGIT, "saliency", str(first["target"]))
    assert first["files"] == ["o/digit-saliency.png", "o/digit-saliency.npz"]
    assert second["files"] == ["o/digit-2-saliency.png", "o/digit-2-saliency.npz"]
    kept, direct = Attribution.load(first["files"][1]), Explainer(DIGITS)(DIGIT)
    np.testing.assert_array_equal(np.asarray(kept.values), np.asarray(direct.values))
    assert first["score"] == pytest.approx(float(direct.score[0]))


def test_explain_prints_lines_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", DIGITS, DIGIT, "-m", "grad-cam", "--target", "3"]) == 0
    out, err = capsys.readouterr()
    assert "class 3, score " in out
    assert "-> out/digit-grad-cam.png" in out
    assert err == ""


def test_methods_options_reach_the_method(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["-m", "integrated-gradients", "--steps", "7", "--rule", "inclusive", "--baseline", "0.5", "--json"]
    assert run(["explain", DIGITS, DIGIT, *arguments]) == 0
    (record,) = records(capsys.readouterr().out)
    direct = Explainer(DIGITS, "integrated-gradients", steps=7, rule="inclusive", baseline=0.5)(DIGIT)
    assert direct.delta is not None
    assert record["delta"] == pytest.approx(float(direct.delta[0]), abs=1e-5)


@pytest.mark.parametrize("method", ["occlusion", "smoothgrad", "grad-cam"])
def test_options_with_lists_switches_and_defaults(method: str) -> None:
    options = {
        "occlusion": ["--window", "1,9,9", "--stride", "5", "--overlap", "sum"],
        "smoothgrad": ["--samples", "3", "--noise", "0.1", "--seed", "1", "--memory", "10MB", "--threads", "1"],
        "grad-cam": ["--layer", last_convolution(), "--no-relu"],
    }[method]
    assert run(["explain", DIGITS, DIGIT, "-m", method, *options]) == 0


@pytest.mark.parametrize("style", ["figure", "overlay", "map"])
def test_styles(style: str) -> None:
    assert run(["explain", DIGITS, DIGIT, "--style", style, "--palette", "bwr", "--reduce", "sum"]) == 0
    width, height = Image.open("out/digit-saliency.png").size
    assert width > 2 * height if style == "figure" else width == height == 224


def test_table_rows_are_ranked(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", CANCER, ROWS, "-m", "integrated-gradients", "--json"]) == 0
    found = records(capsys.readouterr().out)
    assert [record["row"] for record in found] == [0, 1]
    assert [record["label"] for record in found] == ["malignant", "benign"]
    sizes = [abs(feature["attribution"]) for feature in found[0]["features"]]
    assert sizes == sorted(sizes, reverse=True)
    assert {feature["name"] for feature in found[0]["features"]} == set(table()[0])
    assert all(Path(file).is_file() for record in found for file in record["files"])


def test_table_text_names_the_strongest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", CANCER, ROWS, "--target", "benign"]) == 0
    text = capsys.readouterr().out
    assert text.count("and 20 smaller ones") == 2
    assert text.count("benign (1)") == 2


def test_table_columns_go_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    rows = table()
    with Path("turned.csv").open("w", newline="") as file:
        csv.writer(file).writerows([*row[::-1], "extra" if k == 0 else "text"] for k, row in enumerate(rows))
    assert run(["explain", CANCER, ROWS, "turned.csv", "--json"]) == 0
    found = records(capsys.readouterr().out)
    assert [record["score"] for record in found[:2]] == [record["score"] for record in found[2:]]


def test_arrays_single_and_batch(capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    np.save("one.npy", rng.random((1, 28, 28), np.float32))
    np.savez("two.npz", image=rng.random((2, 1, 28, 28)))
    assert run(["explain", DIGITS, "one.npy", "two.npz", "--json"]) == 0
    files = [file for record in records(capsys.readouterr().out) for file in record["files"]]
    assert files == ["out/one-saliency.png", "out/two-row0-saliency.png", "out/two-row1-saliency.png"]


def test_activations(capsys: pytest.CaptureFixture[str]) -> None:
    layer = last_convolution()
    assert run(["activations", DIGITS, DIGIT, "-l", layer, "-l", "logits", "--npz", "--json"]) == 0
    maps, logits = records(capsys.readouterr().out)
    assert (maps["layer"], logits["shape"]) == (layer, [1, 10])
    assert np.load(maps["files"][1])[layer].shape == tuple(maps["shape"])
    assert Image.open(maps["files"][0]).size[0] > 224


def test_methods_lists_all(capsys: pytest.CaptureFixture[str]) -> None:
    from onnxray import METHODS

    assert run(["methods"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in METHODS)
    assert run(["methods", "--json"]) == 0
    listed = {method["name"]: method for method in json.loads(capsys.readouterr().out)}
    assert listed["integrated-gradients"]["paper"] == "Sundararajan et al., 2017, arXiv:1703.01365"
    assert {"name": "steps", "type": "int", "default": 50} in listed["integrated-gradients"]["options"]


def test_every_method_option_is_an_option() -> None:
    from onnxray.catalogue import method_options

    group = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    for command in ("explain", "save"):
        assert set(method_options()) <= {parameter.name for parameter in group[command].params}


def test_save_writes_an_explainer(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["save", DIGITS, "explainer.onnx", "-m", "integrated-gradients", "--steps", "3"]) == 0
    assert capsys.readouterr().out == "explainer.onnx\n"
    outputs = [output.name for output in onnx.load("explainer.onnx").graph.output]
    assert outputs[-2:] == ["score", "attribution"]


def test_demo(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--out", "shown"]) == 0
    text = capsys.readouterr().out
    assert {str(file) for file in Path("shown").iterdir()} == {
        word for word in text.replace(",", " ").split() if word.startswith("shown")
    }
    assert len(list(Path("shown").iterdir())) == 9


def one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The message of a run that must fail with exit code 2, nothing on stdout and one line on stderr."""
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("onnxray: error: ")
    return err


BAD = {
    "unknown layer": (["-m", "grad-cam", "--layer", "nowhere"], "nowhere"),
    "layer for a method without": (["--layer", "conv1"], "takes no layer"),
    "class out of range": (["--target", "10"], "out of range"),
    "unknown label": (["--target", "cat"], "the labels are 0, 1"),
    "tuple of wrong length": (["--target", "0,5"], "(0, 5)"),
    "unknown method": (["-m", "magic"], "there are: saliency"),
    "option of another method": (["--steps", "3"], "has no option 'steps'"),
    "unknown option": (["--stepz", "3"], "onnxray explain --help"),
    "no number": (["-m", "integrated-gradients", "--baseline", "x"], "'x' is no number"),
    "unavailable provider": (["--provider", "nowhere"], "no execution provider 'nowhere'"),
    "unknown palette": (["--palette", "mud"], "choose from jet"),
    "unknown preset": (["--preprocess", "mud"], "imagenet"),
    "bad change of a preset": (["--preprocess", "unit,size=wide"], "size=wide"),
    "bad memory": (["--memory", "lots"], "512MB"),
    "unknown score": (["--score", "nowhere"], "nowhere"),
    "no folder": (["--out", "/dev/null/out"], "/dev/null/out"),
    "missing labels": (["--labels", "nowhere.txt"], "nowhere.txt"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_options_are_one_line(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, said = BAD[case]
    assert said in one_line(["explain", DIGITS, DIGIT, *arguments], capsys)


@pytest.mark.parametrize("command", [["explain"], ["inspect"], ["save"]])
@pytest.mark.parametrize("content", [Path(DIGITS).read_bytes()[:2000], b"hello world\n", b"", None])
def test_bad_models_are_one_line(command: list[str], content: bytes | None, capsys: pytest.CaptureFixture[str]) -> None:
    if content is not None:
        Path("bad.onnx").write_bytes(content)
    rest = {"explain": [DIGIT], "save": ["out.onnx"], "inspect": []}[command[0]]
    assert "bad.onnx" in one_line([*command, "bad.onnx", *rest], capsys)


@pytest.mark.parametrize("name", ["bad.png", "bad.npy", "bad.npz", "bad.csv", "missing.png", "missing.csv"])
def test_bad_files_are_one_line(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name.startswith("bad"):
        Path(name).write_text("a,b\n1,x\n")
    model = CANCER if name.endswith(".csv") else DIGITS
    assert name in one_line(["explain", model, name], capsys)


def test_wrong_shapes_and_nan_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("wide.npy", np.zeros((1, 1, 28, 29), np.float32))
    np.save("nan.npy", np.full((1, 1, 28, 28), np.nan, np.float32))
    assert "wide.npy: input 'image' has shape" in one_line(["explain", DIGITS, "wide.npy"], capsys)
    assert "nan.npy: input 'image' holds NaN" in one_line(["explain", DIGITS, "nan.npy"], capsys)


def test_a_picture_for_a_table_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "give an array" in one_line(["explain", CANCER, DIGIT], capsys)


def test_save_spares_the_model(capsys: pytest.CaptureFixture[str]) -> None:
    Path("model.onnx").write_bytes(Path(DIGITS).read_bytes())
    assert "is the model itself" in one_line(["save", "model.onnx", "./model.onnx"], capsys)


def test_one_bad_image_among_many(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.png").write_text("no picture")
    assert run(["explain", DIGITS, "bad.png", DIGIT, "--json"]) == 1
    out, err = capsys.readouterr()
    assert [record["image"] for record in records(out)] == [DIGIT]
    assert err.count("\n") == 1
    assert "bad.png" in err


def test_all_bad(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", DIGITS, "a.png", "b.png"]) == 2
    assert capsys.readouterr().err.count("\n") == 2
    assert run(["explain", DIGITS, DIGIT, DIGIT, DIGIT, "--target", "77"]) == 2
    first, rest = capsys.readouterr().err.splitlines()
    assert "out of range" in first
    assert "the same for 2 more" in rest


def test_warnings_are_one_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.load(DIGITS)
    del model.metadata_props[:]
    onnx.save(model, "bare.onnx")
    assert run(["explain", "bare.onnx", DIGIT, DIGIT]) == 0
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith("onnxray: warning: the range of the pixels is unknown")


def test_no_runtime_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install 'onnxray[cpu]'" in one_line(["explain", DIGITS, DIGIT], capsys)
    assert run(["inspect", DIGITS]) == 0


def test_a_failure_of_the_runtime_spoils_one_file(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = runtime.Session.run, []

    def sometimes(self: runtime.Session, *arguments: object) -> object:
        calls.append(1)
        if len(calls) == 1:
            raise errors.OnnxrayError("onnxruntime: out of memory")
        return real(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(runtime.Session, "run", sometimes)
    assert run(["explain", DIGITS, DIGIT, DIGIT, "--json"]) == 1
    assert len(records(capsys.readouterr().out)) == 1


def test_interrupted_between_images(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = runtime.Session.run, []

    def sometimes(self: runtime.Session, *arguments: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(runtime.Session, "run", sometimes)
    assert run(["explain", DIGITS, DIGIT, DIGIT, "--json"]) == 130
    out, err = capsys.readouterr()
    assert Path(records(out)[0]["files"][0]).is_file()
    assert "Traceback" not in err


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from onnxray.cli import main; main()", *arguments]


def test_in_a_process_of_its_own() -> None:
    done = subprocess.run(command("explain", DIGITS, DIGIT, "--json"), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert records(done.stdout)[0]["image"] == DIGIT
    failed = subprocess.run(command("explain", DIGITS, "no.png"), capture_output=True, text=True, check=False)
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (2, "", 1)


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT to one process")
def test_ctrl_c() -> None:
    arguments = ("explain", DIGITS, *[DIGIT] * 2000, "--json", "-m", "occlusion")
    with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in err


def test_a_reader_that_leaves() -> None:
    arguments = ("explain", DIGITS, *[DIGIT] * 50, "--json")
    with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        err = running.stderr.read()
    assert running.returncode == 1
    assert err == ""


@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals on Windows")
def test_a_bar_on_a_terminal_leaves_stdout_alone() -> None:
    import pty

    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        command("explain", DIGITS, DIGIT, DIGIT, "--json", "-m", "occlusion"),
        stdout=subprocess.PIPE, stderr=theirs, text=True, env={**os.environ, "TERM": "xterm"},
    )  # fmt: skip
    os.close(theirs)
    out, _ = running.communicate(timeout=60)
    time.sleep(0.1)
    assert len(records(out)) == 2
    assert b"digit.png" in os.read(ours, 100_000)
    os.close(ours)


def test_labels(tmp_path: Path) -> None:
    texts = {"a.txt": "n01440764 tench, Tinca tinca\nn02 cat\n\n", "b.json": '["x", "y"]', "c.txt": '{"7": "seven"}'}
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    assert read_labels(tmp_path / "a.txt") == {0: "tench, Tinca tinca", 1: "n02 cat"}
    assert read_labels(tmp_path / "b.json") == {0: "x", 1: "y"}
    assert read_labels(tmp_path / "c.txt") == {7: "seven"}
    (tmp_path / "d.json").write_text('{"seven": 7')
    with pytest.raises(errors.InputError, match=r"d\.json"):
        read_labels(tmp_path / "d.json")


def test_targets() -> None:
    labels = {0: "tench, Tinca tinca", 1: "crane", 2: "crane", 3: "crane, machine"}
    assert parse_target("top1", labels) == "top1"
    assert parse_target("5", labels) == 5
    assert parse_target("0,5", labels) == (0, 5)
    assert parse_target("tinca TINCA", labels) == parse_target("tench, Tinca tinca", labels) == 0
    for text, said in {"crane": "several classes", "tensh": "did you mean 'tench, Tinca tinca'"}.items():
        with pytest.raises(errors.InputError, match=said):
            parse_target(text, labels)
    with pytest.raises(errors.InputError, match="--labels"):
        parse_target("tench", {})


@needs_data
@pytest.mark.parametrize("method", ["guided-backprop", "grad-cam"])
def test_a_doberman_is_named(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    model, picture = DATA / "onnx" / "mobilenetv2like_qdq_244.onnx", DATA / "images" / "doberman.png"
    options = ["-m", method, "--preprocess", "imagenet", "--labels", str(DATA / "synset.txt"), "--json"]
    assert run(["explain", str(model), str(picture), *options]) == 0
    (record,) = records(capsys.readouterr().out)
    assert (record["target"], record["label"]) == (236, "Doberman, Doberman pinscher")


@needs_data
def test_a_score_of_two_axes_is_a_tuple(capsys: pytest.CaptureFixture[str]) -> None:
    model, picture = DATA / "onnx" / "yolox_nano_224.onnx", DATA / "images" / "doberman.png"
    options = ["--preprocess", "none,channels=BGR", "--json"]
    assert run(["explain", str(model), str(picture), "--target", "500,4", *options]) == 0
    assert run(["explain", str(model), str(picture), *options]) == 0
    first, top = records(capsys.readouterr().out)
    assert first["target"] == [500, 4]
    assert len(top["target"]) == 2


def test_several_inputs_get_a_picture_each(capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [
        onnx.helper.make_node("ReduceMean", ["a"], ["m"], keepdims=0, axes=[1, 2, 3]),
        onnx.helper.make_node("ReduceSum", ["b"], ["s"], keepdims=0, axes=[1]),
        onnx.helper.make_node("Mul", ["m", "s"], ["p"]),
        onnx.helper.make_node("Unsqueeze", ["p"], ["y"], axes=[1]),
    ]
    shapes = {"a": ["N", 3, 8, 8], "b": ["N", 5], "y": ["N", 1]}
    a, b, y = (onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in shapes.items())
    graph = onnx.helper.make_graph(nodes, "two", [a, b], [y])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 11)], ir_version=8), "two.onnx")
    rng = np.random.default_rng(0)
    np.savez("both.npz", a=rng.random((2, 3, 8, 8)), b=rng.random((2, 5)))
    assert run(["explain", "two.onnx", "both.npz", "--json", "--npz"]) == 0
    first, _ = records(capsys.readouterr().out)
    names = ["both-row0-saliency-a.png", "both-row0-saliency-b.png", "both-row0-saliency.npz"]
    assert first["files"] == [f"out/{name}" for name in names]
    np.savez("one.npz", a=rng.random((2, 3, 8, 8)))
    assert "no array for input b" in one_line(["explain", "two.onnx", "one.npz"], capsys)
