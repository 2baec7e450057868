"""Arguments that to_onnx cannot use: each is one line that says what to give, and none is passed over in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnxscript", reason="onnxscript, which torch.onnx needs, is not installed")

from onnxray.converters import Spec, to_onnx  # noqa: E402
from onnxray.errors import ConversionError, OutputError  # noqa: E402


def message(call, *arguments, **options):
    with pytest.raises(ConversionError) as caught:
        call(*arguments, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 500
    return text


SETTINGS = {
    "exporter": ["mud", None, 3],
    "opset": [3, 99, "18", 17.5, None, True],
    "batch": [0, -1, "2", True, 1.5],
    "tolerance": [0, -1, float("nan"), "x"],
    "seed": [-1, "a", 1.5, None],
    "check_gradients": [True, "yes"],
    "factory": [3, "mud", ":build", "nets:"],
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings(name):
    for value in SETTINGS[name]:
        assert message(to_onnx, torch.nn.Linear(3, 2), inputs=(1, 3), **{name: value}).startswith(f"{name}={value!r} ")


@pytest.mark.parametrize("dtype", ["mud", "str", "object", "complex64", "void", 3, None])
def test_types(dtype):
    assert message(Spec, (1, 3), dtype) == (
        f"inputs: {dtype!r} is no type of numbers; give one such as 'float32' or 'int64'"
    )
    assert Spec((1, 3), "bfloat16").dtype == "bfloat16"


@pytest.mark.parametrize("shape", ["abc", 3, (1, 2.5), (1, -3), [1, 3], None])
def test_shapes(shape):
    assert "is no shape" in message(Spec, shape)


class Unknown:
    """Something that is no input, whose repr holds no address: test ids must be those of the next run."""

    def __repr__(self):
        return "Unknown()"


BAD_INPUTS = ["mud", 3, [], {}, (), (1, -3), (1, "a"), [[1, 2], [3]], ["a"], [None], {"x": "mud"}, Unknown()]
BAD_ARRAYS = [np.zeros((0, 3), "f"), np.array(["a"]), np.float32(3), np.array([None, 1])]


@pytest.mark.parametrize("inputs", [*BAD_INPUTS, *BAD_ARRAYS], ids=repr)
def test_inputs(inputs):
    assert message(to_onnx, torch.nn.Linear(3, 2), inputs=inputs).startswith("inputs: ")


@pytest.mark.parametrize("inputs", [
    (1, 4), *(pytest.param(inputs, marks=pytest.mark.slow) for inputs in ({"mud": (1, 3)}, [(1, 3), (1, 3)]))
], ids=repr)  # fmt: skip
def test_inputs_that_the_module_does_not_take(inputs):
    assert "cannot be exported" in message(to_onnx, torch.nn.Linear(3, 2), inputs=inputs)


@pytest.mark.parametrize(
    "inputs", [{"mud": (1, 3)}, [(1, 3), (1, 3)], (1, 4), (1, 3, 3), np.ones((2, 4), "f")], ids=repr
)
def test_inputs_that_the_keras_model_does_not_take(inputs):
    keras = keras_here()
    model = keras.Sequential([keras.Input((3,), name="x"), keras.layers.Dense(2)])
    assert message(to_onnx, model, inputs=inputs).startswith("inputs: ")


def keras_here():
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")
    return pytest.importorskip("keras", reason="Keras is not installed")


def test_options_of_other_sources(tmp_path):
    keras = keras_here()
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    model.save(tmp_path / "model.keras")
    assert "exporter= is for PyTorch" in message(to_onnx, model, exporter="legacy")
    assert "opset=19 is beyond tf2onnx; give 18" in message(to_onnx, model, opset=19)
    assert "factory= is for files of weights" in message(to_onnx, model, factory=keras.Sequential)
    assert "holds a whole model" in message(to_onnx, tmp_path / "model.keras", factory=keras.Sequential)
    module = torch.nn.Linear(3, 2)
    torch.save(module, tmp_path / "model.pth")
    trusting = {"inputs": (1, 3), "allow_pickle": True, "factory": lambda: module}
    assert "holds a whole model" in message(to_onnx, tmp_path / "model.pth", **trusting)
    assert "factory= is for files of weights" in message(to_onnx, module, inputs=(1, 3), factory=lambda: module)


def test_factories_that_fail(tmp_path):
    torch.save(torch.nn.Linear(3, 2).state_dict(), tmp_path / "weights.pth")
    for factory, said in (
        (lambda: 1 / 0, "ZeroDivisionError"),
        (torch.nn.Linear, "missing 2"),
        (lambda: 3, "do not fit"),
    ):
        assert said in message(to_onnx, tmp_path / "weights.pth", inputs=(1, 3), factory=factory)


def test_paths(tmp_path):
    module, folder = torch.nn.Linear(3, 2), tmp_path / "model.onnx"
    folder.mkdir()
    for path, said in ((3, "is no path"), (tmp_path / "no" / "x.onnx", "lies in no folder"), (folder, "is a folder")):
        assert said in message(to_onnx, module, path, inputs=(1, 3))
    source = tmp_path / "model.pth"
    torch.save(module, source)
    before = source.read_bytes()
    assert "is the source itself" in message(to_onnx, source, source, inputs=(1, 3), allow_pickle=True)
    assert source.read_bytes() == before


def test_a_full_disk():
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with pytest.raises(OutputError, match="/dev/full cannot be written: No space"):
        to_onnx(torch.nn.Linear(3, 2), "/dev/full", inputs=(1, 3), exporter="legacy")  # the quick one


def test_live_programs():
    module = torch.nn.Linear(3, 2)
    assert "save it with torch.jit.save" in message(to_onnx, torch.jit.script(module), inputs=(1, 3))
    program = torch.export.export(module, (torch.randn(2, 3),))
    assert "save it with torch.export.save" in message(to_onnx, program)


def test_a_module_that_gives_nothing():
    class Silent(torch.nn.Module):
        def forward(self, x):
            return None

    assert "gives no tensor" in message(to_onnx, Silent(), inputs=(1, 3))
