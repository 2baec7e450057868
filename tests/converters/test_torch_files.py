"""Files of PyTorch: exported programs, TorchScript, weights with a factory, and what is refused."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnxscript", reason="onnxscript, which torch.onnx needs, is not installed")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

import source_nets as nets  # noqa: E402
from onnxray.converters import to_onnx  # noqa: E402
from onnxray.errors import ConversionError  # noqa: E402

TWO = [(1, 4), (1, 3)]


def run(model, feed):
    return ort.InferenceSession(model.SerializeToString()).run(None, feed)[0]


@pytest.mark.slow  # torch.export alone takes seconds
def test_exported_program_under_any_name(tmp_path, notes):
    axis = {0: torch.export.Dim("batch")}
    module = nets.TwoInputs().eval()
    program = torch.export.export(module, (torch.randn(2, 4), torch.randn(2, 3)), dynamic_shapes=(axis, axis))
    torch.export.save(program, tmp_path / "model.pt2")
    path = (tmp_path / "model.pt2").rename(tmp_path / "model.bin")
    with pytest.warns(UserWarning, match=r"\.pt2 file is code"):
        model = to_onnx(path)
    assert [value.name for value in model.graph.input] == ["left", "right"]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert set(notes(model, "layers")) == {"left_part", "right_part"}


@pytest.mark.slow  # torch.export alone takes seconds
def test_exported_program_of_one_batch_size(tmp_path, notes):
    program = torch.export.export(torch.nn.Linear(3, 2).eval(), (torch.randn(5, 3),))
    torch.export.save(program, tmp_path / "model.pt2")
    with pytest.warns(UserWarning, match="is code"):
        assert notes(to_onnx(tmp_path / "model.pt2"), "parity")["batch_sizes"] == [5]


@pytest.mark.parametrize("compile_", [torch.jit.script, lambda m: torch.jit.trace(m, torch.randn(2, 3, 64, 64))])
def test_torchscript(tmp_path, notes, compile_):
    torch.jit.save(compile_(nets.VGG().eval()), tmp_path / "model.pt")
    with pytest.warns(UserWarning, match="TorchScript is code"):
        model = to_onnx(tmp_path / "model.pt", inputs=(1, 3, 64, 64))
    assert notes(model, "layers") == {}
    assert "observed" in notes(model, "layers.missing")["features.0"]
    assert any(node.name == "/features/0/Conv" for node in model.graph.node)


@pytest.mark.slow
def test_weights_need_a_factory(tmp_path):
    torch.save(nets.TwoInputs().state_dict(), tmp_path / "weights.pth")
    with pytest.raises(ConversionError, match="factory="):
        to_onnx(tmp_path / "weights.pth", inputs=TWO)
    model = to_onnx(tmp_path / "weights.pth", inputs=TWO, factory="source_nets:build_two")
    assert {"left_part.weight", "left_part.bias"} <= {tensor.name for tensor in model.graph.initializer}
    with pytest.raises(ConversionError, match="do not fit"):
        to_onnx(tmp_path / "weights.pth", inputs=TWO, factory=nets.VGG)
    with pytest.raises(ConversionError, match="module:callable"):
        to_onnx(tmp_path / "weights.pth", inputs=TWO, factory="no_such_module:build")


def test_a_checkpoint_without_weights(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "weights.pth")
    with pytest.raises(ConversionError, match="no state_dict"):
        to_onnx(tmp_path / "weights.pth", inputs=TWO, factory=nets.build_two)


@pytest.mark.slow  # torch.export alone takes seconds
def test_a_whole_module_only_on_request(tmp_path):
    torch.save(nets.TwoInputs(), tmp_path / "model.pth")
    with pytest.raises(ConversionError, match="allow_pickle=True"):
        to_onnx(tmp_path / "model.pth", inputs=TWO)
    assert to_onnx(tmp_path / "model.pth", inputs=TWO, allow_pickle=True).graph.node


def test_a_pickle_is_not_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    (tmp_path / "model.pth").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ConversionError, match="allow_pickle=True"):
        to_onnx(tmp_path / "model.pth", inputs=TWO)
    torch.save({"weight": Trap()}, tmp_path / "torch.pth")
    with pytest.raises(ConversionError, match="allow_pickle=True"):
        to_onnx(tmp_path / "torch.pth", inputs=TWO, factory=nets.build_two)
    assert not (tmp_path / "sprung").exists()


def test_a_branch_on_data():
    with pytest.raises(ConversionError, match=r"torch\.where"):
        to_onnx(nets.Branching(), inputs=(1, 4))
    with pytest.raises(ConversionError, match="off by"):
        to_onnx(nets.Branching(), inputs=(1, 4), exporter="legacy")


def test_numpy_in_the_forward_pass_is_not_baked_in():
    class Numpy(torch.nn.Module):
        def forward(self, x):
            return torch.as_tensor(np.tanh(x.detach().numpy()))

    with pytest.raises(ConversionError):
        to_onnx(Numpy(), inputs=(1, 4), exporter="legacy")


@pytest.mark.slow
def test_an_operator_that_onnx_lacks(capfd):
    class Eigen(torch.nn.Module):
        def forward(self, x):
            return torch.linalg.eigvals(x).real

    with pytest.raises(ConversionError, match="cannot be exported") as caught:
        to_onnx(Eigen(), inputs=(1, 4, 4))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_inputs_are_needed():
    with pytest.raises(ConversionError, match="give inputs="):
        to_onnx(nets.TwoInputs())
    with pytest.raises(ConversionError):
        to_onnx(nets.TwoInputs(), inputs=(1, 4))


@pytest.mark.slow
def test_resnet20_of_cifar10(data, notes):
    model = to_onnx(data("torch/resnet20_cifar10.th"), inputs=(1, 3, 32, 32), factory=nets.CifarResNet20)
    found, missing = notes(model, "layers"), notes(model, "layers.missing")
    assert len(found) >= 0.95 * (len(found) + len(missing)), missing
    assert "layer3" in found
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    for name, wanted in {"images/parrot.jpg": "bird", "images/doberman.png": "dog"}.items():
        image = Image.open(data(name)).convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
        x = ((np.asarray(image) / 255 - mean) / std).astype(np.float32).transpose(2, 0, 1)[None]
        classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
        assert classes[int(run(model, {model.graph.input[0].name: x}).argmax())] == wanted


@pytest.mark.slow
def test_burn_digits(data, notes):
    model = to_onnx(data("torch/burn_mnist.safetensors"), inputs=(1, 1, 28, 28), factory=nets.BurnMnist)
    assert notes(model, "layers")["conv3"]["layout"] == "NCHW"
    for name, wanted in {"images/mnist_nine.bmp": 9, "images/digit0.jpg": 0}.items():
        image = np.asarray(Image.open(data(name)).convert("L").resize((28, 28)), np.float32) / 255
        image = 1 - image if image[0].mean() > 0.5 else image
        x = ((image - 0.1307) / 0.3081)[None, None]
        assert int(run(model, {model.graph.input[0].name: x}).argmax()) == wanted
