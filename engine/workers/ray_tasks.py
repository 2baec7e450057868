"""Ray Core tasks: on a cluster that is there, or on one of this machine that is started for the run."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import contextmanager
from typing import Any

from ..errors import RuntimeUnavailable
from ..optional import import_extra
from .dispatch import Executor, Work, WorkerDied

__all__ = ["RayTasks"]

AHEAD = 2  # shards in hand for each worker, so that none waits for its next


class RayTasks(Executor):
    """Tasks of ``threads`` processors each; ``workers`` at a time, or as many as the cluster has processors for.

    A cluster at ``address``, such as "auto" or "ray://head:10001", stays; where this process has called ``ray.init``,
    that cluster is taken. Raises RuntimeUnavailable without Ray, or where no cluster answers.
    """

    def __init__(self, workers: int | None, threads: int, address: str | None) -> None:
        self._ray, self._workers, self._threads = import_extra("ray"), workers, threads
        self._own = not self._ray.is_initialized()
        if self._own:
            _start(self._ray, workers, threads, address)
        remote: Callable[..., Any] = self._ray.remote(num_cpus=threads, max_retries=0, max_calls=0)
        self._remote = remote(_called)
        kinds = ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError", "ObjectLostError", "LocalRayletDiedError")
        self._deaths = tuple(getattr(self._ray.exceptions, name) for name in kinds)

    def __exit__(self, *problem: object) -> None:
        if self._own:
            self._ray.shutdown()

    def most(self) -> int:
        if self._workers is not None:
            return AHEAD * self._workers
        processors = int(self._ray.cluster_resources().get("CPU", 1))  # asked again: nodes come and go
        return AHEAD * max(1, processors // self._threads)

    def submit(self, work: Work[Any]) -> Any:
        return self._remote.remote(*work)

    def finished(self, flying: Collection[Any]) -> Iterable[Any]:
        return self._ray.wait(list(flying), num_returns=1)[0]

    def result(self, future: Any) -> Any:
        try:
            return self._ray.get(future)
        except self._deaths as error:
            raise WorkerDied from error
        except self._ray.exceptions.RayTaskError as error:
            raise (error.cause or error) from None


def _called(work: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    return work(*arguments)


def _start(ray: Any, workers: int | None, threads: int, address: str | None) -> None:
    settings: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    if address is None:  # without the dashboard and the reports that it sends
        settings |= {"num_cpus": None if workers is None else workers * threads, "include_dashboard": False}
    try:
        with _own_signals():
            ray.init(address, **settings)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise RuntimeUnavailable(f"no Ray cluster at {address or 'this machine'}: {reason}") from error


@contextmanager
def _own_signals() -> Any:
    """Keeps the handlers of signals that Ray would put its own in the place of."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
