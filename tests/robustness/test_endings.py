"""How a command ends: signals in native code, streams that take nothing, names that are no plain text, exit codes."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tomllib
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from cli_tools import DIGIT, DIGITS, one_line
from onnxray import runtime
from onnxray.cli import console_text, terminal
from onnxray.cli.app import run
from rich.console import Console

pytestmark = pytest.mark.usefixtures("elsewhere")
PROCESS = [sys.executable, "-c", "from onnxray.cli.app import main; main()"]
UNIX = pytest.mark.skipif(os.name == "nt", reason="Windows has neither these signals nor such names")
ESCAPES = "a\n\x1b[31m[red]x[bold].png"

LOADS = """<ir_version: 8, opset_import: ["" : 18]> net (float[n, 4] x) => (float[n, 4] y) {
  shape = Constant <value_ints = [5000, 5000]> ()  a = ConstantOfShape <value = float[1] {0.5}> (shape)
  b = MatMul (a, a)  c = MatMul (b, a)  d = MatMul (c, a)  e = ReduceMean (d)  y = Mul (x, e) }"""
RUNS = LOADS.replace("b = MatMul (a, a)", "s = ReduceSum <keepdims = 0> (x)  z = Mul (a, s)  b = MatMul (a, z)")


# Signals ------------------------------------------------------------------------------------------------------


@UNIX
@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "method", "done"),
    [
        (LOADS, "__init__", "nothing was written"),
        (RUNS, "run", "0% done, out/sources.json was written"),
    ],
)
@pytest.mark.parametrize(
    ("number", "said"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")], ids=["INT", "TERM"]
)
def test_native_code_is_left_within_two_seconds(
    text: str, method: str, done: str, number: signal.Signals, said: str
) -> None:
    onnx.save(onnx.parser.parse_model(text), "long.onnx")
    np.save("x.npy", np.ones((1, 4), np.float32))
    with started(method, "explain", "long.onnx", "x.npy", "--threads", "1") as running:
        assert running.stderr is not None
        assert running.stderr.readline() == "busy\n"
        time.sleep(1)
        assert running.poll() is None
        running.send_signal(number)
        begun = time.monotonic()
        out, err = running.communicate(timeout=60)
    assert time.monotonic() - begun < 2
    assert (running.returncode, out) == (128 + number, "")
    assert err == f"onnxray: {said}: {done}\n"


@pytest.mark.slow
@UNIX
@pytest.mark.parametrize(("number", "said"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")])
def test_signals_are_answered_while_the_package_is_imported(number: signal.Signals, said: str) -> None:
    code = f"""import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
class Finder:
    def find_spec(self, name, *_):
        if name == "onnxray.methods":
            os.kill(os.getpid(), {int(number)})
sys.meta_path.insert(0, Finder())
signal.signal(signal.SIGINT, signal.default_int_handler)
from onnxray_command import main
main()"""
    done = subprocess.run([sys.executable, "-c", code, "methods"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (128 + number, "")
    assert done.stderr == f"onnxray: {said}: nothing was written\n"


def test_the_command_is_the_one_that_answers() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert project["project"]["scripts"] == {"onnxray": "onnxray_command:main"}
    assert project["tool"]["setuptools"]["py-modules"] == ["onnxray_command"]


def started(method: str, *arguments: str) -> subprocess.Popen[str]:
    """A command that says so when it calls a method of onnxruntime's session."""
    code = f"""import onnxruntime, signal, sys
real = onnxruntime.InferenceSession.{method}
def busy(*arguments, **options):
    print("busy", file=sys.stderr, flush=True)
    return real(*arguments, **options)
onnxruntime.InferenceSession.{method} = busy
signal.signal(signal.SIGINT, signal.default_int_handler)
from onnxray.cli.app import main
main()"""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_an_interruption_says_what_was_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = runtime.Session.run, []

    def third(self: runtime.Session, *arguments: object) -> object:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(runtime.Session, "run", third)
    assert run(["explain", DIGITS, DIGIT, DIGIT, DIGIT, "--json", "--batch-size", "1"]) == 130
    last = capsys.readouterr().err.splitlines()[-1]
    said = "interrupted: 2 of 3 done, 3 files were written in out"  # one is sources.json
    assert last == f"onnxray: {said}; the same command with --resume goes on"


# Streams ------------------------------------------------------------------------------------------------------


@UNIX
@pytest.mark.slow
@pytest.mark.parametrize(
    ("redirect", "code"),
    [(">&-", 2), ("2>&-", 0), (">&- 2>&-", 2)],
)
def test_closed_streams(redirect: str, code: int) -> None:
    done = shell(f"save {DIGITS} explainer.onnx {redirect}")
    assert done.returncode == code
    said = "onnxray: error: stdout cannot be written: it is closed\n"
    assert done.stderr == (said if redirect == ">&-" else "")
    onnx.checker.check_model("explainer.onnx")


@UNIX
@pytest.mark.slow
@pytest.mark.parametrize("redirect", ["2>/dev/full", "2>&-"])
def test_errors_never_go_to_stdout(redirect: str) -> None:
    done = shell(f"explain {DIGITS} nowhere.png {redirect}")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


def shell(line: str) -> subprocess.CompletedProcess[str]:
    command = f'"{sys.executable}" -c "from onnxray.cli.app import main; main()" {line}'
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)


# Names --------------------------------------------------------------------------------------------------------


