"""Signing out: here, at the provider, and back."""

from urllib.parse import urlsplit

import pytest
from starlette.responses import Response

from support.browser import Browser, at_provider, query_of
from support.clock import Clock
from support.faces import Face, Guard, told
from support.forgery import without
from support.provider import CLIENT_ID, MisbehavingProvider, provider_alone


@pytest.fixture
def ada(browser: Browser) -> Browser:
    browser.log_in(name="Ada")
    return browser


def test_a_form_signs_out_here_and_then_at_the_provider(ada: Browser, provider: MisbehavingProvider) -> None:
    answer = ada.post("/auth/logout")
    assert answer.status == 303
    assert answer.location.partition("?")[0] == provider.url("logout")
    query = query_of(answer.location)
    assert query.pop("state")
    assert query == {"client_id": CLIENT_ID, "post_logout_redirect_uri": "http://localhost:8000/"}
    assert not ada.is_logged_in  # before the provider was asked anything
    assert ada.cookies == {}


def test_whoever_comes_back_from_the_provider_finds_a_clean_address(guard: Guard) -> None:
    ada = Browser(guard(public=["/"]))
    ada.log_in()
    back = at_provider("GET", ada.post("/auth/logout").location).location
    assert back.startswith("http://localhost:8000/?state=")
    answer = ada.come_back(back)
    assert (answer.status, answer.location) == (303, "/")
    assert not told(ada.come_back(answer.location))["logged_in"]


def test_a_state_of_the_app_stays_in_the_address(guard: Guard) -> None:
    browser = Browser(guard(public=["/"]))
    for state in ("the-apps-own", "a&state=b", "out.forged.x.y", "%FF"):
        assert browser.get(f"/?state={state}").status == 200


def test_a_state_on_another_page_stays_there(ada: Browser) -> None:
    state = query_of(ada.post("/auth/logout").location)["state"]
    ada.log_in()
    assert ada.get(f"/other?state={state}").status == 200
    assert ada.request("HEAD", f"/?state={state}").status == 200


def test_a_state_is_dropped_for_ten_minutes(guard: Guard, clock: Clock) -> None:
    ada = Browser(guard(public=["/"]))
    ada.log_in()
    back = at_provider("GET", ada.post("/auth/logout").location).location
    clock.move(590)
    assert ada.come_back(back).status == 303
    clock.move(20)
    assert ada.come_back(back).status == 200


def test_the_token_of_a_form_is_no_state(guard: Guard) -> None:
    ada = Browser(guard(public=["/"]))
    ada.log_in()
    token = ada.get("/auth/logout").text.partition('name="token" value="')[2].partition('"')[0]
    assert ada.get(f"/?state={token}").status == 200


@pytest.mark.parametrize("after_logout", ["/bye", "/bye?from=here", "/caf%C3%A9"])
def test_after_logout_says_where_people_land(guard: Guard, provider: MisbehavingProvider, after_logout: str) -> None:
    ada = Browser(guard(after_logout=after_logout, public=["/bye", "/café"]))
    ada.log_in()
    url = ada.post("/auth/logout").location
    wanted = f"http://localhost:8000{after_logout}"
    assert query_of(url)["post_logout_redirect_uri"] == wanted
    back = wanted + ("&" if "?" in wanted else "?") + "state=" + query_of(url)["state"]
    answer = ada.come_back(back)
    assert (answer.status, answer.location) == (303, after_logout)
    assert ada.come_back(after_logout).status == 200


def test_a_script_signs_out_and_is_told_where_the_provider_does(ada: Browser, provider: MisbehavingProvider) -> None:
    answer = ada.fetch("/auth/logout", "POST")
    assert answer.status == 200
    assert answer.json["success"] is True
    assert answer.json["logout_url"].partition("?")[0] == provider.url("logout")
    assert at_provider("GET", answer.json["logout_url"]).location.startswith("http://localhost:8000/?state=")
    assert not ada.is_logged_in


def test_without_end_session_a_form_lands_in_the_app(guard: Guard, provider: MisbehavingProvider) -> None:
    provider.faults.discovery = without("end_session_endpoint")
    ada = Browser(guard(after_logout="/bye"))
    ada.log_in()
    answer = ada.post("/auth/logout")
    assert (answer.status, answer.location) == (303, "/bye")
    assert not ada.is_logged_in


def test_without_end_session_a_script_hears_of_success_alone(browser: Browser, provider: MisbehavingProvider) -> None:
    provider.faults.discovery = without("end_session_endpoint")
    browser.log_in()
    answer = browser.fetch("/auth/logout", "POST")
    assert (answer.status, answer.json) == (200, {"success": True})
    assert not browser.is_logged_in


