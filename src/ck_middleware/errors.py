"""This file is every way in which this package says no, and what each one answers.

    AuthError
     |- ConfigError             the settings are wrong; raised once, at construction
     |- StoreUnavailable        503  the store of sessions cannot be asked
     |- LoginRefused            a login that does not end in a session; `code` and `status` say why
         |- HostUnknown             400  the address of the app is not known, so nobody can be sent back to it
         |- InitiationInvalid       400  another site asks for a login with another provider, or not clearly
         |- LoginUnfinished         400  nothing here began this login, or it is too old
         |- CallbackInvalid         400  what came back through the browser is not an answer to what was asked
         |- CodeRefused             400  the provider no longer accepts the authorization code
         |- TokenInvalid            400  the ID token or the userinfo does not prove who this is
             |- KeyUnknown              400  no key of the provider is called what the token says
         |- ConsentDenied           403  the person, or the provider for them, said no
         |- SessionTooLarge         502  the claims do not fit one cookie
         |- ProviderFaulty          502  the provider answered, but not as it must
             |- ClientRefused           502  the provider does not accept our client credentials
             |- AccessRefused           502  userinfo does not accept the access token
         |- ProviderUnreachable     503  the provider did not answer

The text of an exception is for the log alone. A browser reads `code`, which is a constant of the class.
"""

from collections.abc import Sequence


class AuthError(Exception):
    """Whatever this package raises on purpose. Its text is for the log: it may name a setting, and never a secret."""


class ConfigError(AuthError):
    """The settings are wrong: for the one who makes a middleware or an `AuthConfig`, or asks for what needs a store.

    `problems` has every fault, one sentence each: the setting, its environment variable, what is wrong and what would
    be right; never a secret.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        listed = "\n".join(f"  - {problem}" for problem in self.problems)
        super().__init__(f"ck-middleware is not configured:\n{listed}")


class Fault(ValueError):
    """What is wrong with one setting; `args` are sentences without its name. A `ConfigError` gathers them."""


class StoreUnavailable(AuthError):
    """The store cannot be asked, so nobody knows who is logged in: 503, and neither let in nor sent to log in."""

    code = "store_unavailable"
    status = 503


class LoginRefused(AuthError):
    """A login that does not end in a session. `code` goes to the browser and the log, `status` is the HTTP status."""

    code = "login_refused"
    status = 400


class HostUnknown(LoginRefused):
    """The address of the app is not known (`base_url`), so nobody can be sent back to it."""

    code = "base_url_missing"


class InitiationInvalid(LoginRefused):
    """Another site asks for a login with another provider, or not clearly (OpenID Connect Core 1.0, 4)."""

    code = "initiation_invalid"


class LoginUnfinished(LoginRefused):
    """This browser began no such login, has finished it, or took longer than `login_lifetime`."""

    code = "login_expired"


class CallbackInvalid(LoginRefused):
    """What came back through the browser is not an answer to what was asked (RFC 6749, 4.1.2; RFC 9207, 2.4)."""

    code = "callback_invalid"


class CodeRefused(LoginRefused):
    """The provider no longer accepts the authorization code: `invalid_grant` (RFC 6749, 5.2)."""

    code = "code_refused"


class TokenInvalid(LoginRefused):
    """The ID token or the userinfo does not prove who this is (OpenID Connect Core 1.0, 3.1.3.7 and 5.3.2)."""

    code = "token_invalid"


class KeyUnknown(TokenInvalid):
    """No key of the provider is called what the token says (RFC 7515, 4.1.4)."""


class ConsentDenied(LoginRefused):
    """The person, or the provider for them, said no: `access_denied` (RFC 6749, 4.1.2.1)."""

    code = "access_denied"
    status = 403


class SessionTooLarge(LoginRefused):
    """The claims do not fit one cookie (RFC 6265, 6.1); `claims` and `store` help."""

    code = "session_too_large"
    status = 502


class ProviderFaulty(LoginRefused):
    """The provider answered, but not as it must."""

    code = "provider_faulty"
    status = 502


class ClientRefused(ProviderFaulty):
    """The provider does not accept our client credentials: `invalid_client` (RFC 6749, 5.2)."""

    code = "client_refused"


class AccessRefused(ProviderFaulty):
    """Userinfo does not accept the access token (RFC 6750, 3.1)."""


class ProviderUnreachable(LoginRefused):
    """The provider did not answer within `timeout`, or said that it cannot for now."""

    code = "provider_unreachable"
    status = 503
