"""Tasks of dask.distributed: on a cluster that is there, or on one of this machine that is started for the run."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from contextlib import ExitStack
from typing import Any

from ..errors import RuntimeUnavailable
from ..optional import import_extra
from .dispatch import Executor, Work, WorkerDied

__all__ = ["DaskTasks"]


class DaskTasks(Executor):
    """A task for each shard; ``workers`` at a time, or as many as the cluster has threads.

    A cluster at ``address``, such as "tcp://scheduler:8786", stays. On a worker with several threads each opens the
    model once for all. Raises RuntimeUnavailable without dask.distributed, or where no scheduler answers.
    """

    def __init__(self, workers: int | None, cores: int, address: str | None) -> None:
        self._distributed, self._workers = import_extra("distributed"), workers
        self._stack = ExitStack()
        try:
            self._client = self._opened(workers or cores, address)
        except (OSError, ValueError, TypeError) as error:
            self._stack.close()
            reason = " ".join(str(error).split())
            raise RuntimeUnavailable(f"no Dask scheduler at {address or 'this machine'}: {reason}") from error

    def _opened(self, workers: int, address: str | None) -> Any:
        cluster: Any = address
        if address is None:
            once = import_extra("dask").config.set({"distributed.scheduler.allowed-failures": 0})
            self._stack.enter_context(once)  # what kills workers is counted by the run
            cluster = self._distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0", memory_limit=0,
                silence_logs=logging.CRITICAL,
            )  # fmt: skip
            self._stack.enter_context(cluster)
        client = self._distributed.Client(cluster, timeout="20s")
        return self._stack.enter_context(client)

    def __exit__(self, *problem: object) -> None:
        self._stack.close()

    def most(self) -> int:
        """One for each worker: of a worker that dies Dask gives up all tasks, those that wait, too."""
        if self._workers is not None:
            return self._workers
        known = self._client.scheduler_info(n_workers=-1)["workers"].values()
        return max(1, sum(one["nthreads"] for one in known))  # workers come and go

    def submit(self, work: Work[Any]) -> Any:
        return self._client.submit(work[0], *work[1], pure=False)

    def finished(self, flying: Collection[Any]) -> Iterable[Any]:
        return self._distributed.wait(list(flying), return_when="FIRST_COMPLETED").done

    def result(self, future: Any) -> Any:
        try:
            return future.result()
        except self._distributed.KilledWorker as error:
            raise WorkerDied from error
        except self._distributed.client.FutureCancelledError as error:
            raise RuntimeUnavailable(f"the Dask scheduler is gone: {error}; the same call goes on") from error
