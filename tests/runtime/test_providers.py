"""Execution providers by their short names: packages, plugins, and nodes that fall back to the CPU."""

from __future__ import annotations

import json
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxray
import onnxruntime
import pytest
from by_hand import CONV, DENSE
from failing import fails
from onnxray import RuntimeUnavailable, runtime
from onnxray.cli.app import run
from onnxray.graph.placed_nodes import left_to_cpu, nodes_by_provider
from onnxray.models import path
from onnxray.support.execution_providers import CPU, KNOWN, full_name, how_to_get, short_name
from onnxray.support.provider_plugins import add_providers, check_device, has_plugin, register_plugin

AVAILABLE = onnxruntime.get_available_providers()
AZURE = pytest.mark.skipif("AzureExecutionProvider" not in AVAILABLE, reason="this onnxruntime has no Azure provider")
PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
OPENVINO, PLUGIN = "OpenVINOExecutionProvider", "onnxruntime_ep_openvino"
MISSING = {
    "tensorrt": "onnxray[gpu]",
    "trt": "TensorRT",
    "tensorrt-rtx": "pip install onnxruntime-ep-nv-tensorrt-rtx, beside onnxruntime",
    "openvino": "pip install onnxruntime-ep-openvino, beside onnxruntime",
    "qnn": "pip install onnxruntime-qnn, beside onnxruntime",
    "webgpu": "pip install onnxruntime-ep-webgpu, beside onnxruntime",
    "directml": "pip install onnxruntime-directml in an environment without onnxruntime",
    "coreml": "macOS",
    "migraphx": "onnxruntime-migraphx",
    "rocm": "onnxruntime-rocm",
    "xnnpack": "no package on PyPI",
}


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_provider_names_its_package_and_what_there_is(name: str) -> None:
    message = how_to_get(name, ["CPUExecutionProvider", "AzureExecutionProvider"])
    assert f"no execution provider {name!r} here: onnxruntime has azure, cpu; " in message
    assert MISSING[name] in message


def test_names_are_found_by_any_of_their_forms_and_errors_reach_the_user() -> None:
    for name in ("directml", "DML", "DmlExecutionProvider"):
        assert full_name(name, AVAILABLE) == "DmlExecutionProvider"
    assert full_name("mine", ["MineExecutionProvider"]) == "MineExecutionProvider"
    assert "did you mean 'openvino'?" in how_to_get("opnvino", AVAILABLE)
    if "DmlExecutionProvider" not in AVAILABLE:
        with fails(RuntimeUnavailable, "onnxruntime-directml"):
            onnxray.Explainer(DENSE.proto(), providers="directml")


def test_the_page_has_every_provider_and_package() -> None:
    text = PAGE.read_text("utf-8")
    for one in KNOWN:
        row = next(line for line in text.splitlines() if line.startswith("|") and f"`{short_name(one.full)}`" in line)
        assert (f"| `{one.package}` |" if one.package else "none on PyPI") in row
        assert ("beside" in row) == bool(one.plugin)
        assert one.needs in row
        assert all(f"`{name}`" in row for name in one.given)


