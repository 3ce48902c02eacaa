"""This file is every module of the OpenID Foundation's client conformance plans: what applies, and what does not."""

from collections.abc import Iterator
from typing import NamedTuple

from support.conformance import Outcome

LOGIN = ("auth", "token", "userinfo")

ACCEPTED = Outcome("303 to `/`", LOGIN, logged_in=True)
DEEP_LINK = Outcome("303 to `/dashboard`", LOGIN, logged_in=True)
NOT_BEGUN = Outcome("502 `provider_faulty`", (), logged_in=False)
ANSWER_REFUSED = Outcome("400 `callback_invalid`", ("auth",), logged_in=False)
ANSWER_FOREIGN = Outcome("400 `login_expired`", ("auth",), logged_in=False)
TOKEN_REFUSED = Outcome("400 `token_invalid`", ("auth", "token"), logged_in=False)
PERSON_REFUSED = Outcome("400 `token_invalid`", LOGIN, logged_in=False)
REFRESHED = Outcome("a new token, and 200 for it", ("token", "userinfo"), logged_in=True)
REFRESH_REFUSED = Outcome("no token for the app", ("token",), logged_in=False)
LOGGED_OUT = Outcome("303, then a page for anyone", ("logout",), logged_in=False)
LOGGED_OUT_ELSEHOW = Outcome("a page for anyone", ("logout",), logged_in=False)
ENDED = Outcome("200", (), logged_in=False)
NOT_ENDED = Outcome("400", (), logged_in=True)


class Plan(NamedTuple):
    name: str
    title: str


BASIC = Plan("oidcc-client-basic-certification-test-plan", "Basic")
CONFIG = Plan("oidcc-client-config-certification-test-plan", "Config")
MORE = Plan("oidcc-client-test-plan", "Comprehensive: what it has beside Basic and Config")
REFRESH = Plan("oidcc-client-refreshtoken-test-plan", "Refresh tokens")
INITIATED = Plan("oidcc-client-test-3rd-party-init-login-test-plan", "Third-party-initiated login")
RP_LOGOUT = Plan("oidcc-client-rp-initiated-logout-rp-basic", "Logout that the app begins")
BACK_CHANNEL = Plan("oidcc-client-back-channel-logout-rp-basic", "Back-channel logout")
FAPI = Plan("fapi2-security-profile-final-client-test-plan", "FAPI 2.0: what it checks of answers and tokens")
NO_PLAN = Plan("", "In no plan for this flow")
PLANS = (BASIC, CONFIG, MORE, REFRESH, INITIATED, RP_LOGOUT, BACK_CHANNEL, FAPI, NO_PLAN)


class Module(NamedTuple):
    """One module: what the provider does, what a client must do, and what ours does."""

    name: str
    plans: tuple[Plan, ...]
    provider: str
    client: str
    outcome: Outcome

    @property
    def test(self) -> str:
        return f"test_{self.name.replace('-', '_')}"


def _of(plan: Plan, start: str, *rows: tuple[str, str, str, Outcome]) -> Iterator[Module]:
    for end, provider, client, outcome in rows:
        plans = (plan, CONFIG) if end == "-idtoken-sig-none" else (plan,)
        yield Module(start + end, plans, provider, client, outcome)


