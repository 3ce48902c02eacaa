"""FastAPI asks for the user by the type of a parameter, and its document says so."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, HTTPException, Request, WebSocket
from fastapi.exception_handlers import http_exception_handler
from fastapi.testclient import TestClient
from starlette.responses import Response
from starlette.websockets import WebSocketDisconnect

from ck_middleware import ASGIAuthMiddleware, AuthError
from ck_middleware.contrib.fastapi import UNAUTHORIZED, CurrentUser, OptionalUser
from ck_middleware.testing import log_in

SETTINGS: dict[str, Any] = {
    "client_id": "ck_x",
    "client_secret": "s3cret",
    "session_secret": "0123456789abcdef" * 2,
    "protect": ["/api", "/mounted/inner"],
    "public": ["/api/open/"],
}

router = APIRouter(responses=UNAUTHORIZED)


@router.get("/api/me")
@router.get("/api/open/me")
@router.get("/elsewhere")
def me(user: CurrentUser) -> str:
    return user.sub


@router.get("/api/open/anyone")
def anyone(user: OptionalUser) -> str | None:
    return user.sub if user else None


@router.websocket("/api/open/socket")
async def socket(websocket: WebSocket, user: CurrentUser) -> None:
    await websocket.accept()
    await websocket.send_text(user.sub)
    await websocket.close()


def app_with(**settings: Any) -> FastAPI:
    app = FastAPI()
    app.add_middleware(ASGIAuthMiddleware, **settings)
    app.include_router(router)
    inner = FastAPI()
    inner.include_router(router)
    app.mount("/mounted", inner)
    return app


@pytest.fixture
def client() -> Iterator[TestClient]:
    with TestClient(app_with(**SETTINGS), base_url="http://localhost:8000") as client:
        yield client


SOCKET = "ws://localhost:8000/api/open/socket"
PATHS = ["/api/me", "/api/open/me", "/elsewhere", "/mounted/elsewhere", "/mounted/api/me"]


@pytest.mark.parametrize("path", PATHS)
def test_a_route_that_asks_for_a_user_gets_one(client: TestClient, path: str) -> None:
    log_in(client, sub="otter")
    assert client.get(path).json() == "otter"


@pytest.mark.parametrize("path", PATHS)
def test_a_route_that_asks_for_a_user_is_not_for_strangers_whether_its_path_is_protected_or_not(
    client: TestClient, path: str
) -> None:
    answer = client.get(path)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'OpenIDConnect realm="login"'
    assert "Authentication required" in answer.json().values()


def test_what_an_app_adds_to_one_refusal_is_not_in_the_next() -> None:
    async def refused(request: Request, exc: HTTPException) -> Response:
        if isinstance(exc.headers, dict) and "whose" in request.query_params:
            exc.headers["Set-Cookie"] = f"basket={request.query_params['whose']}"
        return await http_exception_handler(request, exc)

    app = app_with(**SETTINGS)
    app.add_exception_handler(HTTPException, refused)  # type: ignore[arg-type]  # as FastAPI's documents do it
    with TestClient(app, base_url="http://localhost:8000") as client:
        assert client.get("/elsewhere?whose=otter").headers["Set-Cookie"] == "basket=otter"
        assert "Set-Cookie" not in client.get("/elsewhere").headers


def test_a_route_may_be_for_anyone(client: TestClient) -> None:
    assert client.get("/api/open/anyone").json() is None
    log_in(client, sub="otter")
    assert client.get("/api/open/anyone").json() == "otter"


def test_a_websocket_is_refused_to_strangers(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect(SOCKET):
        pass
    assert refused.value.code == 1008
    log_in(client, sub="otter")
    with client.websocket_connect(SOCKET) as websocket:
        assert websocket.receive_text() == "otter"


def test_nobody_is_let_in_where_the_middleware_was_forgotten() -> None:
    app = FastAPI()
    app.include_router(router)
    client = TestClient(app, base_url="http://localhost:8000")
    for path in ("/api/me", "/api/open/anyone"):
        with pytest.raises(AuthError, match="did not come through the middleware"):
            client.get(path)


def test_the_document_says_what_strangers_are_answered_and_what_a_login_is(client: TestClient) -> None:
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/api/me"]["get"]
    schema = operation["responses"]["401"]["content"]["application/json"]["schema"]
    assert schema["anyOf"] == [
        {"$ref": "#/components/schemas/LoginNeeded"},
        {"$ref": "#/components/schemas/UserNeeded"},
    ]
    assert operation["security"] == [{"ConsentKeys": []}]
    scheme = document["components"]["securitySchemes"]["ConsentKeys"]
    assert (scheme["type"], scheme["in"], scheme["name"]) == ("apiKey", "cookie", "ck_session")
    assert "security" not in document["paths"]["/api/open/anyone"]["get"]


@pytest.mark.parametrize(("path", "name"), [("/api/me", "LoginNeeded"), ("/elsewhere", "UserNeeded")])
def test_strangers_are_answered_what_the_document_says(client: TestClient, path: str, name: str) -> None:
    schema = client.get("/openapi.json").json()["components"]["schemas"][name]
    assert client.get(path).json().keys() == schema["properties"].keys() == set(schema["required"])
