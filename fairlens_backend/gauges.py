"""Every metric of the server for Prometheus, declared once; counted in this process, read as the sum of all workers.

Under gunicorn each worker writes its counts into a file of the folder that `gunicorn.conf.py` makes, and whoever is asked adds
the files up; a worker that ends leaves its counts there, so that no sum falls. What rows know better is not counted here but
read when it is asked for: `operation_gauges`, `fairness_gauges`. Labels are few and bounded: methods, routes as they are
declared, codes, outcomes. Never a group, a person, an address or an id.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector

from fairlens_backend import config

_OWN: Final = CollectorRegistry()
_FOLDER: Final = config.metrics_folder()  # as it was when prometheus_client was imported: it looks once, too
METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
UNMATCHED: Final = "unmatched"

_requests = Counter(
    "fairlens_http_requests", "Requests answered.", ["method", "route", "status"], registry=_OWN
)
_seconds = Histogram(
    "fairlens_http_request_duration_seconds",
    "Seconds from the first line of a request to its answer.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=_OWN,
)
_events = Counter(
    "fairlens_events", "Single decisions that were sent, by what became of them.", ["outcome"], registry=_OWN
)
_labels = Counter(
    "fairlens_labels", "True outcomes that were sent, by what became of them.", ["outcome"], registry=_OWN
)
_cache = Counter(
    "fairlens_cache_reads", "Expensive reads, by whether their answer was kept.", ["outcome"], registry=_OWN
)


def note_request(method: str, route: str | None, status: int, seconds: float) -> None:
    """One request is answered. `route` is the rule as it is declared, None where no address of ours was asked."""
    method, route = method if method in METHODS else "OTHER", route or UNMATCHED
    _requests.labels(method, route, str(status)).inc()
    _seconds.labels(method, route).observe(seconds)


def note_events(*, ingested: int, duplicate: int, rejected: int) -> None:
    """So many decisions of one call were new, were seen before, became dead letters."""
    for outcome, n in (("ingested", ingested), ("duplicate", duplicate), ("rejected", rejected)):
        if n:
            _events.labels(outcome).inc(n)


def note_labels(*, joined: int, unchanged: int, waiting: int, expired: int) -> None:
    """So many labels of one call changed a count, changed none, wait for their decision, came after its row was purged."""
    for outcome, n in (
        ("joined", joined),
        ("unchanged", unchanged),
        ("waiting", waiting),
        ("expired", expired),
    ):
        if n:
            _labels.labels(outcome).inc(n)


def note_cache(hit: bool) -> None:
    """An expensive read was answered from the cache, or not."""
    _cache.labels("hit" if hit else "miss").inc()


def gauge(name: str, told: str, value: float | None) -> list[Metric]:
    """A number without labels, as it is now; nothing where it is unknown: an absent sample says so, a zero would not."""
    return gauges(name, told, (), [] if value is None else [((), value)])


def gauges(
    name: str, told: str, labels: Sequence[str], samples: Iterable[tuple[Sequence[str], float]]
) -> list[Metric]:
    """Numbers with labels, as they are now."""
    family = GaugeMetricFamily(name, told, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return [family] if family.samples else []


def counters(
    name: str, told: str, labels: Sequence[str], samples: Iterable[tuple[Sequence[str], float]]
) -> list[Metric]:
    """Numbers with labels that only grow, as rows have them; `name` without `_total`."""
    family = CounterMetricFamily(name, told, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return [family] if family.samples else []


def text_of(families: Iterable[Metric], accept: str, *, with_counted: bool) -> tuple[bytes, str]:
    """The exposition of some families, with or without what the workers counted; and its content type.

    Parameters
    ----------
    accept : the Accept header: OpenMetrics for who asks for it, else Prometheus's own text
    """
    registry = CollectorRegistry(auto_describe=False)
    if with_counted:
        registry.register(MultiProcessCollector(None, _FOLDER) if _FOLDER else _OWN)  # type: ignore[no-untyped-call, arg-type]
    registry.register(_Given(list(families)))  # type: ignore[arg-type]
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Given:
    """Families that were made already, as a registry takes them."""

    def __init__(self, families: list[Metric]) -> None:
        self.families = families

    def collect(self) -> list[Any]:
        """All of them."""
        return self.families