MODULES: tuple[Module, ...] = (
    *_of(
        BASIC,
        "oidcc-client-test",
        ("", "behaves", "log in, and ask userinfo", ACCEPTED),
        ("-invalid-iss", "names another `iss` in the ID token", "refuse", TOKEN_REFUSED),
        ("-missing-sub", "leaves `sub` out of the ID token", "refuse", TOKEN_REFUSED),
        ("-invalid-aud", "puts a `1` behind our client id in `aud`", "refuse", TOKEN_REFUSED),
        ("-missing-iat", "leaves `iat` out of the ID token", "refuse", TOKEN_REFUSED),
        ("-kid-absent-single-jwks", "has one key, without `kid`, and a token without `kid`", "accept", ACCEPTED),
        (
            "-kid-absent-multiple-jwks",
            "has several keys of the type, and a token without `kid`",
            "refuse, or try them all",
            ACCEPTED,
        ),
        ("-idtoken-sig-rs256", "signs with RS256", "accept", ACCEPTED),
        ("-idtoken-sig-none", "does not sign: `alg` is `none`", "refuse, or accept", TOKEN_REFUSED),
        ("-invalid-sig-rs256", "gives a broken signature", "refuse", TOKEN_REFUSED),
        ("-userinfo-invalid-sub", "gives another `sub` at userinfo", "refuse the answer", PERSON_REFUSED),
        ("-nonce-invalid", "gives another `nonce`", "refuse", TOKEN_REFUSED),
        (
            "-scope-userinfo-claims",
            "gives the claims of the scope at userinfo",
            "ask for a scope, and have its claims",
            ACCEPTED,
        ),
        ("-client-secret-basic", "takes HTTP Basic alone", "authenticate with it", ACCEPTED),
    ),
    *_of(
        CONFIG,
        "oidcc-client-test",
        ("-discovery-openid-config", "serves its metadata", "use them", ACCEPTED),
        ("-discovery-jwks-uri-keys", "has its keys where nobody could guess", "take `jwks_uri` from there", ACCEPTED),
        ("-discovery-issuer-mismatch", "serves metadata of another `issuer`", "begin no login", NOT_BEGUN),
        (
            "-signing-key-rotation",
            "has new keys at the second authorization request",
            "fetch them, and accept",
            ACCEPTED,
        ),
        (
            "-signing-key-rotation-just-before-signing",
            "changes its keys after they were fetched, and signs with a new one",
            "fetch them again at once, and accept",
            ACCEPTED,
        ),
    ),
    *_of(
        MORE,
        "oidcc-client-test",
        ("-missing-aud", "leaves `aud` out of the ID token", "refuse", TOKEN_REFUSED),
        (
            "-nonce-unless-code-flow",
            "gives the `nonce` back that it got, if any",
            "send one, but in this flow",
            ACCEPTED,
        ),
        ("-userinfo-bearer-header", "takes the access token in the header alone", "send it there", ACCEPTED),
    ),
    *_of(
        REFRESH,
        "oidcc-client-test-refresh-token",
        ("", "gives new tokens for a refresh token", "use the new access token", REFRESHED),
        ("-invalid-issuer", "gives a new ID token of another `iss`", "notice, and stop", REFRESH_REFUSED),
        ("-invalid-sub", "gives a new ID token of another `sub`", "notice, and stop", REFRESH_REFUSED),
    ),
    *_of(
        INITIATED,
        "oidcc-client-test-3rd-party-init-login",
        ("", "sends the person to `initiate_login_uri`", "begin a login, and finish it", DEEP_LINK),
    ),
    *_of(
        RP_LOGOUT,
        "oidcc-client-test-rp-init-logout",
        (
            "",
            "ends sessions from behind too, and gives `state` back",
            "end the session, and take the return",
            LOGGED_OUT,
        ),
        ("-other-state", "gives another `state` back", "end the session all the same", LOGGED_OUT_ELSEHOW),
        ("-no-state", "gives no `state` back", "end the session all the same", LOGGED_OUT_ELSEHOW),
    ),
    *_of(
        BACK_CHANNEL,
        "oidcc-client-test-rp-backchannel-rpinitlogout",
        ("", "sends a logout token", "end the session", ENDED),
        ("-alg-none", "does not sign the logout token", "refuse", NOT_ENDED),
        ("-no-event", "leaves `events` out", "refuse", NOT_ENDED),
        ("-wrong-event", "names another event", "refuse", NOT_ENDED),
        ("-with-nonce", "puts a `nonce` in", "refuse", NOT_ENDED),
        ("-wrong-alg", "signs with ES256 and a key of its set", "refuse", NOT_ENDED),
        ("-wrong-aud", "names another `aud`", "refuse", NOT_ENDED),
        ("-wrong-iss", "names another `iss`", "refuse", NOT_ENDED),
    ),
    *_of(
        FAPI,
        "fapi2-security-profile-final-client-test-",
        ("discovery-issuer-mismatch", "serves metadata of another `issuer`", "begin no login", NOT_BEGUN),
        ("invalid-iss", "names another `iss` in the ID token", "refuse", TOKEN_REFUSED),
        ("invalid-aud", "names another `aud` in the ID token", "refuse", TOKEN_REFUSED),
        ("invalid-missing-iss", "leaves `iss` out of the ID token", "refuse", TOKEN_REFUSED),
        ("invalid-missing-aud", "leaves `aud` out of the ID token", "refuse", TOKEN_REFUSED),
        ("invalid-missing-exp", "leaves `exp` out of the ID token", "refuse", TOKEN_REFUSED),
        ("invalid-expired-exp", "gives an ID token that ended six minutes ago", "refuse", TOKEN_REFUSED),
        ("invalid-secondary-aud", "names a second `aud` beside ours", "refuse", TOKEN_REFUSED),
        ("valid-aud-as-array", "names us alone in `aud`, in a list", "accept", ACCEPTED),
        ("invalid-nonce", "gives another `nonce`", "refuse", TOKEN_REFUSED),
        ("invalid-missing-nonce", "gives no `nonce`", "refuse", TOKEN_REFUSED),
        ("invalid-null-alg", "does not sign: `alg` is `none`", "refuse", TOKEN_REFUSED),
        ("invalid-alternate-alg", "signs with RS256 where PS256 is agreed on", "refuse", TOKEN_REFUSED),
        (
            "invalid-authorization-response-iss",
            "names another `iss` in its answer",
            "refuse, and not redeem the code",
            ANSWER_REFUSED,
        ),
        (
            "remove-authorization-response-iss",
            "names no `iss` in its answer, though it says that it does",
            "refuse, and not redeem the code",
            ANSWER_REFUSED,
        ),
        (
            "ensure-authorization-response-with-invalid-state-fails",
            "gives another `state` back",
            "refuse, and not redeem the code",
            ANSWER_FOREIGN,
        ),
        (
            "ensure-authorization-response-with-invalid-missing-state-fails",
            "gives no `state` back",
            "refuse, and not redeem the code",
            ANSWER_REFUSED,
        ),
        ("token-endpoint-response-without-expires_in", "leaves `expires_in` out", "accept", ACCEPTED),
        ("token-type-case-insensitivity", "calls the token type `bEARER`", "accept", ACCEPTED),
    ),
    *_of(
        FAPI,
        "fapi2-security-profile-final-client-refresh-token-test",
        ("", "gives a new refresh token each time, and takes the newest alone", "refresh twice", REFRESHED),
    ),
    *_of(
        NO_PLAN,
        "oidcc-client-test",
        ("-refresh-token-invalid-aud", "gives a new ID token of another `aud`", "notice, and stop", REFRESH_REFUSED),
        ("-refresh-token-invalid-azp", "gives a new ID token of another `azp`", "notice, and stop", REFRESH_REFUSED),
        ("-invalid-athash", "gives an `at_hash` of another token", "refuse", TOKEN_REFUSED),
        ("-missing-athash", "leaves `at_hash` out, as it may in this flow", "accept", ACCEPTED),
        ("-invalid-sig-hs256", "signs with HS256 and the client secret", "refuse", TOKEN_REFUSED),
        ("-invalid-sig-es256", "signs with ES256 and a key of its set", "refuse", TOKEN_REFUSED),
        ("-ignores-unparseable-key-in-jwks", "has keys of kinds that nobody knows", "use the good one", ACCEPTED),
    ),
)


