"""PyTorch modules: parity, layers proved by value against hooks of the test's own, eval mode, gradients."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnxscript", reason="onnxscript, which torch.onnx needs, is not installed")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

import source_nets as nets  # noqa: E402
from onnxray.converters import Spec, to_onnx  # noqa: E402
from onnxray.errors import ConversionError  # noqa: E402

PICTURE = (1, 3, 64, 64)
MODELS = {
    "resnet18": (nets.resnet18, PICTURE),
    "vgg": (nets.VGG, PICTURE),
    "mobilenetv2": (nets.MobileNetV2, PICTURE),
    "transformer": (nets.Sequence, Spec((1, 9), "int64")),
    "lstm": (nets.Recurrent, (1, 7, 6)),
    "two inputs": (nets.TwoInputs, {"left": (1, 4), "right": (1, 3)}),
}


def vit(**settings):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    return transformers.ViTForImageClassification(transformers.ViTConfig(**settings))


def small_vit():
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
    return vit(image_size=64, patch_size=16, **sizes)


def googlenet():
    sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
    return pytest.importorskip("googlenet").googlenet()


MODELS["vit"] = (small_vit, {"pixel_values": PICTURE})
# As published, with the number of parameters that their authors or torchvision give.
PUBLISHED = {
    "ResNet-18": (lambda: nets.resnet18(64, 1000), PICTURE, 11_689_512),
    "VGG-11": (lambda: nets.VGG(64, 7, 4096, 1000), PICTURE, 132_863_336),
    "GoogLeNet": (googlenet, PICTURE, 6_998_552),
    "MobileNetV2": (lambda: nets.MobileNetV2(8, 1000), PICTURE, 3_504_872),
    "ViT-B/16": (lambda: vit(num_labels=1000), {"pixel_values": (1, 3, 224, 224)}, 86_567_656),
    "Transformer encoder": (nets.encoder, (1, 9, 512), 18_914_304),
}
COMPLETE = ("resnet18", "mobilenetv2", "vit", "ResNet-18", "MobileNetV2", "ViT-B/16")


def randomised(module):
    """Batch norms as after training; at their initial values they would hardly change a value."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 2)
            part.weight.data.uniform_(0.5, 1.5)
    return module


def moved(value, layout):
    """A feature map of the graph with its axes as PyTorch has them."""
    assert layout in ("NCHW", "NC", "NLC", "NCL"), layout
    return value.transpose(0, 2, 1) if layout == "NCL" else value


EVERY_DAY = ("two inputs",)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=() if name in EVERY_DAY else pytest.mark.slow) for name in MODELS
])  # fmt: skip
def test_outputs_layers_and_gradients_agree(name, notes, tensors, engine):
    build, inputs = MODELS[name]
    torch.manual_seed(0)
    module = randomised(build())
    model = to_onnx(module, inputs=inputs, check_gradients=None if name == "transformer" else engine)
    if name != "transformer":
        assert all(entry["relative_l2"] < 1e-4 for entry in notes(model, "gradients").values())
    verify(name, module, inputs, model, notes, tensors)


@pytest.mark.slow
@pytest.mark.parametrize("name", PUBLISHED)
def test_published_architectures(name, notes, tensors, engine, measured):
    build, inputs, size = PUBLISHED[name]
    torch.manual_seed(0)
    module = randomised(build())
    assert sum(parameter.numel() for parameter in module.parameters()) == size
    model = to_onnx(module, inputs=inputs, check_gradients=engine)  # 1e-4, or 3 times what rounding costs PyTorch
    (entry,) = notes(model, "gradients").values()
    found, missing = notes(model, "layers"), notes(model, "layers.missing")
    measured(f"gradient {entry}, {len(found)} layers found, {len(missing)} not")
    assert entry["relative_l2"] <= entry["allowed"]
    verify(name, module, inputs, model, notes, tensors)


