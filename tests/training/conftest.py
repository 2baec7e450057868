"""The training build, installed once for all: into its usual folder, or where ONNXRAY_TRAINING_HOME says."""

from __future__ import annotations

import pytest
from onnxray.errors import BuilderError
from onnxray.training import Status, install, status


@pytest.fixture(scope="session", autouse=True)
def training_build() -> Status:
    """Skips, in the installer's words, where there is no wheel for this Python or no network."""
    try:
        return status() if status().installed else install()
    except BuilderError as error:
        pytest.skip(str(error))
