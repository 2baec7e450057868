"""Bad sources and missing frameworks: one line that says what, where and what to do."""

from __future__ import annotations

import re
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnxray.converters import Spec, to_onnx
from onnxray.converters.quiet import EXTRAS, require
from onnxray.converters.sources import FILES, MAGIC, SUPPORTED, TYPES, converter
from onnxray.errors import ConversionError


def one_line(error):
    return "\n" not in str(error.value) and len(str(error.value)) < 400


def test_missing_file(tmp_path):
    with pytest.raises(ConversionError, match=r"no such file") as caught:
        to_onnx(tmp_path / "model.keras")
    assert one_line(caught)


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model.pt", "model.tflite", "model.txt"])
def test_text_under_any_name(tmp_path, name):
    (tmp_path / name).write_text("this is no model\n")
    with pytest.raises(ConversionError, match="a text file, not a model") as caught:
        to_onnx(tmp_path / name)
    assert one_line(caught)


@pytest.mark.parametrize("content", [b"", b"\x00\x01\x02\x03" * 40, np.random.default_rng(0).bytes(500)])
def test_other_bytes(tmp_path, content):
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(ConversionError, match="not a model"):
        to_onnx(tmp_path / "model.pt")


def test_other_archives_and_folders(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(ConversionError, match="neither Keras nor PyTorch"):
        to_onnx(tmp_path / "model.keras")
    with pytest.raises(ConversionError, match=r"saved_model\.pb"):
        to_onnx(tmp_path)


def test_an_onnx_file(tmp_path):
    node = onnx.NodeProto(op_type="Relu", input=["x"], output=["y"])
    graph = onnx.GraphProto(name="g", node=[node])
    onnx.save(onnx.ModelProto(ir_version=8, graph=graph), tmp_path / "model.bin")
    with pytest.raises(ConversionError, match=r"onnxray\.load"):
        to_onnx(tmp_path / "model.bin")


@pytest.mark.parametrize("source", [None, 3, [1, 2], object()])
def test_other_objects(source):
    with pytest.raises(ConversionError, match="give one of these") as caught:
        to_onnx(source)
    assert one_line(caught)


def test_every_kind_of_source_has_a_converter_and_is_on_the_page():
    """In the first column of its table of sources."""
    page = (Path(__file__).parents[2] / "docs" / "converters.md").read_text(encoding="utf-8")
    lines = page[page.index("## Sources") : page.index("## What is verified")].splitlines()
    named = " ".join(line.split("|")[1] for line in lines if line.startswith("|"))
    named = named.lower().replace("scikit-learn", "sklearn")
    frameworks = {module.partition(".")[0] for module, _ in TYPES}
    assert [kind for kind in (*frameworks, *FILES) if kind not in named] == []
    assert set(MAGIC.values()) <= set(FILES)
    assert all(callable(converter(kind)) for kind in (*TYPES.values(), *FILES.values()))


def test_every_kind_of_source_is_in_the_docstring_and_in_the_errors():
    assert [kind.name for kind in TYPES.values() if kind.name not in to_onnx.__doc__] == []
    with pytest.raises(ConversionError, match=", ".join(kind.name for kind in TYPES.values())):
        to_onnx(3)
    assert [kind.name for kind in FILES.values() if kind.name not in SUPPORTED] == []


def test_every_package_that_a_converter_imports_is_in_its_extra():
    """By pyproject.toml, where TensorFlow and scikit-learn have other names, and h5py comes with Keras."""
    root = Path(__file__).parents[2]
    code = "".join(file.read_text(encoding="utf-8") for file in (root / "converters").glob("*.py"))
    assert set(re.findall(r'require\("(\w+)', code)) <= set(EXTRAS)
    known = {"tensorflow-cpu": "tensorflow", "scikit-learn": "sklearn"}
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    listed = {
        (known.get(name := re.split("[^a-z0-9-]", line)[0], name), extra)
        for extra in set(EXTRAS.values())
        for line in extras[extra]
    }
    assert set(EXTRAS.items()) == listed | {("h5py", "keras")}


@pytest.mark.parametrize("name", EXTRAS)
def test_a_missing_package_is_installed_by_its_extra(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ConversionError) as caught:
        require(name)
    assert f"{name} is needed for this conversion: pip install 'onnxray[{EXTRAS[name]}]'" == str(caught.value)


def test_a_missing_framework_is_named_with_its_pip_line(tmp_path, monkeypatch):
    head = b"TFL3"
    (tmp_path / "model.bin").write_bytes(b"\x00\x00\x00\x00" + head + b"\x00" * 64)
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ConversionError, match=r"pip install 'onnxray\[keras\]'"):
        to_onnx(tmp_path / "model.bin")
    (tmp_path / "weights.bin").write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    with pytest.raises(ConversionError, match=r"pip install 'onnxray\[torch\]'"):
        to_onnx(tmp_path / "weights.bin")


@pytest.mark.parametrize("inputs", ["1,3,8,8", 3, []])
def test_inputs_that_are_none(inputs):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    with pytest.raises(ConversionError, match="inputs"):
        to_onnx(torch.nn.Linear(2, 2), inputs=inputs)


@pytest.mark.slow
def test_nothing_is_written_when_a_check_fails(tmp_path):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")

    class Random(torch.nn.Module):
        def forward(self, x):
            return x + torch.rand_like(x)

    with pytest.raises(ConversionError, match="off by"):
        to_onnx(Random(), tmp_path / "model.onnx", inputs=Spec((None, 3)))
    assert not (tmp_path / "model.onnx").exists()
    to_onnx(torch.nn.Linear(3, 2), tmp_path / "model.onnx", inputs=Spec((None, 3)))
    onnx.checker.check_model(tmp_path / "model.onnx")


def test_what_is_no_regular_file(tmp_path):
    for path, said in (("/dev/zero", "no regular file"), ("/proc/self/mem", "cannot be read")):
        if Path(path).exists():
            with pytest.raises(ConversionError, match=said) as caught:
                to_onnx(path)
            assert one_line(caught)


@pytest.mark.filterwarnings("ignore")  # TorchScript is deprecated, and code
@pytest.mark.parametrize("start", [0.5, 0.75])
@pytest.mark.parametrize("name", ["weights.pth", "script.pt"])
def test_damaged_archives(tmp_path, start, name):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    module, path = torch.nn.Linear(3, 2), tmp_path / name
    torch.save(module.state_dict(), path) if name == "weights.pth" else torch.jit.save(torch.jit.script(module), path)
    content = bytearray(path.read_bytes())
    first = int(start * len(content))
    content[first : first + len(content) // 4] = bytes(len(content) // 4)
    path.write_bytes(content)
    with pytest.raises(ConversionError) as caught:
        to_onnx(path, inputs=(1, 3), factory=(lambda: module) if name == "weights.pth" else None)
    assert one_line(caught)
    assert "pickle" not in str(caught.value)