def verify(name, module, inputs, model, notes, tensors):
    """Outputs, and every layer of the map by value against hooks of the test's own."""
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    onnx.checker.check_model(model)
    parity = notes(model, "parity")
    assert parity["of_tolerance"] < 0.5
    assert parity["batch_sizes"] == [1, 4]
    found, missing = notes(model, "layers"), notes(model, "layers.missing")
    called = [layer for layer, reason in missing.items() if name in COMPLETE or "never called" not in reason]
    assert len(found) >= 0.95 * (len(found) + len(called)), missing
    assert all(missing.values())

    seen = {}
    for layer, part in module.named_modules():
        part.register_forward_hook(keeper(seen, layer))
    shapes = {i.name: [d.dim_value or 3 for d in i.type.tensor_type.shape.dim] for i in model.graph.input}
    generator = np.random.default_rng(7)
    feed = {n: generator.standard_normal(s).astype(np.float32) for n, s in shapes.items()}
    if name == "transformer":
        feed = {n: generator.integers(0, 30, s) for n, s in shapes.items()}
    with torch.no_grad():
        values = {key: torch.tensor(value) for key, value in feed.items()}
        module.eval()
        module(**values) if isinstance(inputs, dict) else module(*values.values())
    values = tensors(model, [entry["tensor"] for entry in found.values()], feed)
    for layer, entry in found.items():
        if ":" not in layer:
            wanted, got = seen[layer], moved(values[entry["tensor"]], entry["layout"])
            np.testing.assert_allclose(got.reshape(wanted.shape), wanted, atol=2e-4 * max(1, np.abs(wanted).max()))


def keeper(seen, layer):
    def keep(part, args, output):
        seen.setdefault(layer, first(output))

    return keep


def first(output):
    leaves = [leaf for leaf in torch.utils._pytree.tree_leaves(output) if isinstance(leaf, torch.Tensor)]
    return leaves[0].detach().numpy().copy()


@pytest.mark.slow
def test_containers_and_shared_modules_have_names(notes):
    found = notes(to_onnx(randomised(nets.resnet18(8)), inputs=PICTURE), "layers")
    assert found["layer4"] == found["layer4.1"] == found["layer4.1.relu:1"]
    assert found["layer4"]["layout"] == "NCHW"
    assert found["layer4.1.relu"]["tensor"] != found["layer4.1.relu:1"]["tensor"]
    assert found["layer4.1.conv2"]["tensor"] != found["layer4.1.bn2"]["tensor"]


@pytest.mark.slow
def test_the_module_is_left_as_it_was():
    norm = torch.nn.BatchNorm2d(4)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), norm, torch.nn.ReLU(), torch.nn.Dropout(), torch.nn.Flatten()
    )
    norm.eval()
    modes = [part.training for part in module.modules()]
    state = {key: value.clone() for key, value in module.state_dict().items()}
    to_onnx(module, inputs=PICTURE)
    assert [part.training for part in module.modules()] == modes
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
    assert all(p.grad is None for p in module.parameters())
    assert not any(part._forward_hooks for part in module.modules())


@pytest.mark.slow
def test_no_paths_or_traces_in_the_model():
    text = to_onnx(nets.TwoInputs(), inputs=[(1, 4), (1, 3)]).SerializeToString()
    assert b"stack_trace" not in text
    assert b".py" not in text


@pytest.mark.slow  # every day by the command line
@pytest.mark.parametrize("opset", [18, 20])
def test_opset(opset):
    model = to_onnx(nets.TwoInputs(), inputs=[(1, 4), (1, 3)], opset=opset)
    assert [entry.version for entry in model.opset_import if not entry.domain] == [opset]


def test_given_rows_take_part_and_nothing_is_printed(notes, capfd):
    rows = {"left": np.ones((3, 4), np.float32), "right": torch.ones(3, 3)}
    parity = notes(to_onnx(nets.TwoInputs(), inputs=rows), "parity")
    assert parity["batch_sizes"] == [1, 3, 4]
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_fixed_batch(notes):
    class Fixed(torch.nn.Module):
        def forward(self, x):
            return torch.relu(x.reshape(2, 12)).sum(1)

    with pytest.raises(ConversionError, match="pass batch=2"):
        to_onnx(Fixed(), inputs=(2, 3, 4))
    assert notes(to_onnx(Fixed(), inputs=(2, 3, 4), batch=2), "parity")["batch_sizes"] == [2]


