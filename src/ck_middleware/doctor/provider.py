"""This file is the provider as the app will meet it: reachable, consistent, and willing to know this client."""

from __future__ import annotations

import contextlib
import math
import secrets
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

import httpx

from ck_middleware import jose, oidc, transaction
from ck_middleware.doctor.finding import EXCHANGE_FAILED, INVALID_SIGNATURE, Finding, good, note, problem, warning
from ck_middleware.errors import ClientRefused, CodeRefused, LoginRefused, ProviderUnreachable
from ck_middleware.ports import step
from ck_middleware.provider import Provider
from ck_middleware.strict_json import read_object

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractAsyncContextManager

    from ck_middleware.config import AuthConfig
    from ck_middleware.ports import Http

CREDENTIALS: Final = "CONSENTKEYS_CLIENT_ID, CONSENTKEYS_CLIENT_SECRET"
SKEW: Final = 5  # seconds that a message may well be under way


def examine(config: AuthConfig, http: Http, address: str | None = None) -> Iterator[Finding]:
    """Everything that can be asked without anybody logging in. `address` is where the app is, if no setting says it."""
    heard = _Heard(http, oidc.discovery_request(config.issuer))
    try:
        metadata = step(Provider(config, heard).metadata())
    except LoginRefused as exc:
        yield _no_discovery(config, exc)
        return
    document = heard.document()
    if document.get("issuer") == config.issuer:
        yield good("discovery", f"{config.issuer} describes itself, and is who it says.")
        yield from _clear_text(document)
        yield from _offers(config, document)
    else:
        yield note("discovery", "All endpoints are set by hand; what the provider says of itself is not read.")
    yield from _keys(config, metadata, http)
    yield from _client(config, metadata, http)
    yield from _redirect_uri(config, metadata, redirect_uri(config, address))
    yield from _clock(config, heard)


class _Heard:
    """An `Http` that remembers what the provider says of itself, so that it is asked for that once."""

    def __init__(self, http: Http, discovery: httpx.Request) -> None:
        self._http = http
        self._discovery = discovery
        self._answer: httpx.Response | None = None
        self.at = math.nan  # seconds since the epoch, by this machine's clock

    async def send(self, request: httpx.Request) -> httpx.Response:
        answer = await self._http.send(request)
        if request.url == self._discovery.url:
            self._answer, self.at = answer, time.time()
        return answer

    def lock(self) -> AbstractAsyncContextManager[object]:
        return self._http.lock()

    def document(self) -> dict[str, Any]:
        """The metadata as they stand there; empty when there are none. Asks for them if nobody has."""
        with contextlib.suppress(LoginRefused, ValueError):
            answer = self._answer or step(self.send(self._discovery))
            return read_object(answer.content)
        return {}

    def date(self) -> float:
        """What time it was there (RFC 9110, 6.6.1). Raises `LookupError` or `ValueError` when it does not say."""
        if self._answer is None:
            raise LookupError
        return parsedate_to_datetime(self._answer.headers["date"]).timestamp()


def _no_discovery(config: AuthConfig, exc: LoginRefused) -> Finding:
    unreachable = isinstance(exc, ProviderUnreachable)
    return problem(
        "discovery",
        f"The provider cannot be used: {exc}.",
        why="Nobody can log in.",
        fix="Let this machine reach it: its name, a firewall, a proxy (HTTPS_PROXY)."
        if unreachable
        else f"See whether CONSENTKEYS_ISSUER ({config.issuer}) is the issuer, to the letter.",
        also=INVALID_SIGNATURE,
    )


def _clear_text(document: dict[str, Any]) -> Iterator[Finding]:
    """Endpoints in clear text of a provider that is not; `read_discovery` has refused those on another host."""
    secure = str(document.get("issuer")).startswith("https:")
    clear = [name for name in oidc.ENDPOINTS if str(document.get(name)).lower().startswith("http:")]
    if secure and clear:
        yield warning(
            "endpoints",
            f"The provider writes http in {', '.join(clear)}.",
            why="They are asked over https all the same; a program less careful would send secrets in clear text.",
            fix="Tell the provider. Nothing has to be done here.",
        )
    else:
        yield good("endpoints", "Its endpoints are https." if secure else "It is on this machine, in clear text.")


def _offers(config: AuthConfig, document: dict[str, Any]) -> Iterator[Finding]:
    """What the metadata says of this app's settings (OpenID Connect Discovery 1.0, section 3; RFC 8414)."""
    algorithms = document.get("id_token_signing_alg_values_supported")
    if isinstance(algorithms, list) and not set(config.id_token_algorithms).intersection(map(str, algorithms)):
        yield problem(
            "algorithms",
            f"It signs with {_listed(algorithms)}; id_token_algorithms has {_listed(config.id_token_algorithms)}.",
            why="Every ID token is refused.",
            fix="Name one of the provider's in id_token_algorithms.",
            also=INVALID_SIGNATURE,
        )
    if "S256" not in _texts(document.get("code_challenge_methods_supported")):
        yield warning(
            "pkce",
            "It does not say that it checks PKCE (S256).",
            why="A stolen code is then stopped by the nonce alone.",
            fix="Require PKCE for this client in the Developer Portal; it is always sent.",
        )
    methods = _texts(document.get("token_endpoint_auth_methods_supported")) or ["client_secret_basic"]
    if config.client_auth not in methods and config.client_auth != "none":
        yield warning(
            "client_auth",
            f"It says that it takes {_listed(methods)}; client_auth is {config.client_auth}.",
            why="The token endpoint may refuse the client.",
            fix=f"Set CONSENTKEYS_CLIENT_AUTH to {methods[0]}, unless the next lines say that the client is accepted.",
            also=EXCHANGE_FAILED,
        )
    scopes = _texts(document.get("scopes_supported"))
    if missing := [word for word in config.scope.split() if scopes and word not in scopes]:
        fix = "Take them out of CONSENTKEYS_SCOPE."
        yield note("scope", f"It does not know the scopes {_listed(missing)}.", fix=fix)
    if not document.get("end_session_endpoint"):
        yield note("logout", "It has no log-out page: signing out ends the session here, not the one there.")


