"""This file is the protocol in pairs, `x_request` and `read_x`: what is asked, and what counts as an answer.

Nothing here waits or remembers. Each check names its section.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, urlencode

import httpx

from ck_middleware.addresses import split
from ck_middleware.errors import AccessRefused, ClientRefused, CodeRefused, Fault, ProviderFaulty, TokenInvalid
from ck_middleware.log import WARNING, event
from ck_middleware.strict_json import read_object
from ck_middleware.tokens import Tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ck_middleware.config import AuthConfig
    from ck_middleware.transaction import Transaction

WELL_KNOWN = "/.well-known/openid-configuration"
HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",  # a compressed answer has no bound on what it unpacks to
    "User-Agent": "ck-middleware",
}
ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint")
_ERROR = re.compile(r"[a-z_]{1,40}")
HTTP_OK, HTTP_BAD_REQUEST, HTTP_UNAUTHORIZED = 200, 400, 401

# What the protocol itself says of a login. Userinfo describes the person and cannot change any of it.
PROTOCOL_CLAIMS = frozenset(
    {"iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "nonce", "sid", "auth_time", "acr", "amr"}
    | {"at_hash", "c_hash"}
)


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where the provider is asked for what (OpenID Connect Discovery 1.0, section 3). A snapshot, replaced whole."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    revocation_endpoint: str | None = None
    always_sends_iss: bool = False  # authorization_response_iss_parameter_supported (RFC 9207, 3)


def discovery_request(issuer: str) -> httpx.Request:
    return httpx.Request("GET", issuer.removesuffix("/") + WELL_KNOWN, headers=HEADERS)


def read_discovery(response: httpx.Response, issuer: str, given: Mapping[str, str | None]) -> Metadata:
    """The provider's metadata; an endpoint `given` in the settings wins.

    Raises `ProviderFaulty` when it is not this issuer's, or not fit for use.
    """
    document = _read_object(response, "the discovery document")
    if document.get("issuer") != issuer:  # Discovery 1.0, 4.3: exactly, or someone else answers for it
        raise ProviderFaulty(
            f"the discovery document is of issuer {document.get('issuer')!r}; the issuer setting says {issuer!r}"
        )
    supported = document.get("response_types_supported", ["code"])
    if not isinstance(supported, list) or "code" not in supported:
        raise ProviderFaulty("the provider does not offer response_type=code")

    def required(name: str) -> str:
        return given.get(name) or _endpoint(document.get(name), name, issuer)

    def optional(name: str) -> str | None:
        return required(name) if given.get(name) or document.get(name) is not None else None

    return Metadata(
        issuer=issuer,
        authorization_endpoint=required("authorization_endpoint"),
        token_endpoint=required("token_endpoint"),
        jwks_uri=required("jwks_uri"),
        userinfo_endpoint=optional("userinfo_endpoint"),
        end_session_endpoint=optional("end_session_endpoint"),
        revocation_endpoint=optional("revocation_endpoint"),
        always_sends_iss=document.get("authorization_response_iss_parameter_supported") is True,
    )


def _endpoint(url: object, name: str, issuer: str) -> str:
    """A usable address. No code, secret or token is ever sent in clear text, loopback excepted."""
    home, address = split(issuer), url if isinstance(url, str) else ""
    secure, clear = home.origin.startswith("https:"), address.lower().startswith("http:")
    try:
        if not secure or not clear:
            split(address)
            return address
        upgraded = split("https" + address[len("http") :])
        if upgraded.host == home.host:
            event(WARNING, "provider", "http address in the discovery document, used with https", setting=name)
            return upgraded.origin.removesuffix(":80") + upgraded.path + upgraded.query
    except Fault as fault:
        raise ProviderFaulty(f"{name} in the discovery document {fault}") from None
    raise ProviderFaulty(f"{name} in the discovery document is an http address on another host")


def authorization_url(
    metadata: Metadata, config: AuthConfig, transaction: Transaction, extra: Mapping[str, str]
) -> str:
    """Where the browser goes to log in (OpenID Connect Core, 3.1.2.1; RFC 7636, 4.3)."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(transaction.verifier.encode()).digest()).rstrip(b"=")
    parameters = {
        **extra,  # first, so that nothing from a browser could take the place of what follows
        "response_type": "code",
        "client_id": config.client_id,
        "redirect_uri": transaction.redirect_uri,
        "scope": config.scope,
        "state": transaction.state,
        "nonce": transaction.nonce,
        "code_challenge": challenge.decode(),
        "code_challenge_method": "S256",
    }
    return with_query(metadata.authorization_endpoint, parameters)


def token_request(metadata: Metadata, config: AuthConfig, transaction: Transaction, code: str) -> httpx.Request:
    """The code for tokens (OpenID Connect Core, 3.1.3.1; RFC 7636, 4.5)."""
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": transaction.redirect_uri,
        "code_verifier": transaction.verifier,
    }
    return _authenticated(metadata.token_endpoint, config, form)


