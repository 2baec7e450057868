"""Comparison, the result of ``compare()``, and the measurement of its samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from ..methods import METHODS
from ..support.caller import warn_caller
from ..workers.chosen_workers import ChosenWorkers
from .journal import open_journal
from .measuring import measured_of
from .opened_pair import CompareWork
from .outcomes import measured_by_workers, measured_here, opened_for
from .pair import Pair
from .record import ComparisonRecord, Failed, Progress
from .summary import Row

__all__ = ["Comparison", "Measuring", "warn_of_one_method"]

HARDLY_OF_WEIGHTS = frozenset({"guided", "deconvnet"})  # Relu policies whose maps hardly depend on the weights


@dataclass(frozen=True, repr=False)
class Comparison(ComparisonRecord):
    """The results of a comparison: rows by sample, their summary, the checks of thresholds, and the verdict.

    ``failed`` are the samples that were skipped. ``calibration`` and ``layers`` are there if they were requested.
    ``provenance`` says what was run how. ``report``, ``junit`` and ``markdown`` write files.
    """

    def report(self, folder: str | PathLike[str], worst: int = 6) -> Path:
        """Writes one self-contained HTML page into a folder, and the losses of the layers as node data of Model
        Explorer, where they were measured."""
        from .reports.comparison_page import write_report
        from .reports.node_data import write_node_data

        if self.layers is not None:
            write_node_data(self.layers, Path(folder))
        return write_report(self, Path(folder), worst)

    def junit(self, path: str | PathLike[str]) -> Path:
        """Writes the checks as JUnit XML, which CI servers show."""
        from .reports.junit import write_junit

        return write_junit(self, Path(path))

    def markdown(self, path: str | PathLike[str]) -> Path:
        """Writes the verdict and the table of the metrics as Markdown, for the summary of a CI job."""
        from .reports.markdown import write_markdown

        return write_markdown(self, Path(path))


@dataclass(frozen=True)
class Measuring:
    """Who measures the samples: this process, or workers that are sent the ``work``; and who hears of it."""

    workers: ChosenWorkers
    work: CompareWork | None
    failed: Callable[[Failed], None]
    progress: Progress | None

    def rows(
        self, pair: Pair, journal: Path | None, about: Mapping[str, Any], threads: int | None
    ) -> tuple[tuple[Row, ...], tuple[Failed, ...]]:
        """The rows of the samples, and those that failed; rows in the journal are reused."""
        with open_journal(journal, about) as book:
            if self.work is None:
                here = measured_here(pair.samples, lambda k, one: book.row(k, one, pair.row), self.progress)
                return measured_of(here, self.failed)
            if pair.memory is not None:
                pair.memory.close()  # this process only collects what workers find
            with opened_for(pair.samples, self.workers, threads) as executor:
                found = measured_by_workers(pair.samples, self.work, executor, self.progress, book.held, book.keep)
                return measured_of(found, self.failed)


def warn_of_one_method(methods: Sequence[str]) -> None:
    """Warns of methods that show little of what a model learned, unless another is beside them."""
    if all(name in METHODS and METHODS[name].relu_policy in HARDLY_OF_WEIGHTS for name in methods):
        warn_caller(
            f"{' and '.join(methods)} alone: its maps hardly depend on the weights (Adebayo et al., 2018), so two "
            "different models agree; add saliency or integrated-gradients"
        )
