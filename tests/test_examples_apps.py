"""This file is the examples whose frameworks bring an interface, entered by a browser and the scripts of its pages."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from support.examples import APPS, NAME, PATIENCE, Browser, started
from support.provider import Hub

Answer = tuple[int, str]


def dash(browser: Browser) -> Answer:
    """A callback, as Dash's script calls it when the page has been drawn."""
    call = {
        "output": "title.children",
        "outputs": {"id": "title", "property": "children"},
        "inputs": [{"id": "title", "property": "id", "value": "title"}],
        "changedPropIds": [],
    }
    answer = browser.tell("/_dash-update-component", call)
    return answer.status_code, answer.text if answer.is_error else str(answer.json())


def streamlit(browser: Browser) -> Answer:
    """The WebSocket through which Streamlit draws the page, asked to draw it."""
    with shaken(browser, "/_stcore/stream", "streamlit") as socket:
        socket.send(bytes([11 << 3 | 2, 0]))  # BackMsg.rerun_script, with nothing in it
        return 101, until(socket, NAME)


def gradio(browser: Browser) -> Answer:
    """The queue in which Gradio calls a function, and the stream of events in which it answers."""
    answer = browser.tell("/gradio_api/queue/join", {"data": [], "fn_index": 0, "session_hash": "zoe"})
    if answer.is_error:
        return answer.status_code, answer.text
    with browser.client.stream("GET", "/gradio_api/queue/data?session_hash=zoe") as events:
        return events.status_code, next(line for line in events.iter_lines() if "process_completed" in line)


def nicegui(browser: Browser) -> Answer:
    """The page, and the WebSocket through which NiceGUI keeps it up to date."""
    page = browser.ask("/", Accept="application/json, text/html").text
    client = re.search(r'"client_id": ?"([^"]+)"', page)
    query = f"EIO=4&transport=websocket&client_id={client[1] if client else ''}"
    with shaken(browser, f"/_nicegui_ws/socket.io/?{query}") as socket:
        opened = until(socket, '0{"sid"')
        socket.send("40")
        return 101, opened + until(socket, '40{"sid"') + page


def datasette(browser: Browser) -> Answer:
    """Whom Datasette takes the visitor for."""
    answer = browser.ask("/-/actor.json", Accept="application/json")
    return answer.status_code, answer.text if answer.is_error else str(answer.json())


def mlflow(browser: Browser) -> Answer:
    """The experiments, as the interface asks for them."""
    answer = browser.tell("/ajax-api/2.0/mlflow/experiments/search", {"max_results": 1})
    return answer.status_code, answer.text


ALIVE: dict[str, tuple[Callable[[Browser], Answer], int, str]] = {  # what is asked, and what people are answered
    "dash_app.py": (dash, 200, f"Welcome, {NAME}!"),
    "streamlit_app.py": (streamlit, 101, NAME),
    "gradio_app.py": (gradio, 200, "ngstr"),
    "nicegui_app.py": (nicegui, 101, "ngstr"),
    "datasette_plugins/consentkeys.py": (datasette, 200, NAME),
    "mlflow_server.sh": (mlflow, 200, "Default"),
}


def shaken(browser: Browser, path: str, *protocols: str) -> ClientConnection:
    """A WebSocket of this browser's. Raises `InvalidStatus` when it is refused."""
    return connect(
        browser.origin.replace("http", "ws", 1) + path,
        origin=Origin(browser.origin),
        additional_headers={"Cookie": browser.cookies} if browser.cookies else {},
        subprotocols=[Subprotocol(protocol) for protocol in protocols] or None,
        open_timeout=PATIENCE,
        close_timeout=PATIENCE,
        max_size=None,
        proxy=None,
    )


def until(socket: ClientConnection, words: str) -> str:
    """The first message in which these words are."""
    while True:
        message = socket.recv(PATIENCE)
        text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
        if words in text:
            return text


@pytest.fixture
def browser(app: str, hub: Hub, tmp_path: Path) -> Iterator[Browser]:
    with hub.provider() as provider, started(app, provider, tmp_path) as origin, Browser(origin) as browser:
        yield browser


# One test for each, from the stranger to the stranger again: to start some of these servers takes its time.
@pytest.mark.parametrize("app", APPS)
def test_the_page_and_what_is_alive_in_it_are_for_people_alone(app: str, browser: Browser) -> None:
    ask, status, words = ALIVE[app]
    answer = browser.ask("/")
    assert (answer.status_code, answer.headers["location"]) == (303, "/auth/login?next=%2F")
    assert "Authentication required" in refusal(ask, browser)

    page = browser.log_in("/")
    assert page.status_code == 200
    assert page.url == f"{browser.origin}/"
    found, text = ask(browser)
    assert found == status
    assert words in text

    browser.submit("/auth/logout")
    assert "Authentication required" in refusal(ask, browser)


def refusal(ask: Callable[[Browser], Answer], browser: Browser) -> str:
    """What strangers are told with their 401."""
    try:
        status, text = ask(browser)
    except InvalidStatus as refused:
        status, text = refused.response.status_code, (refused.response.body or b"").decode()
    assert status == 401, text
    return text
