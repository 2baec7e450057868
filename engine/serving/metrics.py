"""The numbers of a service, as Prometheus reads them, in a registry of its own."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

__all__ = ["Metrics"]

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters, gauges and histograms; the values of their labels are models, routes and statuses that exist."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        ours: dict[str, Any] = {"registry": self.registry, "namespace": "onnxray"}
        times, runs = {"buckets": SECONDS, **ours}, ("model", "operation")
        self.requests = Counter("requests", "Requests answered", ("route", "model", "code"), **ours)
        self.seconds = Histogram(
            "request_seconds", "From a request's headers to its answer", ("route", "model"), **times
        )
        self.rows = Histogram("batch_rows", "Rows of a run", runs, buckets=ROWS, **ours)
        self.runs = Histogram("run_seconds", "Seconds of a run", runs, **times)
        self.errors = Counter("errors", "Requests without a result", ("model", "kind"), **ours)
        self.waiting = Gauge("queue", "Requests that wait for a run", ("model",), **ours)
        self.taken = Gauge("requests_in_progress", "Requests that are read, wait or run", ("model",), **ours)
        self.ready = Gauge("ready", "Whether all models have run once", **ours)
