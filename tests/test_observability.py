"""What docs/observability.md shows runs as it stands there, and what it counts adds up on real servers."""

import json
import logging
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from ck_middleware import WSGIAuthMiddleware
from support.browser import Browser
from support.documents import ROOT
from support.faces import WSGIFace, told
from support.fences import samples
from support.provider import MisbehavingProvider
from support.servers import PATIENCE, Running, Visitor, serve

DOCUMENT = ROOT / "docs" / "observability.md"
PEOPLE = 12


def sample(word: str) -> str:
    """The sample in which this stands."""
    (code,) = [one.code for one in samples(DOCUMENT, "python") if word in one.code]
    return code


@pytest.fixture
def environment(provider: MisbehavingProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the samples take from it."""
    monkeypatch.setenv("CONSENTKEYS_ISSUER", provider.issuer)
    monkeypatch.setenv("CONSENTKEYS_CLIENT_ID", str(provider.settings["client_id"]))
    monkeypatch.setenv("CONSENTKEYS_CLIENT_SECRET", str(provider.settings["client_secret"]))
    monkeypatch.setenv("SESSION_SECRET", "0123456789abcdef" * 2)


def visit(app: WSGIAuthMiddleware) -> Browser:
    """A browser before the app of a sample."""
    face = WSGIFace(app.config)
    app.app, face.app = face._tell, app
    return Browser(face)


@pytest.fixture
def audited() -> Iterator[None]:
    """The logger of the sample is of the whole process, and left as it was."""
    audit = logging.getLogger("audit")
    yield
    audit.handlers.clear()
    audit.propagate = True


@pytest.mark.usefixtures("environment", "audited", "light_clients")
def test_the_audit_log_has_who_came_and_went_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names: dict[str, Any] = {"site": None}
    exec(sample("audit = logging"), names)  # noqa: S102  # our own document
    ada = visit(names["app"])
    ada.log_in(name="Ada Lovelace")
    person = told(ada.get("/"))
    ada.post("/auth/logout")
    ada.log_in(decision="deny")
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["login", "logout"]
    for line in lines:
        assert line.keys() == {"at", "event", "issuer", "sub", "host"}
        assert (line["sub"], line["host"]) == (person["sub"], socket.gethostname())
        assert abs(datetime.now(UTC) - datetime.fromisoformat(line["at"])).total_seconds() < 600
    assert "Ada" not in json.dumps(lines)


@pytest.mark.usefixtures("environment", "light_clients")
def test_an_observer_of_ones_own_counts_by_labels() -> None:
    counted: list[tuple[str, Any]] = []

    class Statsd:
        def increment(self, name: str, tags: dict[str, str]) -> None:
            counted.append((name, tags))

    names: dict[str, Any] = {"site": None, "statsd": Statsd()}
    exec(sample("statsd"), names)  # noqa: S102  # our own document
    visit(names["app"]).log_in(decision="deny")
    assert ("ck.login_started", {}) in counted
    assert ("ck.login_refused", {"code": "access_denied"}) in counted


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("word", ["make_asgi_app()", "Spans()"])
def test_the_other_samples_are_apps(word: str) -> None:
    async def site(scope: object, receive: object, send: object) -> None: ...

    names: dict[str, Any] = {"site": site if "asgi" in word else print}
    try:
        exec(sample(word), names)  # noqa: S102  # our own document
    finally:
        for metric in {*REGISTRY._collector_to_names}:
            if any(name.startswith("ck_") for name in REGISTRY._collector_to_names[metric]):
                REGISTRY.unregister(metric)
    assert callable(names["app"])


def scraped(running: Running) -> dict[tuple[str, tuple[str, ...]], float]:
    answer = running.ask("/metrics")
    assert answer.status == 200
    return {
        (one.name, tuple(one.labels.values())): one.value
        for family in text_string_to_metric_families(answer.text)
        for one in family.samples
    }


def log_in(running: Running, number: int) -> None:
    with Visitor(running.origin, f"Person {number}") as visitor:
        visitor.log_in()


@pytest.mark.parametrize(
    ("how", "looks"),
    [("--worker-class gthread --threads 4", 1), ("--worker-class gevent --preload", 2)],
    ids=["gthread", "gevent-preload"],
)
def test_what_four_workers_count_adds_up_to_what_there_was(
    how: str, looks: int, provider: MisbehavingProvider, tmp_path: Path
) -> None:
    """Who looks twice, does so again after every worker was killed and replaced."""
    folder, settings = tmp_path / "metrics", tmp_path / "gunicorn.conf.py"
    folder.mkdir()
    settings.write_text(sample("def child_exit"), "utf-8")
    command = f"gunicorn --config {settings} {how} --workers 4 support.apps.metered:app"
    environ = {"PROMETHEUS_MULTIPROC_DIR": str(folder), "CONSENTKEYS_STORE": f"sqlite:///{tmp_path}/sessions.db"}
    with serve(command, provider, tmp_path, **environ) as running, running.quoted():
        with ThreadPoolExecutor(4) as people:
            list(people.map(log_in, [running] * PEOPLE, range(PEOPLE)))
        refused = refused_by_two_workers(running, folder)
        for look in range(looks):
            if look:
                running.kill_workers()
            found = scraped(running)
            assert found["ck_logins_started_total", ()] == found["ck_logins_succeeded_total", ()] == PEOPLE
            assert found["ck_login_seconds_count", ()] == PEOPLE
            assert found["ck_logins_refused_total", ("login_expired",)] == refused
            assert found["ck_provider_call_seconds_count", ("token",)] == PEOPLE
            assert found["ck_store_calls_total", ("put", "ok")] == PEOPLE
            assert found["ck_logins_in_progress", ()] == 0


def refused_by_two_workers(running: Running, folder: Path) -> int:
    """How many logins were refused until two workers at least have counted something."""
    ending, asked = time.monotonic() + PATIENCE, 0
    while True:
        running.ask("/auth/callback?state=x&code=y")
        asked += 1
        counting = {int(file.stem.rpartition("_")[2]) for file in folder.glob("counter_*.db")}
        if len(counting & running.workers) > 1:
            return asked
        assert time.monotonic() < ending, running.written()
