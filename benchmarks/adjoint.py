"""J and its transpose: <w, J u> = <J^T w, u> for every case of the ONNX project's operator suite, on onnxruntime.

python benchmarks/adjoint.py [--every 1]

The left side is the graph of ``onnxray.jvp``, the right side that of ``onnxray.differentiate``. Printed are the counts,
and every case that counts and is not right, with the reason. Then every case of the rules' tests in float64: the same
equation, and the graph of ``onnxray.hvp`` beside central differences of the gradient.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
import suite
from cases import CASES
from gradcheck import Case
from tangents import check_hvp, check_jvp, judge_adjoint


def kind_of(check: Callable[[Case], None], case: Case) -> str:
    try:
        check(case)
    except Exception as error:  # noqa: BLE001  an assertion, or whatever an evaluator raises
        print(f"{check.__name__}: {case}: {error}")
        return "wrong"
    return "right"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take one case in so many")
    every = parser.parse_args().every
    warnings.simplefilter("ignore")
    with np.errstate(all="ignore"):
        print(suite.table([judge_adjoint(case) for case in suite.cases()[::every]]), flush=True)
        for check in (check_jvp, check_hvp):
            print(check.__name__, dict(Counter(kind_of(check, case) for case in CASES[::every])), flush=True)


if __name__ == "__main__":
    main()
