"""Unknown names: the error says which one may be meant, in the words of who gave it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import onnx
import onnxray
import pytest
from cli_tools import CANCER, DIGIT, DIGITS, ROWS, one_line
from onnxray import METHODS, ExecutionError, InputError
from onnxray.cli.app import app, run
from onnxray.cli.names import options_of
from onnxray.cli.terminal import as_typed, speaking_of
from onnxray.graph.failure import load_failure, run_failure
from onnxray.runtime import open_session
from onnxray.support.choice import alternatives, choose, nearest
from typer.main import get_command

pytestmark = pytest.mark.usefixtures("elsewhere")
ENGINE = Path(onnxray.__file__).parent
MEANT = {
    "gradcam": "grad-cam",
    "GradCAM": "grad-cam",
    "integrated_gradients": "integrated-gradients",
    "IntegratedGradients": "integrated-gradients",
    "ig": "integrated-gradients",
    "ixg": "input-x-gradient",
    "smooth_grad": "smoothgrad",
    "guided-backpropagation": "guided-backprop",
    "occlusions": "occlusion",
}


@pytest.mark.parametrize("given", MEANT)
def test_a_method_that_is_nearly_one(given: str) -> None:
    with pytest.raises(
        InputError, match=f"^no method '{given}'; did you mean '{MEANT[given]}'[?] choose from saliency"
    ):
        onnxray.Explainer(DIGITS, given)


def test_nothing_is_made_up() -> None:
    assert nearest("magic", METHODS) == []
    assert nearest("", METHODS) == []
    assert nearest("RELU1", ["relu1", "relu10", "conv"], most=2) == ["relu1", "relu10"]
    assert alternatives(3, ["one", "two"]) == "choose from one, two"
    assert choose("two", ("one", "two"), "number") == "two"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-m", "gradcam"], "no method 'gradcam'; did you mean 'grad-cam'?"),
        (["--palette", "Jet"], "did you mean 'jet'?"),
        (["--provider", "cpus"], "did you mean 'cpu'?"),
        (["--score", "outputs"], "did you mean 'output'?"),
        (["--preprocess", "imagnet"], "did you mean 'imagenet'?"),
        (["-m", "integrated-gradients", "--steps", "0"], "error: --steps 0: give a whole number"),
        (["--memory", "lots"], "error: --memory 'lots': give bytes"),
    ],
)
def test_at_a_shell(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in one_line(["explain", DIGITS, DIGIT, *arguments], capsys)


def test_options_of_methods_in_a_comparison(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["compare", DIGITS, DIGITS, DIGIT, "-m", "integrated-gradients", "--option", "steps=0"]
    assert "error: --option steps=0: give a whole number" in one_line(arguments, capsys)


def test_python_speaks_of_arguments() -> None:
    with pytest.raises(InputError, match=r"^steps=0: give"):
        onnxray.Explainer(DIGITS, "integrated-gradients", steps=0)


def test_arguments_as_options() -> None:
    with speaking_of() as options:
        options.update({"layer": "--layer", "allow_pickle": "--allow-pickle", "steps": "--option steps="})
        assert as_typed("name a layer with layer=, such as layer='a'") == (
            "name a layer with --layer, such as --layer 'a'"
        )
        assert as_typed("pass allow_pickle=True; steps=3 is") == "pass --allow-pickle; --option steps=3 is"
        assert as_typed("'layer=1' and my.layer=1 and relayer=1") == "'layer=1' and my.layer=1 and relayer=1"
    assert as_typed("layer=") == "layer="


def test_every_argument_that_a_message_names_is_an_option() -> None:
    """Or one that only Python has, or part of what is typed behind an option."""
    group = get_command(app)
    known: set[str] = set()
    for name in group.commands:  # type: ignore[attr-defined]
        context = group.make_context("onnxray", [name, "--help"], resilient_parsing=True)
        context.invoked_subcommand = name
        known |= set(options_of(context))
    python = {"builder", "features", "rules", "size"}
    python |= {"channels", "measure"}  # of scores
    typed = {"name", "cats"}  # a model's name, of serve
    named = {word for file in ENGINE.rglob("*.py") for text in raised(file) for word in re.findall(r" (\w+)=", text)}
    assert "layer" in named
    assert named - known == python | typed


def raised(file: Path) -> list[str]:
    """The literal texts of the errors that a file raises."""
    raises = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Raise)]
    inside = [part for one in raises for part in ast.walk(one) if isinstance(part, ast.Constant)]
    return [one.value for one in inside if isinstance(one.value, str)]


def test_rows_count_from_0_in_results_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Path(ROWS).read_text().splitlines()
    Path("rows.csv").write_text("\n".join([*lines[:2], lines[2].replace(lines[2].split(",")[0], "x", 1)]))
    assert "rows.csv, row 1 (the first is row 0): 'x' under" in one_line(["explain", CANCER, "rows.csv"], capsys)
    assert run(["explain", CANCER, ROWS]) == 0
    assert ", row 0: " in capsys.readouterr().out


# Failures inside onnxruntime ----------------------------------------------------------------------------------


def reshape(name: str) -> onnx.ModelProto:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 18]> net (float[n] x, int64[k] s) => (float[] y) { y = Reshape (x, s) }'
    )
    model.graph.node[0].name = name
    return model


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/body/Reshape", "node '/body/Reshape' (Reshape)"),
        ("grad//body/conv 1/Reshape_2", "the gradient of node '/body/conv 1' (Reshape)"),
        ("grad/shadow/conv/Reshape", "the gradient of node 'conv' (Reshape)"),
        ("", "a node without a name (Reshape)"),
    ],
)
def test_a_failure_names_the_node_of_the_model(name: str, said: str, capfd: pytest.CaptureFixture[str]) -> None:
    session = open_session(reshape(name))
    with pytest.raises(ExecutionError) as caught:
        session.run({"x": np.ones(4, np.float32), "s": np.array([3])})
    assert not isinstance(caught.value, InputError)
    assert str(caught.value).startswith(f"onnxruntime failed in {said}: The input tensor cannot be reshaped")
    assert capfd.readouterr() == ("", "")


def test_inputs_that_do_not_fit_are_an_input_error(capfd: pytest.CaptureFixture[str]) -> None:
    session = open_session(reshape("r"))
    with pytest.raises(InputError, match="Unexpected input data type"):
        session.run({"x": np.ones(4), "s": np.array([4])})
    assert capfd.readouterr() == ("", "")


def test_a_graph_that_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    model = reshape("r")
    model.graph.node[0].op_type = "Nope"
    with pytest.raises(onnxray.ModelError, match="onnxruntime cannot load the model: This is an invalid model"):
        open_session(model)
    assert capfd.readouterr() == ("", "")


def test_other_words_of_onnxruntime() -> None:
    assert type(run_failure(MemoryError())) is ExecutionError
    assert str(load_failure(RuntimeError("bad allocation"))) == "onnxruntime cannot load the model: bad allocation"
    assert type(load_failure(RuntimeError("bad allocation"))) is ExecutionError
