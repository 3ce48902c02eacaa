"""This file is what a strict provider demands of an authorization request."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ck_middleware.dev.clients import Client
from ck_middleware.dev.forms import Refusal, Unanswerable
from ck_middleware.dev.people import SCOPES

CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # RFC 7636, section 4.2: SHA-256, base64url without padding

Parameters = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that may be answered to its `redirect_uri`. `state` and `nonce` are empty when there were none."""

    client_id: str
    redirect_uri: str
    state: str
    nonce: str
    scope: frozenset[str]
    code_challenge: str


# What must be so, and what is answered when it is not; the first that fails decides.
RULES: Final[tuple[tuple[Callable[[Parameters], bool], str, str], ...]] = (
    (lambda q: "request" not in q, "request_not_supported", "request objects are not supported"),
    (lambda q: "request_uri" not in q, "request_uri_not_supported", "request objects are not supported"),
    (lambda q: "registration" not in q, "registration_not_supported", "registration is not supported"),
    (lambda q: "response_type" in q, "invalid_request", "response_type is missing"),
    (lambda q: q["response_type"] == "code", "unsupported_response_type", "response_type must be code"),
    (lambda q: q.get("response_mode", "query") == "query", "invalid_request", "response_mode must be query"),
    (lambda q: "openid" in q.get("scope", "").split(" "), "invalid_scope", "scope must contain openid"),
    (lambda q: "code_challenge" in q, "invalid_request", "PKCE is required: code_challenge is missing"),
    (lambda q: q.get("code_challenge_method") == "S256", "invalid_request", "code_challenge_method must be S256"),
    (
        lambda q: CHALLENGE.fullmatch(q["code_challenge"]) is not None,
        "invalid_request",
        "code_challenge must be 43 characters of base64url",
    ),
    # The page is always shown, so that nobody is ever signed in without it.
    (lambda q: "none" not in q.get("prompt", "").split(" "), "login_required", "prompt=none cannot be answered"),
)


def read_authorization_request(clients: Mapping[str, Client], parameters: Parameters) -> AuthorizationRequest:
    """The request, as far as it says whom to answer; whether it may be granted is for `check`.

    Raises `Unanswerable`: an unknown client or a redirect URI that is not registered is never redirected to (RFC 6749,
    section 4.1.2.1).
    """
    client = clients.get(parameters.get("client_id", ""))
    if client is None:
        raise Unanswerable(f"client_id {parameters.get('client_id', '')!r} is not registered here.")
    redirect_uri = parameters.get("redirect_uri", "")
    if redirect_uri not in client.redirect_uris:
        raise Unanswerable(
            f"redirect_uri {redirect_uri!r} is not registered. Registered are: {', '.join(client.redirect_uris)}."
        )
    return AuthorizationRequest(
        client_id=client.client_id,
        redirect_uri=redirect_uri,
        state=parameters.get("state", ""),
        nonce=parameters.get("nonce", ""),
        scope=frozenset(parameters.get("scope", "").split(" ")).intersection(SCOPES),
        code_challenge=parameters.get("code_challenge", ""),
    )


def check(parameters: Parameters) -> None:
    """Raises `Refusal` when the request must not be granted."""
    for holds, error, description in RULES:
        if not holds(parameters):
            raise Refusal(error, description)
