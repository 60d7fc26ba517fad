"""What Prometheus is told: requests, jobs, seconds; read it at ``/metrics``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .store import Job, State, Store

_METHODS = ("GET", "POST", "DELETE")  # of a client's own words every one would be a row
_JOB_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)
_REQUEST_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10)


class Metrics:
    """The figures of one service.

    Args:
        store: Asked for the jobs whenever somebody reads the figures.
    """

    def __init__(self, store: Store) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_Jobs(store))
        self._stages = Histogram(
            "stvg_stage_seconds",
            "Seconds that jobs spent, by stage; waiting is before the start.",
            ["stage"],
            buckets=_JOB_SECONDS,
            registry=self.registry,
        )
        self._ended = Counter(
            "stvg_jobs_ended", "Jobs that ended.", ["kind", "state"], registry=self.registry
        )
        self.requests = Counter(
            "stvg_http_requests", "Requests answered.", ["method", "route", "status"],
            registry=self.registry,
        )  # fmt: skip
        self.request_seconds = Histogram(
            "stvg_http_request_seconds",
            "Seconds until the head of the answer.",
            ["route"],
            buckets=_REQUEST_SECONDS,
            registry=self.registry,
        )

    def job_ended(self, job: Job, state: State, seconds: Mapping[str, float]) -> None:
        """Count a job that ended, and what it took by stage."""
        self._ended.labels(job.kind, state).inc()
        if job.started_s is not None:
            self._stages.labels("waiting").observe(max(0.0, job.started_s - job.created_s))
        for stage, spent_s in seconds.items():
            self._stages.labels(stage).observe(spent_s)

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)


class _Jobs(Collector):
    """How many jobs there are now, by kind and state."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing, so that registering does not read the store."""
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The numbers of this moment; queued jobs of the kind ground are the queue."""
        family = GaugeMetricFamily("stvg_jobs", "Jobs by state.", labels=["kind", "state"])
        for (kind, state), count in self._store.counts().items():
            family.add_metric([kind, state], count)
        yield family


class Measured:
    """Counts and times every request, refused ones too; the outermost layer of the app."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and take note of the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        metrics: Metrics = scope["app"].state.service.metrics
        began = time.perf_counter()

        def note(status: int) -> None:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = getattr(scope.get("route"), "path", "none")
            metrics.requests.labels(method, route, status).inc()
            metrics.request_seconds.labels(route).observe(time.perf_counter() - began)

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                note(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception:  # answered further out, by ``app._apologise``
            note(500)
            raise
