"""Which slices of a volume are drawn, and what the axis of a series counts."""

from __future__ import annotations

import numpy as np
import pytest
from onnxray.attribution.result import Attribution
from onnxray.drawing.volume import shown_slices, slice_numbers
from onnxray.methods import METHODS


@pytest.mark.parametrize("depth", [1, 5, 9, 10, 24, 31])
def test_slices_are_spaced_evenly_around_the_middle(depth: int) -> None:
    numbers = slice_numbers(depth)
    assert numbers == sorted(set(numbers))
    assert {0, depth // 2, depth - 1} <= set(numbers)
    assert len(numbers) == min(9, depth)
    assert np.ptp(np.diff(numbers)) <= 1 if depth > 1 else numbers == [0]


@pytest.mark.parametrize(("depth", "layers", "strongest"), [(31, 31, 2), (31, 31, 16), (24, 6, 1), (9, 9, 4)])
def test_the_slice_with_the_most_evidence_is_shown(depth: int, layers: int, strongest: int) -> None:
    """In the place of the nearest but the middle; of a layer with fewer slices at its place in the volume."""
    heat = np.zeros((layers, 2, 2))
    heat[strongest] = -1
    for most in (5, 9):
        numbers = shown_slices(heat, depth, most)
        assert {round((strongest + 0.5) * depth / layers - 0.5), depth // 2} <= {*numbers}
        assert numbers == sorted(set(numbers))
        assert len(numbers) == most
        assert shown_slices(heat * 0, depth, most) == slice_numbers(depth, most)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_the_axis_of_a_series_counts_samples_and_of_letters_positions(method: str) -> None:
    values = np.ones((1, 2, 40), np.float32)
    (view,) = Attribution(values, np.zeros(1), np.ones(1, np.float32), method).views().values()
    assert view.axis is not None
    assert view.axis.label == ("positions" if method == "mutagenesis" else "time (samples)")
