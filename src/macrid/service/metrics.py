"""What Prometheus is told: of this process, or of all of them where there are several."""

import os
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

SHARED = "PROMETHEUS_MULTIPROC_DIR"  # the folder in which processes leave their numbers
CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_PEOPLE = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counts of one service; no label holds what people sent."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        mine: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter(
            "macrid_requests", "Requests answered", ["method", "route", "status"], **mine
        )
        self.seconds = Histogram(
            "macrid_request_seconds", "From request to answer", ["route"], buckets=_SECONDS, **mine
        )
        self.batch = Histogram(
            "macrid_batch_people", "People whose lists are made at once", buckets=_PEOPLE, **mine
        )
        self.busy = Counter("macrid_refused", "Requests refused", ["status"], **mine)
        self.reloads = Counter("macrid_reloads", "Model folders read again", ["result"], **mine)
        self.items = Gauge(
            "macrid_model_items", "Items of the model", multiprocess_mode="max", **mine
        )

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)
        if status in (401, 413, 429, 503):
            self.busy.labels(str(status)).inc()

    def page(self) -> bytes:
        """As Prometheus reads it."""
        if SHARED not in os.environ:
            return generate_latest(self.registry)
        everybodys = CollectorRegistry()
        MultiProcessCollector(everybodys)
        return generate_latest(everybodys)
