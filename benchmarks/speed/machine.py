"""The machine and the versions that times belong to."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import onnxruntime
from onnxray.support.processor import this_processor

__all__ = ["describe", "one_line"]

PACKAGES = ("onnxray", "onnx", "torch", "captum", "zennit", "grad-cam", "onnx-ad", "numpy")


def describe(threads: int, provider: str) -> dict[str, Any]:
    """Processor, instruction sets, cores, load, graphics card, and the release of each package."""
    processor = this_processor()
    told = {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": f"{processor.vendor} {processor.name}",
        "instructions": processor.features,
        "cores": processor.cores,
        "threads": threads,
        "load": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {"onnxruntime": onnxruntime.__version__}
        | {name: found for name in PACKAGES if (found := _version(name))},
    }
    return told | (_device() if provider == "cuda" else {})


def one_line(machine: dict[str, Any]) -> str:
    """The description in a sentence."""
    sets = (
        ", ".join(name.upper().replace("_", "-") for name in machine["instructions"]) or "no vector instructions known"
    )
    device = f"{machine['device']} (CUDA {machine['cuda']}), " if "device" in machine else ""
    versions = ", ".join(f"{name} {release}" for name, release in machine["versions"].items())
    return (
        f"{machine['date']}: {device}{machine['processor']} ({sets}), {machine['cores']} cores, {machine['threads']} "
        f"threads, load {machine['load']} at the start, Python {machine['python']}, {versions}."
    )


def _device() -> dict[str, Any]:
    import torch

    return {"device": torch.cuda.get_device_name(0), "cuda": str(torch.version.cuda)}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