@AZURE
def test_what_falls_back_to_the_cpu_is_warned_of_and_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The Azure provider of CPU wheels runs no node: all fall back."""
    with pytest.warns(UserWarning, match=r"azure runs 0 of (\d+) nodes; the CPU runs the others: .*2 Conv") as told_of:
        explainer = onnxray.Explainer(CONV.proto(), providers="azure")
    explainer(CONV.x())
    assert told_of[0].filename == __file__
    told = explainer.placement or {}
    assert list(told) == [CPU]
    assert told[CPU]["Conv"] >= 1
    files = [str(path("digits.onnx")), str(path("digit.png")), "--out", str(tmp_path)]
    assert run(["explain", *files, "--provider", "azure", "--verbose"]) == 0
    err = capsys.readouterr().err
    assert "warning: azure runs 0 of" in err
    assert "onnxray: azure: 0 of" in err
    assert "nodes fell back to it and run there: " in err


@AZURE
def test_the_cpu_that_was_asked_for_is_no_fallback() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explainer = onnxray.Explainer(DENSE.proto(), providers=["azure", "cpu"])
    assert explainer.placement is not None


def test_on_the_cpu_all_nodes_are_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = onnxray.Explainer(DENSE.proto()).placement or {}
    assert list(found) == [CPU]
    assert found[CPU].total() > 3
    assert run(["explain", str(path("digits.onnx")), str(path("digit.png")), "--verbose", "--out", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert err.startswith("onnxray: cpu: ")
    assert "fell back" not in err
    assert "nodes run there: " in err
    assert "nodes run there" not in out


def native(**parts: list[tuple[str, str]]) -> Any:
    """A session that tells what it was given: the provider's name, and its nodes as operator and name."""
    of = [
        SimpleNamespace(
            ep_name=name, get_nodes=lambda nodes=nodes: [SimpleNamespace(op_type=o, name=n) for o, n in nodes]
        )
        for name, nodes in parts.items()
    ]
    return SimpleNamespace(get_provider_graph_assignment_info=lambda: of, get_providers=lambda: [*parts])


def test_arithmetic_on_shapes_is_left_to_the_cpu_on_purpose() -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]> net (float[n, 4] x) => (float[n, 4] y, int64[2] s) {
        [a] y = Sin (x)  [b] s = Shape (x) }"""
    graph = onnxray.load(onnx_model(text)).graph
    one = native(Mine=[("Sin", "a")], CPUExecutionProvider=[("Shape", "b")])
    assert left_to_cpu(one, graph) == (Counter(), 1, 2)
    assert nodes_by_provider(one) == {"Mine": Counter(Sin=1), CPU: Counter(Shape=1)}
    two = native(Mine=[("Shape", "b")], CPUExecutionProvider=[("Sin", "a")])
    assert left_to_cpu(two, graph) == (Counter(Sin=1), 1, 2)
    assert nodes_by_provider(SimpleNamespace()) is None  # an onnxruntime that does not tell


def test_nodes_without_a_name_are_told_apart_by_their_operators() -> None:
    """Shape gives integers alone; of the two Reshape one does not, so that both count."""
    text = """<ir_version: 8, opset_import: ["" : 18]> net (float[n, 4] x) => (float[n, 4] y, int64[2, 1] t) {
        a = Sin (x)  s = Shape (x)  y = Reshape (a, s)
        c = Constant <value = int64[2] {2, 1}> ()  t = Reshape (s, c) }"""
    nodes = [(operator, "") for operator in ("Sin", "Shape", "Reshape", "Reshape")]
    found = left_to_cpu(native(Mine=[], CPUExecutionProvider=nodes), onnxray.load(onnx_model(text)).graph)
    assert found == (Counter(Sin=1, Reshape=2), 0, 4)


def onnx_model(text: str) -> Any:
    import onnx

    return onnx.shape_inference.infer_shapes(onnx.parser.parse_model(text))


class Runtime:
    """An onnxruntime with plugins: providers are there from when their library is registered."""

    def __init__(self, *devices: str) -> None:
        self.registered: dict[str, str] = {}
        self.devices, self.__version__ = devices, "1.30"

    def get_available_providers(self) -> list[str]:
        return [*self.registered, CPU] if self.devices else [CPU]

    def register_execution_provider_library(self, name: str, file: str) -> None:
        if file == "damaged":
            raise RuntimeError("no such library")
        self.registered[name] = file

    def get_ep_devices(self) -> list[Any]:
        plain = SimpleNamespace(ep_name=CPU, ep_metadata={}, device=SimpleNamespace(type=SimpleNamespace(name="CPU")))
        return [plain, *(self.device(one) for one in self.devices if self.registered)]

    @staticmethod
    def device(kind: str) -> Any:
        return SimpleNamespace(ep_name=OPENVINO, ep_metadata={"library_path": "x", "ov_device": kind}, device=kind)


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The file of a module that stands for OpenVINO's plugin."""
    file = tmp_path / f"{PLUGIN}.py"
    file.write_text("def get_library_path(): return 'whole'")
    monkeypatch.syspath_prepend(tmp_path)
    real = sys.modules.pop(PLUGIN, None)
    yield file
    sys.modules.pop(PLUGIN, None)
    if real is not None:
        sys.modules[PLUGIN] = real


