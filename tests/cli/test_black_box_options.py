"""The options of methods that need no gradient, as they are typed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxray
import pytest
from cli_tools import DIGIT, DIGITS
from onnxray.cli.app import run

pytestmark = pytest.mark.usefixtures("elsewhere")


def explained(*options: str) -> np.ndarray:
    assert run(["explain", DIGITS, DIGIT, "--target", "6", "--npz", *options]) == 0
    return onnxray.Attribution.load(next(Path().rglob("*.npz"))).values


@pytest.mark.parametrize(
    ("method", "typed", "meant"),
    [
        (
            "lime",
            "--cells 2 --kernel-width 0.5 --ridge 0.1 --samples 9",
            {"cells": 2, "kernel_width": 0.5, "ridge": 0.1, "samples": 9},
        ),
        ("kernel-shap", "--groups grid --cells 1,2,3", {"cells": (1, 2, 3)}),
        ("rise", "--keep 0.25 --cells 4 --samples 9 --seed 3", {"keep": 0.25, "cells": 4, "samples": 9, "seed": 3}),
        ("feature-ablation", "--groups stripes.npy", {"groups": np.arange(28)[:, None] // 7}),
    ],
    ids=["lime", "kernel-shap", "rise", "feature-ablation"],
)
def test_options_of_black_boxes(method: str, typed: str, meant: dict) -> None:
    np.save("stripes.npy", np.arange(28)[:, None] // 7 * np.ones((1, 28), int))
    found = explained("-m", method, *typed.split())
    truth = onnxray.explain(DIGITS, DIGIT, method, target=6, **meant).values
    np.testing.assert_allclose(found, truth, rtol=1e-5, atol=1e-6)


def test_groups_that_are_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", DIGITS, DIGIT, "-m", "feature-ablation", "--groups", "gird"]) != 0
    assert "did you mean 'grid'" in capsys.readouterr().err
