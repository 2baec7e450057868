"""`onnxray verify`: agrees where the gradient is right, says so where it is not, and needs no second builder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnxray.autodiff.registry import RULES, Rule
from onnxray.backends import BACKENDS
from onnxray.cli.training import training, verify_command
from onnxray.diagnostics.verification import verify
from onnxray.errors import InputError
from training_tools import model, numbers, with_weights
from typer import Typer
from typer.testing import CliRunner

BODY = "{ c = Conv(x, w) r = Relu(c) d = Conv(r, v) g = GlobalAveragePool(d) y = Flatten(g) }"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = with_weights(model(BODY, "float[N,3,8,8] x", "float[N,4] y"), w=(4, 3, 3, 3), v=(4, 4, 3, 3))
    onnx.save(made, tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


@pytest.fixture
def wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The portable rule of Relu lets everything through, so both builders' lowered graphs are wrong alike."""
    rules = dict(RULES)
    rules["", "Relu"] = Rule(lambda g, node, dy: g.Mul(dy, g.constant(1.0, ir.DataType.FLOAT)), 1)
    monkeypatch.setattr("onnxray.autodiff.registry._rules", rules)


def test_all_ways_agree(file: Path) -> None:
    found = verify(str(file))
    assert found.agrees
    assert [finding.path.split(",")[0] for finding in found.findings] == [
        *(builder for builder, _ in BACKENDS),
        "central differences",
    ]
    assert len(found.findings) == len(BACKENDS) + 1  # every backend, and central differences
    assert [finding.memory is None for finding in found.findings] == [False, False, True, True]
    assert all(finding.difference is not None for finding in found.findings[1:])
    assert all(finding.seconds is not None for finding in found.findings)


def test_on_given_inputs(file: Path) -> None:
    assert verify(str(file), numbers(3, 3, 8, 8)).agrees


def test_a_wrong_rule_is_found(file: Path, wrong: None) -> None:
    found = verify(str(file))
    assert not found.agrees
    _, lowered, raw, differences = found.findings
    assert lowered.agrees  # by the same rule
    assert not raw.agrees
    assert not differences.agrees


@pytest.mark.slow
def test_without_the_training_build(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from onnxray.training.client import worker

    worker().close()
    monkeypatch.setenv("ONNXRAY_TRAINING_HOME", str(tmp_path))
    found = verify(str(file))
    assert found.agrees
    assert "onnxray training install" in found.findings[1].note


def test_an_open_size_needs_inputs() -> None:
    made = model("{ g = GlobalAveragePool(x) y = Flatten(g) }", "float[N,3,H,W] x", "float[N,3] y")
    with pytest.raises(InputError, match="size of input 'x' is open"):
        verify(made)
    assert verify(made, numbers(1, 3, 8, 8)).agrees


# The command line --------------------------------------------------------------------------------------------


@pytest.fixture
def commands() -> Typer:
    """The commands as the program has them."""
    own = Typer()
    own.command("verify")(verify_command)
    own.add_typer(training, name="training")
    return own


def test_exit_code_0_and_a_table(commands: Typer, file: Path) -> None:
    done = CliRunner().invoke(commands, ["verify", str(file)])
    assert done.exit_code == 0, done.output
    assert "portable" in done.output
    assert "DIFFERS" not in done.output


def test_exit_code_1_and_json(commands: Typer, file: Path, wrong: None) -> None:
    done = CliRunner().invoke(commands, ["verify", str(file), "--json"])
    assert done.exit_code == 1
    record = json.loads(done.stdout)
    assert record["agrees"] is False
    assert [path["agrees"] for path in record["paths"]] == [True, True, False, False]


def test_arrays_on_the_command_line(commands: Typer, file: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", numbers(3, 8, 8))
    done = CliRunner().invoke(commands, ["verify", str(file), str(tmp_path / "x.npy"), "--directions", "2", "--json"])
    assert done.exit_code == 0, done.output


def test_status(commands: Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = CliRunner().invoke(commands, ["training", "status", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)["installed"] is True
    monkeypatch.setenv("ONNXRAY_TRAINING_HOME", str(tmp_path))
    done = CliRunner().invoke(commands, ["training", "status"])
    assert done.exit_code == 1
    assert "onnxray training install" in done.output