def test_a_plugin_is_registered_once_and_runs_in_float32(plugin: Path) -> None:
    ort, calls = Runtime("CPU", "GPU"), []
    options = SimpleNamespace(
        add_provider_for_devices=lambda devices, given: calls.append((devices[0].device, given)),
        add_provider=lambda name, given: calls.append((name, given)),
    )
    assert not has_plugin(ort, [OPENVINO])
    register_plugin(ort, OPENVINO)
    register_plugin(ort, OPENVINO)
    assert ort.registered == {OPENVINO: "whole"}
    assert has_plugin(ort, [CPU, (OPENVINO, {})])
    assert not has_plugin(ort, [CPU])
    add_providers(ort, options, [OPENVINO, ("CUDAExecutionProvider", {"device_id": 1}), CPU], 3)
    add_providers(ort, options, [(OPENVINO, {"device_type": "gpu", "load_config": "mine"})], None)
    (device, given), cuda, (other, own) = calls
    assert device == "CPU"
    exact = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "3"}
    assert json.loads(given["load_config"]) == {"CPU": exact}
    assert cuda == ("CUDAExecutionProvider", {"device_id": "1"})
    assert (other, own) == ("GPU", {"load_config": "mine"})
    calls.clear()
    add_providers(ort, options, [CPU, OPENVINO], None)  # the CPU before it, which then runs all
    assert [device for device, _ in calls] == [ort.get_ep_devices()[0].device, "CPU"]
    with fails(RuntimeUnavailable, "has no device 'NPU' here", "CPU, GPU"):
        add_providers(ort, options, [(OPENVINO, {"device_type": "NPU"})], None)


def test_a_plugin_without_a_device_or_that_does_not_load(plugin: Path) -> None:
    ort = Runtime()
    register_plugin(ort, OPENVINO)
    with fails(RuntimeUnavailable, "onnxruntime-ep-openvino is installed", "no device"):
        check_device(ort, OPENVINO)
    check_device(ort, "QNNExecutionProvider")  # whose plugin is not installed
    plugin.write_text("def get_library_path(): return 'damaged'  # here")
    sys.modules.pop(PLUGIN)
    with fails(RuntimeUnavailable, "onnxruntime-ep-openvino does not load", "no such library"):
        register_plugin(Runtime("CPU"), OPENVINO)


def test_installed_plugins_are_listed_and_need_not_load(plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor has a row for each, which says why one does not start."""
    plugin.write_text("def get_library_path(): return 'damaged'")
    ort = Runtime("CPU")
    monkeypatch.setattr(runtime, "_onnxruntime", lambda: ort)
    assert OPENVINO in runtime.available_providers()
    with fails(RuntimeUnavailable, "onnxruntime-ep-openvino does not load"):
        runtime.resolve_providers("openvino")


@pytest.mark.parametrize("method", ["saliency", "grad-cam"])
def test_openvino_gives_the_map_of_the_cpu(method: str) -> None:
    if OPENVINO not in onnxray.runtime.available_providers():
        pytest.skip("no OpenVINO provider is installed")
    options = {"target": 6, "method": method}
    model, x = path("digits.onnx"), path("digit.png")
    here = onnxray.explain(model, x, **options).values
    there = onnxray.explain(model, x, providers="openvino", **options).values
    assert abs(here - there).max() < 1e-3 * abs(here).max()