@UNIX
def test_names_are_printed_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.load(DIGITS)
    model.graph.node[0].name = "conv\x1b[2J\u202e[red]"
    model.graph.name = "[/]"
    onnx.save(model, "m\x1b.onnx")
    shutil.copy(DIGIT, ESCAPES)
    for arguments in (["inspect", "m\x1b.onnx"], ["explain", "m\x1b.onnx", ESCAPES], ["explain", DIGITS, "\x1b\n.png"]):
        run(arguments)
        out, err = capsys.readouterr()
        assert not {"\x1b", "\u202e", "\r"} & {*out, *err}
        assert r"\x1b" in out + err
    assert run(["explain", DIGITS, ESCAPES]) == 0
    assert r"a\n\x1b[31m[red]x[bold].png: class" in capsys.readouterr().out
    assert run(["inspect", "m\x1b.onnx", "--json"]) == 0
    assert any(layer["name"] == model.graph.node[0].name for layer in json.loads(capsys.readouterr().out)["layers"])


@pytest.mark.slow
@UNIX
@pytest.mark.skipif(sys.platform == "darwin", reason="file names of macOS are UTF-8")
def test_names_that_are_not_utf_8() -> None:
    name = os.fsdecode(b"caf\xe9.png")
    shutil.copy(DIGIT, name)
    plain = subprocess.run([*PROCESS, "explain", DIGITS, name], capture_output=True, check=False)
    assert (plain.returncode, plain.stderr) == (0, b"")
    assert plain.stdout.startswith(rb"caf\udce9.png: class 6")
    as_json = subprocess.run([*PROCESS, "explain", DIGITS, name, "--json"], capture_output=True, check=False)
    record = json.loads(as_json.stdout.decode())
    assert record["image"] == name
    assert Path(record["files"][0]).is_file()


def test_a_stdout_of_few_letters(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    assert terminal._encodable("naïve – 犬", stream) == r"na\xefve \u2013 \u72ac"


def test_markup_in_a_name_does_not_stop_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(terminal, "Console", partial(Console, file=screen, force_terminal=True, width=200))
    with terminal.progress_bar(2, worth=True) as step:
        step("x[/]\x1b[2J[red]", 1)
        time.sleep(0.2)  # the bar is drawn by a thread
    assert r"x[/]\x1b[2J[red]" in screen.getvalue()


# Outputs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--json", "model.onnx"], "model.onnx is an input; give each output a file of its own"),
        (["--golden", "digit.png"], "digit.png is an input"),
        (["--json", "gate.xml", "--junit", "gate.xml"], "gate.xml is given for two outputs"),
        (["--report", "model.onnx"], "model.onnx cannot be written: File exists"),
        (["--golden", "out"], "out cannot be written: Is a directory"),
    ],
)
def test_outputs_are_checked_before_the_work(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(DIGITS, "model.onnx")
    shutil.copy(DIGIT, "digit.png")
    Path("out").mkdir()
    monkeypatch.setattr("onnxray.cli.compare.compare", lambda *_, **__: pytest.fail("the work was begun"))
    assert said in one_line(["compare", "model.onnx", "model.onnx", "digit.png", *arguments], capsys)
    monkeypatch.setattr("onnxray.cli.evaluate.evaluate", lambda *_, **__: pytest.fail("the work was begun"))
    if "--golden" not in arguments and "--junit" not in arguments:
        assert said in one_line(["evaluate", "model.onnx", "digit.png", *arguments], capsys)
    assert Path("model.onnx").read_bytes() == Path(DIGITS).read_bytes()
    assert Path("digit.png").read_bytes() == Path(DIGIT).read_bytes()


def test_a_golden_file_and_a_report_of_one_run() -> None:
    """The report looks at the worst samples again, when the golden file is closed."""
    arguments = ["compare", DIGITS, DIGITS, DIGIT, "-m", "saliency", "-m", "input-x-gradient", "--no-layers"]
    assert run([*arguments, "--golden", "m.golden", "--report", "out"]) == 0
    assert all(method in Path("out/report.html").read_text() for method in ("saliency", "input-x-gradient"))
    with zipfile.ZipFile("m.golden") as file:
        assert file.namelist()[1:] == ["header.json"]


def test_a_failed_run_spares_the_golden_file_that_it_was_to_be_compared_with(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["-m", "saliency", "-m", "input-x-gradient", "--no-layers", "--golden", "m.golden"]
    assert run(["compare", DIGITS, DIGITS, DIGIT, *arguments]) == 0
    before = Path("m.golden").read_bytes()
    Path("bad.png").write_text("no picture")
    assert run(["compare", DIGITS, DIGITS, "bad.png", *arguments]) == 2
    assert run(["compare", "m.golden", DIGITS, DIGIT, *arguments]) == 2
    assert Path("m.golden").read_bytes() == before


# Exit codes ---------------------------------------------------------------------------------------------------


def broken(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(console_text, "print_methods", fail)


def test_a_mistake_of_ours_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    broken(KeyError("key"), monkeypatch)
    assert run(["methods"]) == 3
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("onnxray: unexpected error: KeyError: 'key'; this is a bug of onnxray, and --traceback")


@pytest.mark.parametrize("arguments", [["--traceback", "methods"], ["methods", "--traceback"]])
def test_a_traceback_is_shown_where_it_is_asked_for(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(KeyError("key"), monkeypatch)
    assert run(arguments) == 3
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert "in fail" in err


def test_too_little_memory_is_no_mistake_of_ours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(MemoryError(), monkeypatch)
    assert run(["methods"]) == 2
    assert "out of memory; give --memory a smaller size" in capsys.readouterr().err