def test_an_explicit_end_session_page_is_used(guard: Guard, provider: MisbehavingProvider) -> None:
    provider.faults.discovery = without("end_session_endpoint")
    ada = Browser(guard(end_session_endpoint=provider.url("logout") + "?theme=dark"))
    ada.log_in()
    assert ada.post("/auth/logout").location.startswith(provider.url("logout") + "?theme=dark&client_id=")


def test_signing_out_works_while_the_provider_is_down(guard: Guard) -> None:
    with provider_alone() as (provider, server):
        ada = Browser(guard(**provider.settings))
        ada.log_in()
        server.stop()
        restarted = Browser(guard(**provider.settings), cookies=ada.cookies)  # it has asked the provider nothing yet
        assert restarted.is_logged_in
        answer = restarted.post("/auth/logout")
    assert (answer.status, answer.location) == (303, "/")
    assert not restarted.is_logged_in


def test_signing_out_works_while_the_provider_is_broken(guard: Guard, provider: MisbehavingProvider) -> None:
    ada = Browser(guard())
    ada.log_in()
    provider.faults.answer("discovery", Response("<h1>Bad Gateway</h1>", 502))
    restarted = Browser(guard(), cookies=ada.cookies)
    answer = restarted.fetch("/auth/logout", "POST")
    assert (answer.status, answer.json) == (200, {"success": True})
    assert not restarted.is_logged_in


def test_signing_out_works_where_the_address_of_the_app_is_not_known(face: Face) -> None:
    ada = Browser(face)
    ada.log_in()
    elsewhere = Browser(face, origin="http://10.0.0.1:8000", cookies=ada.cookies)
    answer = elsewhere.post("/auth/logout", {"Sec-Fetch-Site": "same-origin"})
    assert (answer.status, answer.location) == (303, "/")
    assert not elsewhere.is_logged_in


def test_who_is_not_logged_in_may_sign_out_too(browser: Browser, provider: MisbehavingProvider) -> None:
    answer = browser.post("/auth/logout")
    assert (answer.status, answer.location) == (303, "/")
    assert answer.every("set-cookie") == []
    assert browser.fetch("/auth/logout", "POST").json == {"success": True}
    assert provider.hits == []


def test_the_page_of_the_link_has_a_button_that_signs_out(ada: Browser) -> None:
    page = ada.get("/auth/logout")
    assert page.status == 200
    assert ada.is_logged_in  # a link alone signs nobody out
    token = page.text.partition('name="token" value="')[2].partition('"')[0]
    assert f'<form method="post" action="{ada.at("/auth/logout")}">' in page.text
    answer = ada.request("POST", "/auth/logout", form={"token": token})
    assert answer.status == 303
    assert not ada.is_logged_in


def test_the_page_of_the_link_says_so_when_nobody_is_logged_in(browser: Browser) -> None:
    page = browser.get("/auth/logout")
    assert page.status == 200
    assert "<form" not in page.text
    assert 'href="/auth/login?next=%2F"' in page.text


def test_who_signed_out_can_log_in_again(ada: Browser) -> None:
    ada.post("/auth/logout")
    ada.log_in(name="Ada")
    assert ada.is_logged_in


def test_nobody_is_sent_anywhere_else_after_signing_out(ada: Browser, provider: MisbehavingProvider) -> None:
    elsewhere = dict.fromkeys(("next", "state", "post_logout_redirect_uri", "redirect_uri"), "https://evil.example/")
    query = "&".join(f"{name}={value}" for name, value in elsewhere.items())
    url = ada.post(f"/auth/logout?{query}", form=elsewhere).location
    assert url.startswith(provider.url("logout"))
    assert "evil.example" not in url
    assert "evil.example" not in ada.get(f"/auth/logout?{query}").text
    assert ada.post(f"/auth/logout?{query}", form=elsewhere).location == "/"


def test_signing_out_in_one_browser_leaves_another_alone(face: Face) -> None:
    ada, grace = Browser(face), Browser(face)
    ada.log_in(name="Ada")
    grace.log_in(name="Grace")
    ada.post("/auth/logout")
    assert grace.is_logged_in


def test_the_way_back_from_the_provider_is_below_base_url(guard: Guard, provider: MisbehavingProvider) -> None:
    provider.register("https://app.example/pre/auth/callback")
    ada = Browser(
        guard(base_url="https://app.example/pre", after_logout="/bye", public=["/bye"]),
        origin="https://app.example",
        hidden_mount="/pre",
    )
    ada.log_in()
    url = ada.post("/pre/auth/logout").location
    assert query_of(url)["post_logout_redirect_uri"] == "https://app.example/pre/bye"
    answer = ada.come_back("https://app.example/pre/bye?state=" + query_of(url)["state"])
    assert answer.location == "/pre/bye"
    assert urlsplit(answer.location).query == ""
