"""`onnxray convert`: exit codes, one line for each error, the report of the checks; and what `inspect` makes of it."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxray
import pytest
from onnxray.cli.app import run
from onnxray.cli.convert import parse_inputs
from onnxray.converters import Spec

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnxscript", reason="onnxscript, which torch.onnx needs, is not installed")

NETS = """
from torch import nn

def build():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.Flatten(), nn.Linear(96, 5))

class Branch(nn.Linear):
    def __init__(self):
        super().__init__(3, 2)

    def forward(self, x):
        return super().forward(x) if x.sum() > 0 else -x[:, :2]

class Eigen(Branch):
    def forward(self, x):
        import torch
        return torch.linalg.eigvals(x[:, None] * x[..., None]).real

class Sum(nn.Module):
    def forward(self, left, right):
        return left + right.sum(1, keepdim=True)
"""

QUICKLY = ("--exporter", "legacy")  # where the exporter is not what is tested


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "nets_here", raising=False)
    Path("nets_here.py").write_text(NETS)


@pytest.fixture
def weights() -> str:
    """The state dict of the net above."""
    torch.manual_seed(0)
    scope: dict = {}
    exec(NETS, scope)
    torch.save(scope["build"]().state_dict(), "weights.pth")
    return "weights.pth"


def convert(*arguments: str) -> int:
    return run(["convert", *arguments, "-o", "model.onnx"])


def one_line(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The message of a conversion that must fail: exit code 2, one line on stderr, nothing else, no file."""
    assert convert(*arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("onnxray: error: ")
    assert not Path("model.onnx").exists()
    return err


def test_weights_with_a_factory_of_this_folder(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--factory", "nets_here:build", "--inputs", "1,3,8,8", "--check-gradients", "--json"]
    assert convert(weights, *options) == 0
    out, err = capsys.readouterr()
    assert err == ""
    report = json.loads(out)
    assert list(report) == ["source", "model", "opset", "parity", "layers", "missing", "gradients"]
    assert (report["source"], report["model"], report["opset"]) == (weights, "model.onnx", 18)
    assert report["parity"]["of_tolerance"] < 0.5
    assert report["parity"]["batch_sizes"] == [1, 4]
    assert set(report["layers"]) == {"0", "1", "2", "3", "4"}
    assert report["missing"] == {}
    assert report["gradients"]["input"]["relative_l2"] < 1e-4
    onnx.checker.check_model("model.onnx", full_check=True)


@pytest.mark.slow
def test_a_batch_of_one_size(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(weights, "--factory", "nets_here:build", "--inputs", "3,3,8,8", "--batch", "3", "--json") == 0
    assert json.loads(capsys.readouterr().out)["parity"]["batch_sizes"] == [3]
    shape = onnx.load("model.onnx").graph.input[0].type.tensor_type.shape
    assert [size.dim_value for size in shape.dim] == [3, 3, 8, 8]


@pytest.mark.slow
def test_the_report_for_people(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    np.save("rows.npy", np.ones((3, 3, 8, 8), np.float32))
    assert convert(weights, "--factory", "nets_here:build", "--inputs", "rows.npy", "--opset", "20") == 0
    text = capsys.readouterr().out
    assert text.startswith("weights.pth -> model.onnx (opset 20)\n")
    assert "at batch sizes 1, 3, 4" in text
    assert "5 layers by name, 0 without" in text


@pytest.mark.slow
def test_the_layers_of_the_framework_work_afterwards(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert(weights, "--factory", "nets_here:build", "--inputs", "1,3,8,8") == 0
    capsys.readouterr()
    assert run(["inspect", "model.onnx", "--json"]) == 0
    listed = {layer["name"]: layer for layer in json.loads(capsys.readouterr().out)["layers"]}
    assert (listed["0"]["op"], listed["2"]["op"]) == ("Conv", "Conv")
    assert list(listed)[:5] == ["0", "1", "2", "3", "4"]
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    scope: dict = {}
    exec(NETS, scope)
    net = scope["build"]()
    net.load_state_dict(torch.load(weights))
    wanted = net[:3](torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(onnxray.activations("model.onnx", x, ["2"])["2"], wanted, atol=1e-5)
    np.save("x.npy", x)
    for layer, size in (("0", 6), ("2", 4)):
        assert onnxray.explain("model.onnx", x, "grad-cam", layer=layer).values.shape == (2, size, size)
        assert run(["explain", "model.onnx", "x.npy", "-m", "grad-cam", "--layer", layer]) == 0
    assert run(["activations", "model.onnx", "x.npy", "--layer", "2"]) == 0


def test_a_keras_file(capsys: pytest.CaptureFixture[str]) -> None:
    keras = keras_here()
    layers = [keras.layers.Conv2D(3, 3, name="my conv"), keras.layers.Flatten(), keras.layers.Dense(2, name="probs")]
    keras.Sequential([keras.Input((6, 6, 1)), *layers]).save("net.keras")
    assert convert("net.keras", "--check-gradients", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert {"my conv", "probs"} <= set(report["layers"])
    assert all(entry["relative_l2"] < 1e-4 for entry in report["gradients"].values())
    assert run(["inspect", "model.onnx"]) == 0
    assert "my conv" in capsys.readouterr().out


def keras_here():
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras runs on another backend here")
    return keras


@pytest.mark.slow
def test_a_lambda_layer(capsys: pytest.CaptureFixture[str]) -> None:
    keras = keras_here()
    keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: 2 * x)]).save("net.keras")
    assert "pass --allow-lambda if you trust" in one_line(capsys, "net.keras")
    assert convert("net.keras", "--allow-lambda") == 0


@pytest.mark.slow
def test_code_is_announced_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    program = torch.export.export(torch.nn.Linear(3, 2).eval(), (torch.randn(5, 3),))
    torch.export.save(program, "net.pt2")
    assert convert("net.pt2", "--json") == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["parity"]["batch_sizes"] == [5]
    assert err.count("\n") == 1
    assert err.startswith("onnxray: warning: ")
    assert "code" in err


def test_a_pickle(capsys: pytest.CaptureFixture[str]) -> None:
    Path("net.pkl").write_bytes(pickle.dumps({"a": 1}))
    assert "--allow-pickle" in one_line(capsys, "net.pkl", "--inputs", "1,3")


def test_a_whole_module_only_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(torch.nn.Linear(3, 2), "net.pth")
    assert "--allow-pickle" in one_line(capsys, "net.pth", "--inputs", "1,3")
    assert convert("net.pth", "--inputs", "1,3", "--allow-pickle", *QUICKLY) == 0


BAD = {
    "no file": (["nowhere.pt"], "no such file"),
    "a text": (["nets_here.py"], "a text file, not a model"),
    "no factory": (["weights.pth", "--inputs", "1,3,8,8"], "--factory"),
    "unknown factory": (["weights.pth", "--inputs", "1,3,8,8", "--factory", "nets_here:nothing"], "nets_here:nothing"),
    "no inputs": (["weights.pth", "--factory", "nets_here:build"], "--inputs"),
    "inputs that are none": (["weights.pth", "--inputs", "1,3,a"], "'1,3,a'"),
    "inputs of no type": (["weights.pth", "--inputs", "1,3:mud", "--factory", "nets_here:build"], "mud"),
    "a missing array": (["weights.pth", "--inputs", "nowhere.npy"], "nowhere.npy"),
    "half of the names": (["weights.pth", "--inputs", "a=1,3", "--inputs", "1,3"], "name all inputs"),
    "inputs that do not fit": (["weights.pth", "--inputs", "1,4,8,8", "--factory", "nets_here:build"], "weights.pth"),
    "unknown exporter": (
        ["weights.pth", "--inputs", "1,3,8,8", "--factory", "nets_here:build", "--exporter", "mud"],
        "'mud'",
    ),
}


@pytest.mark.parametrize("case", [
    pytest.param(case, marks=pytest.mark.slow) if case == "inputs that do not fit" else case for case in BAD
])  # fmt: skip
def test_bad_sources_and_options_are_one_line(case: str, weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, said = BAD[case]
    assert said in one_line(capsys, *arguments)


@pytest.mark.slow
@pytest.mark.parametrize(("net", "said"), [("Branch", "torch.where or torch.cond"), ("Eigen", "--exporter 'legacy'")])
def test_models_that_no_graph_can_hold(net: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save(torch.nn.Linear(3, 2).state_dict(), "linear.pth")
    options = ["linear.pth", "--inputs", "1,3", "--factory", f"nets_here:{net}"]
    assert said in one_line(capsys, *options)
    assert "off by" in one_line(capsys, *options, "--exporter", "legacy") or net == "Eigen"


@pytest.mark.parametrize("output", ["nowhere/model.onnx", "weights.pth", "."])
def test_an_output_that_cannot_be(output: str, weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = Path(weights).read_bytes()
    assert run(["convert", weights, "-o", output]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert Path(weights).read_bytes() == before


def test_no_output_is_wrong_usage(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["convert", weights]) == 2
    assert "onnxray convert --help" in capsys.readouterr().err


def test_a_missing_framework(weights: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    assert "pip install 'onnxray[torch]'" in one_line(
        capsys, weights, "--inputs", "1,3", "--factory", "nets_here:build"
    )


def test_a_failed_check_writes_nothing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save(torch.nn.Linear(3, 2), "net.pth")
    monkeypatch.setattr("onnxray.cli.convert.engine_gradient", lambda model, feed: {k: 0 * v for k, v in feed.items()})
    options = ["--inputs", "1,3", "--allow-pickle", "--check-gradients", *QUICKLY]
    assert "gradient of input 'input' is off" in one_line(capsys, "net.pth", *options)


def test_inputs_as_text() -> None:
    assert parse_inputs([]) is None
    assert parse_inputs(["1,3,8,8"]) == [Spec((1, 3, 8, 8))]
    assert parse_inputs(["1x3x8"]) == [Spec((1, 3, 8))]
    assert parse_inputs(["a=?,9:int64", "b=1,2"]) == {"a": Spec((None, 9), "int64"), "b": Spec((1, 2))}


@pytest.mark.slow
def test_in_a_process_of_its_own(weights: str) -> None:
    order = [sys.executable, "-c", "from onnxray.cli.app import main; main()", "convert", weights, "-o", "model.onnx"]
    order += ["--factory", "nets_here:build", "--inputs", "1,3,8,8", "--json"]
    done = subprocess.run(order, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)["layers"]) == 5
