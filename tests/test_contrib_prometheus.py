"""Prometheus counts what happens, under labels of which nobody can make more."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from ck_middleware.contrib import prometheus
from ck_middleware.contrib.prometheus import Metrics
from ck_middleware.log import INFO
from ck_middleware.observing import LABELS, VALUES, Observation
from support.browser import Browser
from support.documents import rows
from support.faces import Guard
from support.provider import MisbehavingProvider

DOCUMENT = Path(__file__).parent.parent / "docs" / "observability.md"


@pytest.fixture(params=["cookie", "memory"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> Metrics:
    return Metrics(registry)


@pytest.fixture
def browser(guard: Guard, metrics: Metrics) -> Browser:
    return Browser(guard(observers=[metrics]))


def samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[str, ...]], float]:
    """Every number there is, by its name and the values of its labels."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if not sample.name.endswith(("_created", "_bucket"))
    }


def test_each_login_and_refusal_is_counted(browser: Browser, registry: CollectorRegistry, kind: str) -> None:
    for _ in range(3):
        browser.log_in(name="Ada")
    browser.log_in(decision="deny")
    Browser(browser.face).get("/auth/callback?state=x&code=y")
    browser.post("/auth/logout")
    found = samples(registry)
    assert found["ck_logins_started_total", ()] == 4
    assert found["ck_logins_succeeded_total", ()] == found["ck_login_seconds_count", ()] == 3
    assert found["ck_logins_refused_total", ("access_denied",)] == 1
    assert found["ck_logins_refused_total", ("login_expired",)] == 1
    assert found["ck_logouts_total", ("person", "ok")] == 1
    assert found["ck_provider_calls_total", ("token", "ok")] == found["ck_provider_call_seconds_count", ("token",)] == 3
    assert found["ck_provider_calls_total", ("discovery", "ok")] == 1
    assert found["ck_provider_call_seconds_sum", ("token",)] > 0
    assert (("ck_store_call_seconds_count", ("put",)) in found) == (kind != "cookie")
    assert found["ck_logins_in_progress", ()] == 0


def test_a_login_that_waits_for_the_provider_is_in_progress(
    browser: Browser, registry: CollectorRegistry, provider: MisbehavingProvider
) -> None:
    meanwhile = []

    async def slowly(_: object, honest: Any) -> Any:
        meanwhile.append(samples(registry)["ck_logins_in_progress", ()])
        return await honest()

    provider.faults.answer("token", slowly)
    browser.log_in()
    assert meanwhile == [1]
    assert samples(registry)["ck_logins_in_progress", ()] == 0


HOSTILE = [
    "ck_u_0123456789abcdef",
    "ada@example.org",
    "/dashboard?token=x",
    "a" * 10_000,
    'x"}\nforged 1',
    "\ud800",
    "",
]


@pytest.mark.parametrize("name", LABELS)
def test_nobody_makes_a_label_of_their_own(name: str, metrics: Metrics, registry: CollectorRegistry) -> None:
    for label in (*LABELS[name], "state", "sub", "path"):
        for number in range(100):
            for value in (*HOSTILE, number, None, object(), ValueError("x")):
                metrics(Observation(name, INFO, "", 0.5, {label: value}))
    known = {"other", *(value for label in LABELS[name] for value in VALUES[label])}
    sets = {labels for _, labels in samples(registry) if labels}
    assert len(sets) <= 3
    assert {value for labels in sets for value in labels} <= known


def test_nor_by_what_is_sent_to_the_app(
    browser: Browser, registry: CollectorRegistry, provider: MisbehavingProvider
) -> None:
    """Errors, states, issuers, paths and answers that nobody has seen before, and a metric of each kind of them."""
    back = browser.choose(browser.start_login())
    for number in range(20):
        for target in (f"state=x{number}&error=e{number}", f"state=x{number}&iss=https://{number}.example", "error=x"):
            browser.get(f"/auth/callback?{target}")
        browser.get(f"/auth/{number}/x?y={number}")
        provider.faults.fail("token", 400 + number, times=1)
        browser.come_back(back)
        back = browser.choose(browser.start_login())
        browser.get("/auth/health")
    known = {"other", *(value for values in VALUES.values() for value in values)}
    found = samples(registry)
    assert len(found) < 60
    assert {value for _, labels in found for value in labels} <= known


def test_one_registry_has_one(metrics: Metrics, registry: CollectorRegistry, guard: Guard) -> None:
    with pytest.raises(ValueError, match="ck_logins_started"):
        Metrics(registry)
    for _ in range(2):
        Browser(guard(observers=[metrics])).log_in()
    assert samples(registry)["ck_logins_succeeded_total", ()] == 2


def test_the_document_names_every_metric_with_its_labels_and_their_values(
    metrics: Metrics, registry: CollectorRegistry
) -> None:
    told = {metric: (kind, _words(labels)) for metric, kind, labels, _ in rows(DOCUMENT, "| metric | type | labels |")}
    named = {f"{metric}_total": LABELS[name] for name, (metric, _) in prometheus.COUNTED.items()}
    named |= {metric: labels for metric, _, labels, _ in prometheus.TIMED.values()}
    real = {}
    for metric in registry.collect():
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        real[name] = (metric.type, set(named.get(name, ())))
    assert told == real


@pytest.mark.parametrize("label", VALUES)
def test_the_document_names_every_value_of_a_label(label: str) -> None:
    assert _words(dict(rows(DOCUMENT, "| label | values |"))[label]) == VALUES[label]


def test_the_document_names_everything_that_happens_with_its_labels() -> None:
    told = {name: _words(labels) for name, labels, *_ in rows(DOCUMENT, "| name | labels |")}
    assert told == {name: set(labels) for name, labels in LABELS.items()}


def _words(cell: str) -> set[str]:
    return {word.strip() for word in cell.split(",") if word.strip()}


@pytest.mark.parametrize(
    ("module", "package", "extra"), [("prometheus", "prometheus_client", "metrics"), ("otel", "opentelemetry", "otel")]
)
def test_where_the_package_is_not_installed_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, module: str, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, f"ck_middleware.contrib.{module}", raising=False)
    with pytest.raises(ImportError, match=rf"pip install 'ck-middleware\[{extra}\]'"):
        importlib.import_module(f"ck_middleware.contrib.{module}")
