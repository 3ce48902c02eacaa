"""This file is Prometheus metrics of what happens: logins, refusals, endings, and how long others take to answer."""

from collections.abc import Callable, Mapping
from typing import Final

from ck_middleware.observing import LABELS, Observation

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
except ImportError as exc:
    raise ImportError(
        "ck_middleware.contrib.prometheus needs a package that is not installed; "
        "run: pip install 'ck-middleware[metrics]'"
    ) from exc

__all__ = ["Metrics"]

COUNTED: Final[Mapping[str, tuple[str, str]]] = {  # what happens: what it is counted as
    "login_started": ("ck_logins_started", "Logins for which somebody was sent to the provider"),
    "login_succeeded": ("ck_logins_succeeded", "Logins that ended with a session"),
    "login_refused": ("ck_logins_refused", "Logins that ended with a refusal"),
    "refresh": ("ck_refreshes", "Attempts to refresh the tokens of a session"),
    "recheck": ("ck_rechecks", "Attempts to have the provider confirm a session"),
    "logout": ("ck_logouts", "Logouts that were asked for"),
    "session_ended": ("ck_sessions_ended", "Stored sessions that were ended by somebody other than their own browser"),
    "provider_call": ("ck_provider_calls", "Calls to the provider"),
    "store_call": ("ck_store_calls", "Calls to the store of sessions"),
    "trouble": ("ck_troubles", "What went wrong and was survived; the log says more"),
}
QUICK: Final = (0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
CALLS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
PEOPLE: Final = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0)
TIMED: Final[Mapping[str, tuple[str, str, tuple[str, ...], tuple[float, ...]]]] = {
    "login_succeeded": ("ck_login_seconds", "From leaving for the provider to having a session", (), PEOPLE),
    "provider_call": ("ck_provider_call_seconds", "How long the provider takes to answer", ("endpoint",), CALLS),
    "store_call": ("ck_store_call_seconds", "How long the store takes to answer", ("operation",), QUICK),
}


class Metrics:
    """An observer that counts. One for each process and registry, however many middlewares it is given to.

    Every label has a few values that are known beforehand; whatever a stranger, a person or the provider sends, there
    are no others. With gunicorn's workers it adds up as `prometheus_client` does, by `PROMETHEUS_MULTIPROC_DIR`.
    """

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._counters = {
            name: Counter(metric, text, LABELS[name], registry=registry) for name, (metric, text) in COUNTED.items()
        }
        self._times = {
            name: Histogram(metric, text, labels, registry=registry, buckets=buckets)
            for name, (metric, text, labels, buckets) in TIMED.items()
        }
        self._coming_back = Gauge(
            "ck_logins_in_progress",
            "Logins that have come back from the provider and are being finished now",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def __call__(self, observation: Observation) -> None:
        labels = observation.labels
        if counter := self._counters.get(observation.name):
            (counter.labels(**labels) if labels else counter).inc()
        times = self._times.get(observation.name)
        if times and observation.seconds is not None:
            own = [labels[label] for label in TIMED[observation.name][2]]
            (times.labels(*own) if own else times).observe(max(0.0, observation.seconds))

    def began(self, observation: Observation) -> Callable[[Observation], None]:
        """What goes on is in the gauge until it ends."""
        if observation.name != "callback":
            return _ignored
        self._coming_back.inc()
        return lambda _: self._coming_back.dec()


def _ignored(_: Observation) -> None: ...