def _keys(config: AuthConfig, metadata: oidc.Metadata, http: Http) -> Iterator[Finding]:
    try:
        keys = jose.read_keys(oidc.read_key_document(step(http.send(oidc.keys_request(metadata)))))
        fit = [key for key in keys if any(map(key.fits, config.id_token_algorithms))]
        why = f"none of its {len(keys)} keys is for {_listed(config.id_token_algorithms)}"
    except (LoginRefused, ValueError) as exc:
        fit, why = [], str(exc)
    if fit:
        yield good("keys", f"It publishes {len(fit)} {'key' if len(fit) == 1 else 'keys'} that can verify ID tokens.")
        return
    yield problem(
        "keys",
        f"No key verifies ID tokens: {why}.",
        why="Every ID token is refused.",
        fix=f"See whether jwks_uri is right ({metadata.jwks_uri}), and id_token_algorithms fits.",
        also=INVALID_SIGNATURE,
    )


def _client(config: AuthConfig, metadata: oidc.Metadata, http: Http) -> Iterator[Finding]:
    """Whether the client is known, by how a code is refused that nobody issued (RFC 6749, section 5.2)."""
    begun = transaction.begin(
        issuer=config.issuer, redirect_uri=redirect_uri(config, None) or "http://localhost/", return_to="/"
    )
    request = oidc.token_request(metadata, config, begun, "of-nobody-" + secrets.token_urlsafe(16))
    try:
        oidc.read_tokens(step(http.send(request)))
    except CodeRefused:
        yield good("client", "The provider accepts the client's credentials (and refused a made-up code, as it must).")
    except ClientRefused:
        yield problem(
            "client",
            f"The provider refuses the client's credentials ({CREDENTIALS}).",
            why="Every login fails after the person has logged in there.",
            fix="Copy both from the Developer Portal, see that the app is not pending there, and try the other "
            "CONSENTKEYS_CLIENT_AUTH (client_secret_post, client_secret_basic).",
            also=EXCHANGE_FAILED,
        )
    except LoginRefused as exc:
        yield warning(
            "client",
            f"Whether the client is accepted cannot be told: {exc}.",
            why="A provider should answer invalid_grant to a code that is none (RFC 6749, 5.2).",
            fix="Log in once; the log of ck_middleware says what the token endpoint answers.",
            also=EXCHANGE_FAILED,
        )
    else:
        yield problem(
            "client",
            "The token endpoint gave tokens for a code that nobody issued.",
            why="Anybody can log in as somebody.",
            fix="This is no provider to trust; see CONSENTKEYS_ISSUER.",
        )


def _redirect_uri(config: AuthConfig, metadata: oidc.Metadata, uri: str | None) -> Iterator[Finding]:
    """Whether the redirect URI is registered, as far as an answer to `prompt=none` tells (Core, 3.1.2.6)."""
    if uri is None:
        return
    begun = transaction.begin(issuer=config.issuer, redirect_uri=uri, return_to="/")
    request = httpx.Request("GET", oidc.authorization_url(metadata, config, begun, {"prompt": "none"}))
    try:
        with httpx.Client(timeout=config.timeout) as browser:
            response = browser.send(request)
    except httpx.HTTPError:
        return  # a browser goes there, not this machine
    if response.headers.get("location", "").startswith(begun.redirect_uri):
        yield good("redirect_uri", "The provider knows the redirect URI.")
    elif httpx.codes.is_client_error(response.status_code):
        yield problem(
            "redirect_uri",
            f"The provider answers {response.status_code} to a login with the redirect URI {begun.redirect_uri}",
            why="People who want to log in see its error page.",
            fix="Register exactly this redirect URI for exactly this client in the Developer Portal.",
            also=EXCHANGE_FAILED,
        )


def _clock(config: AuthConfig, heard: _Heard) -> Iterator[Finding]:
    """How far this machine's clock is from the provider's."""
    try:
        ahead = heard.at - heard.date()
    except (LookupError, ValueError):
        yield note("clock", "The provider does not tell the time, so the clocks were not compared.")
        return
    if abs(ahead) <= SKEW:
        yield good("clock", "This machine's clock agrees with the provider's.")
        return
    bad = problem if abs(ahead) > config.leeway else warning
    yield bad(
        "clock",
        f"This machine's clock is {abs(ahead):.0f} seconds {'ahead of' if ahead > 0 else 'behind'} the provider's.",
        why=f"ID tokens look expired, or not yet valid; {config.leeway:g} seconds are forgiven (leeway).",
        fix="Let the machine keep its clock by NTP.",
        also=INVALID_SIGNATURE,
    )


def redirect_uri(config: AuthConfig, address: str | None) -> str | None:
    """What the app sends: as the settings say, else by where it is, as far as that is known."""
    place = config.address or address
    return config.redirect_uri or (place and place.rstrip("/") + config.callback_path)


def _texts(value: object) -> list[str]:
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _listed(words: object) -> str:
    return ", ".join(str(word)[:40] for word in words) if isinstance(words, list | tuple) else str(words)
