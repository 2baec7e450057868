"""Helpers of the tests of examples: the scripts as modules, distances, the frameworks kept quiet."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import measures
import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def example() -> Callable[..., ModuleType]:
    """A script of examples/ as a module; skipped where something that it imports is not installed."""

    def load(name: str, *needs: str) -> ModuleType:
        for package in needs:
            pytest.importorskip(package, reason=f"{package}, which examples/{name}.py takes, is not installed")
        if "keras" in needs and importlib.import_module("keras").backend.backend() != "tensorflow":
            pytest.skip("Keras runs on another backend here")
        if str(ROOT / "examples") not in sys.path:
            sys.path.insert(0, str(ROOT / "examples"))
        return importlib.import_module(name)

    return load


@pytest.fixture(scope="module")
def distance() -> Callable[[np.ndarray, np.ndarray], float]:
    """Relative L2 distance of a result from the framework's."""

    return measures.distance


@pytest.fixture
def is_picture() -> Callable[[Path], bool]:
    """Whether a file is a picture that shows anything, and small enough to be committed."""

    def check(path: Path) -> bool:
        with Image.open(path) as image:
            assert np.asarray(image.convert("L")).std() > 5
        assert path.stat().st_size < 300_000
        return True

    return check
