"""This file is apps below a path of their site, behind an nginx that cuts the prefix off, and one that leaves it."""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from support.deployed import DEPLOY, Front, behind_nginx, deployed, environ_at, lines
from support.ports import HOST, Port
from support.provider import Hub
from support.servers import PATIENCE, Visitor

MOUNT = "/app"
KEPT, CUT = "kept", "cut"
SERVERS = (
    ("gunicorn-below", KEPT),
    ("gunicorn-asgi-below", KEPT),
    ("hypercorn-below", KEPT),
    ("uvicorn-below", CUT),
    ("waitress-below", CUT),
    ("gunicorn", CUT),  # which knows nothing of a mount: base_url alone does
)


def _mounted(app: str, how: str) -> str:
    """app.conf with one of the locations of mounted.conf in place of its own."""
    kept, cut = (DEPLOY / "nginx" / "mounted.conf").read_text("utf-8").split("\n\n")
    head, _, tail = app.partition("    location / {")
    return head + (kept if how == KEPT else cut) + "\n" + tail.partition("    }\n")[2]


@pytest.fixture(params=SERVERS, ids="-".join)
def front(request: pytest.FixtureRequest, hub: Hub, tmp_path: Path) -> Iterator[Front]:
    name, how = request.param
    with hub.provider() as provider, Port() as port, ExitStack() as stack:
        upstream = [f"{HOST}:{port.number}"]
        front = stack.enter_context(behind_nginx(tmp_path / "nginx", upstream, change=partial(_mounted, how=how)))
        environ, mount = environ_at(front.origin + MOUNT, provider), MOUNT if how == KEPT else ""
        running = deployed(lines()[name], port.number, tmp_path / name, environ, mount=mount, workers=1)
        stack.enter_context(stack.enter_context(running).quoted())
        yield front


def test_below_a_mount_people_come_in_and_go_and_every_address_has_it_in_front(front: Front) -> None:
    with httpx.Client(base_url=front.origin, verify=front.tls, trust_env=False, timeout=PATIENCE) as stranger:
        assert stranger.get("/app/who").headers["location"] == "/app/auth/login?next=%2Fapp%2Fwho"
        refused = stranger.get("/app/api/x")
        assert (refused.status_code, refused.json()["login_url"]) == (401, "/app/auth/login?next=%2Fapp%2Fapi%2Fx")
        to_provider = stranger.get("/app/auth/login").headers["location"]
        assert parse_qs(urlsplit(to_provider).query)["redirect_uri"] == [f"{front.origin}/app/auth/callback"]
    with Visitor(front.origin + MOUNT, "Ada", tls=front.tls) as ada:
        home = ada.log_in()
        assert (home.json()["name"], str(home.url)) == ("Ada", f"{front.origin}/app/who")
        assert ada.post("/auth/logout").json()["success"] is True
        assert ada.get("/auth/me").status_code == 401
