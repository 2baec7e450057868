"""The training build, installed once for all: into its usual folder, or where ONNXRAY_TRAINING_HOME says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from onnxray.errors import BuilderError
from onnxray.training import Status, install, status
from onnxray.training.client import Worker


@pytest.fixture(scope="session", autouse=True)
def training_build() -> Status:
    """Skips, in the installer's words, where there is no wheel for this Python or no network."""
    try:
        return status() if status().installed else install()
    except BuilderError as error:
        pytest.skip(str(error))


@pytest.fixture
def own() -> Iterator[Worker]:
    """A worker that may be killed."""
    one = Worker()
    yield one
    one.close()
