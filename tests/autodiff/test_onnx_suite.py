"""Every operator case of the ONNX project that has a float path and that onnxruntime runs has the right gradient."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import suite

SHARE = 0.99
EVERY_DAY = ("convtranspose", "einsum", "gemm", "lstm", "scatternd", "topk")


@pytest.fixture(scope="module")
def cases() -> list:
    return suite.cases()


def _verdicts(cases: list) -> list[suite.Verdict]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return [suite.judge(case) for case in cases]


def _check(verdicts: list[suite.Verdict], measured: Callable[[str], None]) -> None:
    print(suite.table(verdicts))
    measured(f"{suite.share(verdicts):.1%} of {len(verdicts)} cases, those that do not count left out")
    assert [v for v in verdicts if v.kind == "wrong"] == []
    assert suite.share(verdicts) >= SHARE


def test_some_files_of_the_suite(measured: Callable[[str], None]) -> None:
    _check(_verdicts(suite.cases_of(*EVERY_DAY)), measured)


@pytest.mark.slow
def test_the_whole_suite(cases: list, measured: Callable[[str], None]) -> None:
    _check(_verdicts(cases), measured)
