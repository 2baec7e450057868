"""Runs over data sets: one method on many samples, in worker processes, into a folder of Parquet files."""

from .dataset_run import RunReport, run
from .finished_run import FinishedRun, read_run

__all__ = ["FinishedRun", "RunReport", "read_run", "run"]