@pytest.mark.slow
def test_legacy_only_on_request(notes):
    model = to_onnx(randomised(nets.resnet18(8)), inputs=PICTURE, exporter="legacy")
    found, missing = notes(model, "layers"), notes(model, "layers.missing")
    assert len(found) >= 0.95 * (len(found) + len(missing)), missing


@pytest.mark.slow
def test_gradients_are_compared():
    module = torch.nn.Linear(3, 4)
    seen = {}

    def exact(model, feed):
        weights = [onnx.numpy_helper.to_array(t) for t in model.graph.initializer]
        probe = next(w for w in weights if w.shape == (4,) and not np.allclose(w, module.bias.detach()))
        seen["outputs"] = [o.name for o in model.graph.output]
        return {name: np.broadcast_to(probe @ module.weight.detach().numpy(), x.shape) for name, x in feed.items()}

    model = to_onnx(module, inputs=(1, 3), check_gradients=exact)
    assert len(seen["outputs"]) == 1
    assert "onnxray.gradients" in {entry.key for entry in model.metadata_props}
    with pytest.raises(ConversionError, match="gradient of input 'input'"):
        to_onnx(module, inputs=(1, 3), check_gradients=lambda model, feed: {k: 0 * v for k, v in feed.items()})


@pytest.mark.slow
def test_gradients_at_kinks_are_allowed_what_rounding_costs(notes):
    """Some pixels lie within a rounding of a Relu's kink: there the engine may fall the other way, elsewhere not."""

    class Shifted(torch.nn.Module):
        def forward(self, x):
            return torch.relu(x - 1)

    rows = np.full((2, 50), 3, np.float32)
    rows[:, :10] = np.nextafter(np.float32(1), np.float32(2))

    def flipped(model, feed, pixels):
        probe = next(onnx.numpy_helper.to_array(t) for t in model.graph.initializer if "probe" in t.name)
        found = np.broadcast_to(probe, rows.shape).copy()
        found[:, pixels] = 0
        return dict.fromkeys(feed, found)

    model = to_onnx(Shifted(), inputs=rows, check_gradients=lambda model, feed: flipped(model, feed, slice(10)))
    (entry,) = notes(model, "gradients").values()
    assert 1e-4 < entry["relative_l2"] <= entry["allowed"]
    rows[:, :10] = 2
    with pytest.raises(ConversionError, match=r"allowed 0\.0001"):
        to_onnx(Shifted(), inputs=rows, check_gradients=lambda model, feed: flipped(model, feed, slice(10)))


@pytest.mark.slow
def test_a_module_without_a_float64_form_is_compared_in_float32():
    """PyTorch copies no tensor that was computed from parameters."""

    class Doubled(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(3)) * 2

        def forward(self, x):
            return x * self.scale

    with pytest.raises(ConversionError, match=r"gradient of input 'x' is off .* \(allowed 0\.0001\)"):
        to_onnx(Doubled(), inputs=(1, 3), check_gradients=lambda model, feed: {k: 0 * v for k, v in feed.items()})


class Tokens(torch.nn.Module):
    """A picture cut into tokens by a convolution and a norm; autograd by itself is wrong by its own length here."""

    def __init__(self, norm):
        super().__init__()
        self.cut, self.norm, self.head = torch.nn.Conv2d(3, 6, 3, 2, 1), norm, torch.nn.Linear(6, 4)
        self.place = torch.nn.Parameter(torch.randn(16, 6))

    def forward(self, x):
        return self.head((self.norm(self.cut(x)).flatten(2).transpose(1, 2) * self.place).sum(1))


@pytest.mark.slow
@pytest.mark.parametrize("norm", [torch.nn.BatchNorm2d(6), torch.nn.InstanceNorm2d(6, affine=True)], ids=type)
def test_gradients_of_norms_before_tokens_of_one_picture(norm, notes, engine):
    torch.manual_seed(0)
    model = to_onnx(randomised(Tokens(norm)), inputs=(1, 3, 8, 8), batch=1, check_gradients=engine)
    assert notes(model, "gradients")["x"]["relative_l2"] < 1e-5
