"""The measurement of samples, one after another, by a comparison and by an evaluation."""

from __future__ import annotations

from collections.abc import Callable

from ..errors import InputError, ModelError, OnnxrayError, OutputError, RuntimeUnavailable
from ..samples.sample import Sample, Samples
from .record import Failed, Progress
from .sample_warnings import SampleWarnings
from .summary import Row

__all__ = ["measure_samples"]


def measure_samples(
    samples: Samples,
    row: Callable[[int, Sample], Row],
    failed: Callable[[Failed], None],
    progress: Progress | None,
) -> tuple[tuple[Row, ...], tuple[Failed, ...]]:
    """The rows that ``row`` makes of the samples, and the samples that failed, with each of which ``failed`` is called.

    Warnings are told once, at the end. Raises InputError if every sample failed, and at once what is wrong with a
    model, an output file or a runtime.
    """
    rows: list[Row] = []
    losses: list[Failed] = []
    told = SampleWarnings()
    for index, sample in enumerate(samples):
        if progress:
            progress(sample.name, index / len(samples))
        try:
            with told.of(sample.name):
                rows.append(row(index, sample))
        except (ModelError, OutputError, RuntimeUnavailable):
            raise
        except (OnnxrayError, OSError) as error:
            losses.append(Failed(sample.name, " ".join(str(error).split())))
            failed(losses[-1])
    told.warn()
    if not rows:
        raise InputError(f"none of {len(losses)} samples could be compared; the first: {losses[0] if losses else '-'}")
    return tuple(rows), tuple(losses)
