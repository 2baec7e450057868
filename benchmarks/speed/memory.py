"""Peak memory and opening time of one side, in a process of its own that does nothing else.

`python -m benchmarks.speed.memory SIDE FOLDER METHOD THREADS PROVIDER MEMORY`; the folder holds the model in the
side's form and the examples. One line of JSON on stdout.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from onnxray.support.heap import held_memory

from .settings import Settings, options_of

if TYPE_CHECKING:
    from .subjects import Subject

__all__ = ["measure_memory"]

ROOT = Path(__file__).parents[2]
METHODS = ("saliency", "integrated-gradients")


def measure_memory(one: Subject, settings: Settings) -> list[dict[str, Any]]:
    """Peaks in MiB of the whole process and above its imports, and seconds to open and for the first call."""
    import onnx
    import torch

    with TemporaryDirectory(prefix="onnxray-memory-") as folder:
        onnx.save(one.proto, Path(folder, "model.onnx"))
        torch.save(one.module, Path(folder, "module.pt"))
        np.save(Path(folder, "x.npy"), one.examples(1))
        jobs = [("forward", "saliency")]
        jobs += [(side, method) for method in METHODS if method in settings.methods for side in ("onnxray", "Captum")]
        return [{"net": one.name, "method": method, "side": side} | _asked(side, folder, method, settings)
                for side, method in jobs]  # fmt: skip


def _asked(side: str, folder: str, method: str, settings: Settings) -> dict[str, Any]:
    told = [side, folder, method, str(settings.threads), settings.provider, settings.memory]
    command = [sys.executable, "-m", "benchmarks.speed.memory", *told]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def _onnxray(folder: Path, method: str, threads: int, provider: str, memory: str) -> Callable[[], Callable[[], Any]]:
    from onnxray import Explainer

    def opened() -> Callable[[], Any]:
        explainer = Explainer(
            folder / "model.onnx", method, threads=threads, providers=provider, memory=memory, **options_of(method)
        )
        x = np.load(folder / "x.npy")
        return lambda: explainer(x, target=0)

    return opened


def _forward(folder: Path, method: str, threads: int, provider: str, memory: str) -> Callable[[], Callable[[], Any]]:
    import onnxruntime

    def opened() -> Callable[[], Any]:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        full = "CUDAExecutionProvider" if provider == "cuda" else "CPUExecutionProvider"
        session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=[full])
        x = np.load(folder / "x.npy")
        return lambda: session.run(None, {"x": x})

    return opened


def _captum(folder: Path, method: str, threads: int, provider: str, memory: str) -> Callable[[], Callable[[], Any]]:
    sys.path.insert(0, str(ROOT / "tests"))
    import torch

    from .captum_maps import captum_attribute

    torch.set_num_threads(threads)

    def opened() -> Callable[[], Any]:
        module = torch.load(folder / "module.pt", weights_only=False, map_location=provider)
        x = torch.from_numpy(np.load(folder / "x.npy")).to(provider)
        return lambda: captum_attribute(method, module, None, x, provider).detach().cpu().numpy()

    return opened


SIDES = {"onnxray": _onnxray, "forward": _forward, "Captum": _captum}


def main(side: str, folder: str, method: str, threads: str, provider: str, memory: str) -> None:
    opened = SIDES[side](Path(folder), method, int(threads), provider, memory)
    imported, start = held_memory("VmHWM"), time.perf_counter()
    call = opened()
    ready = time.perf_counter()
    call()
    peak = held_memory("VmHWM")
    told = {"open_seconds": ready - start, "first_call_seconds": time.perf_counter() - ready}
    told |= {"peak_mib": peak / 2**20, "peak_above_imports_mib": (peak - imported) / 2**20}
    print(json.dumps({name: float(f"{value:.4g}") for name, value in told.items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