class Apart(NamedTuple):
    """Modules that do not apply, and why."""

    modules: str
    why: str


NOT_APPLYING = (
    Apart(
        "`oidcc-client-dynamic-certification-test-plan`: `-dynamic-registration`, `-discovery-webfinger-acct`, "
        "`-discovery-webfinger-url`, `-request-uri-signed-none`, `-request-uri-signed-rs256`, `-userinfo-signed`",
        "A client is registered by hand, with one provider: there is no dynamic registration and no discovery by "
        "WebFinger. It sends no request objects, and registers no signed userinfo: userinfo in JSON is asked over TLS.",
    ),
    Apart(
        "`oidcc-client-formpost-{basic,implicit,hybrid}-certification-test-plan`, `-form-post-error`",
        "The answer comes in the query. That of `form_post` is a post from another site, for which the login cookie "
        "would have to be `SameSite=None`.",
    ),
    Apart(
        "`oidcc-client-implicit-...`, `oidcc-client-hybrid-...`, `-invalid-chash`, `-missing-chash`",
        "Authorization code alone: tokens never travel through the browser (RFC 9700, section 2.1.2).",
    ),
    Apart(
        "`oidcc-client-test-plan`: `-userinfo-bearer-body`",
        "The access token goes to userinfo in the header, which is the other of the two ways to choose from.",
    ),
    Apart(
        "`oidcc-client-test-plan`: `-aggregated-claims`, `-distributed-claims`, `-mtls-endpoint-aliases`",
        "Claims are believed from the provider that people log in with, and from nobody it points to. Clients "
        "authenticate with a secret, not with a certificate.",
    ),
    Apart(
        "`oidcc-client-front-channel-logout-rp-basic`: `oidcc-client-test-rp-frontchannel-rpinitlogout`, "
        "`-opinitlogout`",
        "Not built: in a frame of another site no `SameSite=Lax` cookie arrives. Back-channel logout does the same "
        "without the browser.",
    ),
    Apart(
        "`oidcc-client-rp-session-management-rp-basic`: `oidcc-client-test-session-management`",
        "Not built: it needs third-party cookies, which browsers no longer send. `recheck` asks the provider itself.",
    ),
    Apart(
        "The logout plans for implicit and hybrid, and `oidcc-client-logout-test-plan`",
        "The same modules again, for flows that there are not, or in one plan.",
    ),
    Apart(
        "FAPI 2.0: `happy-path`, `happy-path-no-dpop-nonce`, `rs-dpop-auth-scheme-case-insensitivity`",
        "They need pushed requests, a key or a certificate of the client's, and tokens bound to it (DPoP, mutual TLS). "
        "The rest of that profile's modules is played with HTTP Basic and PKCE.",
    ),
    Apart(
        "FAPI 2.0 message signing: `ensure-jarm-...`",
        "Answers are not signed (JARM): `iss`, `state` and PKCE bind them to the login.",
    ),
    Apart(
        "FAPI 2.0: `invalid-openbanking-intent-id`, and what is particular to Brazil, the United Kingdom or Australia",
        "Rules of these markets.",
    ),
    Apart("`openid-federation-client-...`", "There is one provider, whose address is a setting."),
)

MARK = "<!-- From here on written by pytest tests/proof/test_conformance.py --write-docs -->\n"


def written(text: str) -> str:
    """The text of docs/conformance.md with what stands below the mark written anew."""
    tables = [_table(plan) for plan in PLANS]
    rows = [f"| {modules} | {why} |" for modules, why in NOT_APPLYING]
    rest = "\n".join(["## What does not apply", "", "| modules | why |", "|---|---|", *rows])
    return text.partition(MARK)[0] + "\n".join([MARK, *tables, rest, ""])


def _table(plan: Plan) -> str:
    heading = [f"## {plan.title}", "", *([f"Plan `{plan.name}`.", ""] if plan.name else [])]
    columns = ["| module | the provider | a client must | what ours does | test |", "|---|---|---|---|---|"]
    rows = [
        f"| `{row.name}` | {row.provider} | {row.client} | {row.outcome} | `{row.test}` |"
        for row in MODULES
        if plan in row.plans
    ]
    return "\n".join([*heading, *columns, *rows, ""])
