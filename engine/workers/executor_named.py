"""The executors by their names."""

from __future__ import annotations

from ..errors import InputError
from ..support.choice import choose
from ..support.processor import this_processor
from .dask_tasks import DaskTasks
from .dispatch import Executor
from .process_pool import ProcessPool
from .ray_tasks import RayTasks

__all__ = ["EXECUTORS", "executor_named"]

EXECUTORS = ("process", "ray", "dask")


def executor_named(name: str, workers: int | None, threads: int, address: str | None, most: int) -> Executor:
    """An executor with its workers; of processes of this machine no more than ``most``."""
    cores = this_processor().cores
    if choose(name, EXECUTORS, "executor") == "ray":
        return RayTasks(workers, threads, address)
    if name == "dask":
        return DaskTasks(workers, cores, address)
    if address is not None:
        raise InputError("address= is that of a cluster: name executor='ray' or 'dask', too")
    return ProcessPool(min(cores if workers is None else workers, max(1, most)))
