"""How long ``import onnxray`` takes beyond onnx and onnxruntime, in processor seconds of fresh interpreters.

python benchmarks/imports.py [--repeats 5] > imports.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

WAYS = {"onnx and onnxruntime": "onnx, onnxruntime", "onnx_ir, too": "onnx, onnxruntime, onnx_ir",
        "onnxray, too": "onnx, onnxruntime, onnx_ir, onnxray"}  # fmt: skip


def seconds(modules: str, repeats: int) -> float:
    """Of the quickest interpreter."""
    code = f"import time, {modules}; print(time.process_time())"
    return min(float(subprocess.check_output([sys.executable, "-c", code], text=True)) for _ in range(repeats))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print(json.dumps({name: round(seconds(modules, repeats), 3) for name, modules in WAYS.items()}, indent=2))


if __name__ == "__main__":
    main()