def refresh_request(metadata: Metadata, config: AuthConfig, refresh_token: str) -> httpx.Request:
    """A refresh token for new tokens (OpenID Connect Core, 12.1)."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    return _authenticated(metadata.token_endpoint, config, form)


def revocation_request(endpoint: str, config: AuthConfig, token: str) -> httpx.Request:
    """The end of a token, and with a refresh token that of its access tokens (RFC 7009, 2.1)."""
    return _authenticated(endpoint, config, {"token": token})


def _authenticated(url: str, config: AuthConfig, form: dict[str, str]) -> httpx.Request:
    """A form that says which client sends it, and proves it."""
    headers = dict(HEADERS)
    if config.client_auth == "client_secret_basic":
        # RFC 6749, 2.3.1: each half is form-encoded first, or a colon or percent in the secret breaks it.
        pair = f"{quote_plus(config.client_id)}:{quote_plus(config.client_secret)}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    else:
        form = {**form, "client_id": config.client_id}
        if config.client_auth == "client_secret_post":
            form["client_secret"] = config.client_secret
    return httpx.Request("POST", url, data=form, headers=headers)


def read_tokens(response: httpx.Response) -> Tokens:
    """The tokens. Raises `CodeRefused` or `ClientRefused`, or `ProviderFaulty` when they are not fit for use."""
    if response.status_code != HTTP_OK:
        _refuse_tokens(response)
    answer = _read_object(response, "the token response")
    kind, access = answer.get("token_type"), answer.get("access_token")
    if not isinstance(kind, str) or kind.lower() != "bearer":  # RFC 6749, 5.1: in any letter case
        raise ProviderFaulty("the token response has no token_type Bearer")
    if not isinstance(access, str) or not access or not access.isascii() or not access.isprintable():
        raise ProviderFaulty("the token response has no access_token")
    return Tokens(
        access_token=access,
        until=_until(answer.get("expires_in")),
        refresh_token=_optional_text(answer.get("refresh_token")),
        id_token=_optional_text(answer.get("id_token")),
    )


def _until(expires_in: object) -> float | None:
    """When the access token ends; the member is only recommended, and some providers send it as text."""
    text = str(expires_in) if isinstance(expires_in, int | float | str) else ""
    return time.time() + int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None  # noqa: PLR2004


def _optional_text(value: object) -> str | None:
    """A token, which is printable ASCII (RFC 6749, appendix A), or none."""
    return value if isinstance(value, str) and value and value.isascii() and value.isprintable() else None


def _refuse_tokens(response: httpx.Response) -> None:
    try:
        error = read_object(response.content).get("error")
    except ValueError:
        error = None  # a proxy in front may answer HTML
    if error == "invalid_grant":
        raise CodeRefused("the provider does not accept the code or refresh token: used before, too old, or not ours")
    if error == "invalid_client" or response.status_code == HTTP_UNAUTHORIZED:  # RFC 6749, 5.2
        raise ClientRefused(
            "the provider refuses our credentials: check client_id (CONSENTKEYS_CLIENT_ID), "
            "client_secret (CONSENTKEYS_CLIENT_SECRET) and client_auth, and that the app is not pending there"
        )
    # Anything but a code of RFC 6749, 5.2, might say back what was sent, and the log must have none of that.
    code = error if isinstance(error, str) and _ERROR.fullmatch(error) else "(no code)"
    raise ProviderFaulty(f"the token endpoint answered {response.status_code}, error={code}")


def keys_request(metadata: Metadata) -> httpx.Request:
    return httpx.Request("GET", metadata.jwks_uri, headers=HEADERS)


def read_key_document(response: httpx.Response) -> dict[str, Any]:
    return _read_object(response, "the key set")


def userinfo_request(endpoint: str, access_token: str) -> httpx.Request:
    """The access token goes in the header, never in the address (RFC 6750, 2.1)."""
    return httpx.Request("GET", endpoint, headers={**HEADERS, "Authorization": f"Bearer {access_token}"})


def read_userinfo(response: httpx.Response, sub: str) -> dict[str, Any]:
    """What userinfo adds about the person. Raises `TokenInvalid` when it is about another (Core, 5.3.2)."""
    if response.status_code in {HTTP_BAD_REQUEST, HTTP_UNAUTHORIZED}:  # RFC 6750, 3.1; some answer 400 for 401
        raise AccessRefused(f"userinfo does not accept the access token: {response.status_code}")
    claims = _read_object(response, "userinfo")
    if not sub or claims.get("sub") != sub:
        raise TokenInvalid("userinfo is about another person: its sub is not the ID token's")
    return {name: value for name, value in claims.items() if name not in PROTOCOL_CLAIMS}


def end_session_url(endpoint: str, config: AuthConfig, *, return_to: str, state: str, hint: str | None) -> str:
    """Where the browser goes to log out at the provider (OpenID Connect RP-Initiated Logout 1.0, section 2)."""
    who = {"id_token_hint": hint} if hint else {"client_id": config.client_id}
    return with_query(endpoint, {**who, "post_logout_redirect_uri": return_to, "state": state})


def with_query(url: str, parameters: Mapping[str, str]) -> str:
    return url + ("&" if "?" in url else "?") + urlencode(parameters)


def _read_object(response: httpx.Response, what: str) -> dict[str, Any]:
    """The JSON object in a good answer, however the provider fails to give one."""
    if response.status_code != HTTP_OK:  # a redirect too: none is followed
        raise ProviderFaulty(f"{what}: the provider answered {response.status_code}")
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ProviderFaulty(f"{what} came as {media_type[:50]!r}, which is no JSON")
    try:
        return read_object(response.content)
    except ValueError as exc:
        raise ProviderFaulty(f"{what} {_reason(exc)}") from None


def _reason(exc: ValueError) -> str:
    # The parser's own messages quote the document; ours do not.
    return str(exc) if type(exc) is ValueError else "is not JSON"
