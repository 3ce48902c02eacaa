"""This file is who may use the development provider, and how a client proves who it is (RFC 6749, section 2.3)."""

import base64
import hmac
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, Self
from urllib.parse import unquote_plus, urlsplit

from ck_middleware.dev.forms import Refusal

CALLBACK: Final = "/auth/callback"  # where an app is called back unless its settings say otherwise


@dataclass(frozen=True, slots=True)
class Client:
    """One registered application. Without a secret it is a public client, which PKCE alone protects.

    The URIs are compared byte for byte.
    """

    client_id: str
    client_secret: str | None = field(repr=False)
    redirect_uris: Collection[str]
    post_logout_redirect_uris: Collection[str] = ()

    @classmethod
    def fresh(
        cls, redirect_uris: Collection[str], client_id: str | None = None, client_secret: str | None = None
    ) -> Self:
        """A client, with a random id and secret where none is given.

        From logout people may return to the home page beside each URI.
        """
        client_id = client_id or f"ck_{secrets.token_hex(16)}"
        client_secret = client_secret or secrets.token_urlsafe(32)
        return cls(client_id, client_secret, redirect_uris, tuple(dict.fromkeys(map(_home, redirect_uris))))


def authenticate(
    clients: Mapping[str, Client], methods: Collection[str], authorization: str, form: Mapping[str, str]
) -> Client:
    """The client that sent this form, by one of `methods`; public clients name themselves and no more.

    Raises `Refusal`.
    """
    method, client_id, secret = _credentials(authorization, form)
    client = clients.get(client_id)
    if client is None:
        raise _refused("the client is not known")
    if client.client_secret is None and method != "none":
        raise _refused("the client has no secret, so it must send none")
    if client.client_secret is not None and method not in methods:
        raise _refused(f"the client must authenticate with {' or '.join(methods)}, and came with {method}")
    if not hmac.compare_digest((client.client_secret or "").encode(), secret.encode()):
        raise _refused("the client secret is wrong")
    return client


def _home(redirect_uri: str) -> str:
    parts = urlsplit(redirect_uri)
    mount = parts.path.removesuffix(CALLBACK) if parts.path.endswith(CALLBACK) else ""
    return f"{parts.scheme}://{parts.netloc}{mount}/"


def _credentials(authorization: str, form: Mapping[str, str]) -> tuple[str, str, str]:
    """How the client authenticates, who it says it is, and its secret."""
    if authorization and "client_secret" in form:
        raise Refusal("invalid_request", "the client authenticates twice; one method is allowed (RFC 6749, 2.3)")
    if authorization:
        return "client_secret_basic", *_basic(authorization, form)
    if "client_secret" in form:
        return "client_secret_post", form.get("client_id", ""), form["client_secret"]
    return "none", form.get("client_id", ""), ""


def _basic(authorization: str, form: Mapping[str, str]) -> tuple[str, str]:
    """Id and secret of a Basic header. Each was form-encoded before they were joined (RFC 6749, section 2.3.1)."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        pair = base64.b64decode(encoded.strip(), validate=True).decode("ascii")
    except ValueError as exc:
        raise _refused("the Authorization header cannot be read") from exc
    if scheme.lower() != "basic" or pair.count(":") != 1:
        raise _refused("the Authorization header must be Basic, id and secret form-encoded first (RFC 6749, 2.3.1)")
    client_id, secret = (unquote_plus(part) for part in pair.split(":"))
    if form.get("client_id", client_id) != client_id:
        raise Refusal("invalid_request", "client_id in the form is not that of the Authorization header")
    return client_id, secret


def _refused(description: str) -> Refusal:
    # RFC 6749, section 5.2: with 401 goes the scheme that would do.
    return Refusal("invalid_client", description, status=401, challenge='Basic realm="token"')
