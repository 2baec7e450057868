"""The execution providers of onnxruntime: their short names, and the package that each comes in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .choice import nearest

__all__ = ["CPU", "KNOWN", "RUNTIME_PACKAGES", "KnownProvider", "full_name", "how_to_get", "short_name"]

SUFFIX = "ExecutionProvider"
CPU = "CPUExecutionProvider"


@dataclass(frozen=True)
class KnownProvider:
    """A provider by onnxruntime's name, and the package on PyPI that has it, "" where none has.

    ``plugin``: the module of a package that stands beside onnxruntime; the other packages take its place.
    ``needs``: what else the machine must have. ``given``: names under which people look for it.
    """

    full: str
    package: str = ""
    plugin: str = ""
    needs: str = ""
    given: tuple[str, ...] = ()


KNOWN = (
    KnownProvider(CPU, "onnxruntime"),
    KnownProvider("AzureExecutionProvider", "onnxruntime"),
    KnownProvider("CUDAExecutionProvider", "onnxruntime-gpu", needs="an NVIDIA GPU, CUDA and cuDNN"),
    KnownProvider("TensorrtExecutionProvider", "onnxruntime-gpu", needs="NVIDIA's TensorRT", given=("trt",)),
    KnownProvider(
        "NvTensorRTRTXExecutionProvider", "onnxruntime-ep-nv-tensorrt-rtx", "onnxruntime_ep_nv_tensorrt_rtx",
        "an NVIDIA RTX GPU", ("tensorrt-rtx", "trt-rtx", "rtx"),
    ),
    KnownProvider(
        "OpenVINOExecutionProvider", "onnxruntime-ep-openvino", "onnxruntime_ep_openvino", "an x86 processor"
    ),
    KnownProvider("QNNExecutionProvider", "onnxruntime-qnn", "onnxruntime_qnn", "a Qualcomm processor", ("qualcomm",)),
    KnownProvider("WebGpuExecutionProvider", "onnxruntime-ep-webgpu", "onnxruntime_ep_webgpu", "a GPU"),
    KnownProvider("DmlExecutionProvider", "onnxruntime-directml", needs="Windows", given=("directml",)),
    KnownProvider("CoreMLExecutionProvider", "onnxruntime", needs="macOS, for which it has the provider"),
    KnownProvider("MIGraphXExecutionProvider", "onnxruntime-migraphx", needs="an AMD GPU and ROCm"),
    KnownProvider("ROCMExecutionProvider", "onnxruntime-rocm", needs="an AMD GPU and ROCm"),
    KnownProvider("CANNExecutionProvider", "onnxruntime-cann", needs="a Huawei Ascend NPU"),
    KnownProvider("XnnpackExecutionProvider"),
    KnownProvider("DnnlExecutionProvider", given=("onednn", "mkldnn")),
    KnownProvider("VitisAIExecutionProvider"),
    KnownProvider("NnapiExecutionProvider"),
    KnownProvider("ACLExecutionProvider"),
    KnownProvider("ArmNNExecutionProvider"),
    KnownProvider("RknpuExecutionProvider"),
)  # fmt: skip
RUNTIME_PACKAGES = (  # packages of onnxruntime and its plugins, of which another release may give other numbers
    *dict.fromkeys(one.package for one in KNOWN if one.package), "onnxruntime-openvino",
)  # fmt: skip


def short_name(full: str) -> str:
    """A provider's name as it is typed, such as "openvino" for OpenVINOExecutionProvider."""
    return full.replace(SUFFIX, "").lower()


def full_name(name: str, available: Iterable[str]) -> str | None:
    """onnxruntime's name of the provider of this name, short or full, available or known; None for no such name."""
    names = [*available, *(one.full for one in KNOWN)]
    given = {other: one.full for one in KNOWN for other in one.given}
    return {short_name(full): full for full in reversed(names)}.get(short_name(name), given.get(short_name(name)))


def how_to_get(name: str, available: Iterable[str]) -> str:
    """One line for a provider that is not available: what there is, and what to do."""
    there = ", ".join(sorted(map(short_name, available)))
    full = full_name(name, ())
    said = f"no execution provider {name!r} here: onnxruntime has {there}"
    if full is None:
        near = nearest(name, [*map(short_name, available), *(short_name(one.full) for one in KNOWN)])
        return said + "".join(f"; did you mean {one!r}?" for one in near)
    return f"{said}; {_installing(next(one for one in KNOWN if one.full == full))}"


def _installing(one: KnownProvider) -> str:
    if not one.package:
        return f"no package on PyPI has it: build onnxruntime with {one.full}, or install the vendor's package"
    needs = f"; it needs {one.needs}" if one.needs else ""
    if one.plugin:
        return f"pip install {one.package}, beside onnxruntime 1.23 or later{needs}"
    if one.package == "onnxruntime":
        return f"pip install onnxruntime in an environment without another package of onnxruntime{needs}"
    what = "'onnxray[gpu]'" if one.package == "onnxruntime-gpu" else one.package
    return f"pip install {what} in an environment without onnxruntime: the packages cannot share one{needs}"
