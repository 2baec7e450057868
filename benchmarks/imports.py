"""How long it takes to import what an explainer needs, and a command, in processor seconds of fresh interpreters.

python benchmarks/imports.py [--repeats 5] > imports.json
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

WAYS = {
    "onnx and onnxruntime": "import onnx, onnxruntime",
    "onnx_ir, too": "import onnx, onnxruntime, onnx_ir",
    "onnxray.Explainer, too": "import onnx, onnxruntime, onnx_ir, onnxray; onnxray.Explainer",
    "onnxray methods": "import sys, onnxray_command; sys.argv[1:] = ['methods']; onnxray_command.main()",
    "onnxray explain, the digits net and one picture": "import sys, tempfile, onnxray_command, onnxray.models as m; "
    "sys.argv[1:] = ['explain', *map(str, (m.path('digits.onnx'), m.path('digit.png'))), '--out', tempfile.mkdtemp()]; "
    "onnxray_command.main()",
}


def seconds(code: str, repeats: int) -> float:
    """Of the quickest interpreter."""
    return min(_once(code) for _ in range(repeats))


def _once(code: str) -> float:
    before = os.times()
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    repeats = parser.parse_args().repeats
    print(json.dumps({name: round(seconds(code, repeats), 3) for name, code in WAYS.items()}, indent=2))


if __name__ == "__main__":
    main()
