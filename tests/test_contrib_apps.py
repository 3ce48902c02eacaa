"""Datasette and Streamlit are told who is there in ways of their own, which believe nobody but the middleware."""

from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
from starlette.responses import JSONResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from ck_middleware import ASGIAuthMiddleware, AuthError
from ck_middleware.testing import log_in

SETTINGS: dict[str, Any] = {
    "client_id": "ck_x",
    "client_secret": "s3cret",
    "session_secret": "0123456789abcdef" * 2,
    "public": ["/-/"],
}
ORIGIN = "http://localhost:8000"


@pytest.fixture
def datasette() -> ModuleType:
    return import_module("ck_middleware.contrib.datasette")  # here, for it takes a while


@pytest.fixture
def streamlit() -> ModuleType:
    return import_module("ck_middleware.contrib.streamlit")


@pytest.fixture
def client(datasette: ModuleType) -> TestClient:
    """A browser that is told whom Datasette's hook takes it for."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        actor = datasette.actor_from_request(request=datasette.Request(scope, receive))
        await JSONResponse(actor)(scope, receive, send)

    return TestClient(ASGIAuthMiddleware(app, **SETTINGS), base_url=ORIGIN)


def test_the_actor_is_who_has_logged_in_with_all_that_is_known_of_them(client: TestClient) -> None:
    assert client.get("/-/actor.json").json() is None
    log_in(client, sub="otter", name="Quiet Otter", id="the provider's own")
    assert client.get("/-/actor.json").json() == {
        "iss": "https://pseudoidc.consentkeys.com",
        "sub": "otter",
        "id": "otter",
        "name": "Quiet Otter",
        "email": "test.person@example.test",
    }


def test_nobody_becomes_the_root_of_a_datasette_by_their_pseudonym(client: TestClient) -> None:
    log_in(client, sub="root")
    assert client.get("/-/actor.json").json() is None


def test_a_streamlit_page_that_is_shown_without_the_middleware_knows_nobody(streamlit: ModuleType) -> None:
    with pytest.raises(AuthError, match="start the app that is wrapped"):
        streamlit.current_user()


def test_a_handle_that_a_client_thought_up_does_not_reach_streamlit(streamlit: ModuleType) -> None:
    handles = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        handles.append(websocket.headers.getlist(streamlit.HANDLE))
        await websocket.accept()
        await websocket.close()

    client = TestClient(streamlit.StreamlitAuthMiddleware(app, **SETTINGS), base_url=ORIGIN)
    for _ in range(2):
        with client.websocket_connect("ws://localhost:8000/-/stream", headers={streamlit.HANDLE: "thought-up"}):
            pass
    (first,), (second,) = handles
    assert len({first, second, "thought-up"}) == 3
