"""This file is what strangers and providers send, as hypothesis makes it: by the rules of each grammar, then broken.

Live values (a sealed cookie, a signed token) cannot be made here; for these there are `edits`, which break any text.
"""

import json
import re
import string
import time
from collections.abc import Mapping, Sequence
from typing import TypeAlias
from urllib.parse import quote, quote_plus

from hypothesis import strategies as st

from ck_middleware import AuthConfig

Texts: TypeAlias = st.SearchStrategy[str]
Headers: TypeAlias = list[tuple[str, str]]
Edits: TypeAlias = tuple[tuple[int, int, str], ...]  # where, how many characters go, what comes in their place

PIECES = (
    *("\0", "\r\n", "\n", "\t", " ", "\xa0", "\x7f", "\x85", "\u2028", "\u202e", "\ufeff", "\ufffd", "\ud800", "\xff"),
    *("%", "%00", "%2f", "%2e%2e", "%0d%0a", "%ff", "%ud800", "+", "\\", "/", "//", "/../", "/.", "@", "#", "?", "&"),
    *(";", ",", "=", "==", '"', "'", "<script>", ".", "-", "_", ":", "[", "]", "{", "}", "*", "(", "|"),
    *("NaN", "1e999", "-1", "0", "9" * 30, "9" * 5000, "null", "true", "Ⅷ", "İ", "é", "😀", "xn--a", "A" * 300),
)

_edit = st.tuples(
    st.integers(0, 5000), st.sampled_from([0, 0, 1, 2, 8, 5000]), st.sampled_from(PIECES) | st.text(max_size=4)
)
edits: st.SearchStrategy[Edits] = st.lists(_edit, min_size=1, max_size=3).map(tuple)


def edited(text: str, changes: Sequence[tuple[int, int, str]]) -> str:
    for start, gone, piece in changes:
        at = start % (len(text) + 1)
        text = text[:at] + piece + text[at + gone :]
    return text


def broken(whole: Texts) -> Texts:
    """Texts of a grammar, half of them no longer."""
    return whole | st.builds(edited, whole, edits)


def octets(texts: Texts) -> st.SearchStrategy[bytes]:
    """The bytes of texts, those of lone surrogates too."""
    return texts.map(lambda text: text.encode("utf-8", "surrogatepass"))


def as_latin(text: str) -> str:
    """What a server makes of the bytes on the wire: text of latin-1."""
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


# Cookies

COOKIE_NAMES = (
    "ck_session",
    "__Host-ck_session",
    "ck_login_0123456789abcdef",
    "ck_login_",
    "csrftoken",
    "CK_SESSION",
    "",
)
_cookie_values = st.text(string.ascii_letters + string.digits + "-_.", max_size=60) | st.sampled_from(PIECES)
_cookies = st.tuples(st.sampled_from(COOKIE_NAMES) | st.text(max_size=4), _cookie_values).map("=".join)


def _joined(pairs: Sequence[str], separator: str) -> str:
    return separator.join(pairs)


cookie_headers = broken(
    st.builds(
        _joined, st.lists(_cookies, max_size=8), st.sampled_from(["; ", ";", ";;", ",", ", ", " ;\t", "=", "; ; "])
    )
)

# Addresses and paths

_segments = st.text(string.ascii_letters + string.digits + "-._~%", min_size=1, max_size=6) | st.sampled_from(PIECES)
_words = st.text(string.ascii_lowercase, min_size=1, max_size=8)
paths = broken(st.lists(_segments, max_size=5).map(lambda found: "/" + "/".join(found)))
return_paths = broken(
    st.builds("{}{}{}".format, paths, st.just("") | _words.map("?{0}=1".format), st.just("") | _words.map("#{}".format))
) | st.sampled_from(
    ["//evil.example", "/\\evil.example", "https://evil.example/", "javascript:alert(1)", "/auth/login"]
)
HOSTS = (
    *("localhost", "127.0.0.1", "[::1]", "app.example", "evil.example", "xn--bcher-kva.example", "1.2.3.4"),
    *(
        "1-2-3-4",
        "1.2.3",
        "0x7f.1",
        "01.02.03.04",
        "[::ffff:127.0.0.1]",
        "[fe80::1%25eth0]",
        "a" * 70,
        "a..b",
        "-a",
        "_a",
    ),
)
addresses = broken(
    st.builds(
        "{}{}{}{}{}".format,
        st.sampled_from(["https://", "http://", "HTTPS://", "//", "", "ftp://", "https:/", "https://u:p@"]),
        st.sampled_from(HOSTS),
        st.sampled_from(["", ":443", ":80", ":8000", ":0", ":65536", ":99999", ":", ":0080"]),
        st.just("") | paths,
        st.sampled_from(["", "?a=b", "?", "#f"]),
    )
)
store_urls = broken(
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(
            ["redis://", "rediss://", "unix://", "sqlite:///", "sqlite:////", "SQLITE:///", "valkey://", "redis:"]
        ),
        st.sampled_from(["", ":pass-word@", "user:pass-word@", "user:p%40%3a@"]),
        st.sampled_from(["localhost", "[::1]:6379", "h:6379", "h:x", "/run/redis.sock", "a/b.db", ":memory:", ""]),
        st.sampled_from(
            [
                "",
                "/0",
                "/x",
                "/0?prefix=a:",
                "?db=x",
                "?db=1&db=2",
                "/0?ssl_cert_reqs=none",
                "/0?ssl_x=1",
                "/0?client_name=",
                "#",
            ]
        ),
    )
)


def quoted_path(path: str) -> str:
    """A decoded path as it stands in a request line."""
    return quote(path, safe="/")


# Queries and forms

FIELDS = (
    "state",
    "code",
    "iss",
    "error",
    "error_description",
    "next",
    "prompt",
    "login_hint",
    "token",
    "everywhere",
    "target_link_uri",
)
_field_values = broken(st.text(max_size=20)) | return_paths | st.sampled_from(["1", "login", "access_denied", ""])


def _quoted(text: str) -> str:
    return quote_plus(text, errors="surrogatepass")


_pairs = st.builds("{}={}".format, st.sampled_from(FIELDS), _field_values.map(_quoted))


def queries(**known: Texts) -> Texts:
    """The fields of `known` as they are there, but for one perhaps, then some others or the same again; or broken."""
    listed = [texts.map(_quoted).map(f"{name}={{}}".format) for name, texts in known.items()]
    gone = st.just("") if not known else st.sampled_from(["", "", *known])
    whole = st.builds(
        lambda honest, left_out, others, separator: separator.join(
            [pair for pair in honest if not left_out or not pair.startswith(f"{left_out}=")] + others
        ),
        st.tuples(*listed),
        gone,
        st.just(list[str]()) | st.lists(_pairs, max_size=3),
        st.sampled_from(["&", "&", "&", ";", "&&"]),
    )
    return whole | whole | st.builds(edited, whole, edits)


# Headers of a request, all but cookies

_header_values: dict[str, Texts] = {
    "Host": addresses.map(lambda address: address.split("://")[-1]) | st.sampled_from(HOSTS),
    "Origin": addresses | st.sampled_from(["null", "", "http://localhost:8000"]),
    "Referer": addresses,
    "HX-Current-URL": addresses,
    "HX-Request": st.sampled_from(["true", "", "false"]),
    "X-Requested-With": st.sampled_from(["XMLHttpRequest", "xmlhttprequest", "x"]),
    "Accept": st.lists(st.sampled_from(["text/html", "application/json", "*/*", "text/event-stream", "q=0"])).map(
        ",".join
    ),
    "Sec-Fetch-Mode": st.sampled_from(["navigate", "cors", "no-cors", "websocket", "NAVIGATE", ""]),
    "Sec-Fetch-Site": st.sampled_from(["same-origin", "none", "cross-site", "same-site", "", "SAME-ORIGIN"]),
    "Upgrade": st.sampled_from(["websocket", "h2c"]),
    "Content-Length": st.sampled_from(["0", "-1", "1_0", "9" * 5000, "x", "", "1e3", "+5"]),
    "Content-Type": st.sampled_from(["application/x-www-form-urlencoded", "multipart/form-data", "application/json"]),
    "Forwarded": st.sampled_from(["host=evil.example;proto=https", "for=unknown"]),
    "X-Forwarded-Host": st.sampled_from(["evil.example", "localhost, evil.example"]),
    "Remote-User": st.sampled_from(["admin", ""]),
}
_header = st.sampled_from(sorted(_header_values)).flatmap(
    lambda name: st.tuples(st.just(name), broken(_header_values[name]).map(as_latin))
)
headers = st.lists(_header, max_size=6)
methods = st.sampled_from(["GET", "GET", "POST", "HEAD", "OPTIONS", "PUT", "get", "PRI", "\xe9"])

# JSON, as text: much of what is wrong with it no serializer would write

ODD_JSON = (
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "-0", "1.0", "0.1e-400", "1" * 400 + ".5"),
    *("9" * 19, "9" * 400, "9" * 4300, "9" * 4301, "01", "+1", "1_0", "0x1", "true", "false", "null", "{}", "[]", '""'),
    *('"\\ud800"', '"\\u0000"', '"\\r\\n"', '"\x00"', '"\\x"', '"' + "a" * 300 + '"', '"a', '{"a":1,"a":2}', "[null]"),
    *("[" * 31 + "]" * 31, "[" * 40 + "]" * 40, "[" * 3000 + "]" * 3000, '{"a":' * 40 + "1" + "}" * 40, "[" * 100_000),
    *('["code"]', '[["a"]]', '{"keys":[]}', "[1,2", "1 2", "undefined", "'a'", "/**/1", "\ufeff1"),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
json_texts = json_values.map(json.dumps) | st.sampled_from(ODD_JSON)


def documents(members: Mapping[str, object], odd: Texts = json_texts) -> st.SearchStrategy[bytes]:
    """An honest object in which some members are odd, missing, twice or new, and then perhaps no object at all."""
    honest = {name: json.dumps(value) for name, value in members.items()}
    names = st.sampled_from(sorted(honest)) | st.text(max_size=4)
    changes = st.just(list[tuple[str, str]]()) | st.lists(st.tuples(names, odd), min_size=1, max_size=3)
    gone = st.sets(st.sampled_from(sorted(honest)), max_size=1)
    whole = st.builds(
        lambda changed, left_out, again: _document(
            [pair for pair in (honest | dict(changed)).items() if pair[0] not in left_out] + again
        ),
        changes,
        st.just(set[str]()) | st.just(set[str]()) | gone,
        st.just(list[tuple[str, str]]())
        | st.just(list[tuple[str, str]]())
        | st.lists(st.tuples(names, odd), max_size=1),
    )
    return octets(whole | whole | whole | st.builds(edited, whole, edits) | json_texts)


def _document(pairs: Sequence[tuple[str, str]]) -> str:
    return "{" + ", ".join(f"{json.dumps(name)}: {value}" for name, value in pairs) + "}"


def times() -> Texts:
    """Numbers around now, to be filled in by `live`, and what is none."""
    return st.sampled_from([-3600, -661, -59, 0, 59, 61, 3600]).map('"@{:+}@"'.format) | json_texts


def live(text: bytes, **known: str) -> bytes:
    """A document with the time, and other things that are known late, in their places: `"@+60@"` and `@nonce@`."""
    now = int(time.time())
    text = re.sub(rb'"@([+-][0-9]{1,9})@"', lambda found: str(now + int(found[1])).encode(), text)
    for name, value in known.items():
        text = text.replace(f"@{name}@".encode(), value.encode())
    return text


# Answers of a provider

answer_headers = st.dictionaries(
    st.sampled_from(["set-cookie", "location", "content-encoding", "www-authenticate", "x-odd", "content-language"]),
    st.sampled_from(
        [
            *(
                "gzip",
                "br",
                "a=b; expires=Thu, 99 Jan 99999 99:99:99 GMT",
                "ck_session=x; Path=/",
                "https://xn--a/",
                "http://[",
            ),
            *(
                "\xe9",
                "",
                "a" * 5000,
                "=;=;=",
                'Bearer realm="',
                "javascript:1",
                "//evil.example",
                "a=b; max-age=" + "9" * 400,
            ),
        ]
    ),
    max_size=2,
)
statuses = st.sampled_from(
    [200] * 12 + [201, 204, 206, 301, 302, 307, 400, 401, 403, 404, 418, 429, 500, 502, 503, 599]
)
media_types = st.sampled_from(
    ["application/json"] * 12
    + ["application/json; charset=utf-16", "text/html", "", "a+json", "application/jwt", "a" * 3000]
)

# The environment

VARIABLES = tuple(name for field in AuthConfig.__dataclass_fields__.values() for name in field.metadata["environment"])
_setting_values = (
    st.sampled_from(
        [
            "0",
            "1",
            "90",
            "2h",
            "1.5d",
            "9" * 400,
            "1e3",
            "true",
            "no",
            "none",
            "client_secret_basic",
            "openid",
            "cookie",
        ]
    )
    | addresses
    | paths
    | store_urls
    | st.lists(paths, max_size=3).map(",".join)
    | broken(st.text(max_size=40))
)
SETTINGS = {
    "CONSENTKEYS_APP_URL": "https://app.example:8443/a", "CONSENTKEYS_PROTECT": "/in, /api/", "CONSENTKEYS_API": "/rpc",
    "CONSENTKEYS_PUBLIC": "/static/,/ok,/", "CONSENTKEYS_AFTER_LOGIN": "/a?b=c#d", "CONSENTKEYS_AFTER_LOGOUT": "/bye",
    "CONSENTKEYS_SESSION_LIFETIME": "1.5d", "CONSENTKEYS_IDLE_TIMEOUT": "90", "CONSENTKEYS_SCOPE": "openid  x",
    "CONSENTKEYS_CLIENT_AUTH": "client_secret_basic", "CONSENTKEYS_CLAIMS": "a, e\u00e9", "CONSENTKEYS_USERINFO": "Off",
    "CONSENTKEYS_STORE": "sqlite:////nowhere/x", "CONSENTKEYS_AUTH_PREFIX": "/log-in/", "CONSENTKEYS_ISSUER_URL": "https://i/",
    "CONSENTKEYS_JWKS_URI": "https://[::1]/k?a", "CONSENTKEYS_TOKEN_ENDPOINT": "http://localhost:1/t",
}  # fmt: skip
environments = st.builds(
    lambda good, odd: dict(good) | odd,
    st.lists(st.sampled_from(sorted(SETTINGS.items())), max_size=5),
    st.just(dict[str, str]()) | st.dictionaries(st.sampled_from(VARIABLES), _setting_values, max_size=3),
)

# Documents of a provider; what stands between @ and @ is filled in by `live`

ID_TOKEN = {
    "iss": "@issuer@", "aud": "@client@", "azp": "@client@", "sub": "ck_u_1", "nonce": "@nonce@", "name": "Ada",
    "exp": "@+60@", "iat": "@+0@", "nbf": "@+0@", "auth_time": "@+0@", "email_verified": True, "groups": ["a"],
}  # fmt: skip
LOGOUT_TOKEN = {
    "iss": "@issuer@", "aud": "@client@", "sub": "ck_u_1", "sid": "s", "jti": "j", "exp": "@+60@", "iat": "@+0@",
    "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
}  # fmt: skip
JOSE_HEADER = {"alg": "RS256", "typ": "@typ@", "kid": "@kid@"}
TOKENS = {
    "access_token": "at", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt", "id_token": "@token@",
    "scope": "openid",
}  # fmt: skip
USERINFO = {"sub": "ck_u_1", "name": "Ada", "email": "ada@example.com", "email_verified": True, "address": {"a": "b"}}
DISCOVERY = {
    "issuer": "@issuer@", "authorization_endpoint": "@issuer@/authorize", "token_endpoint": "@issuer@/token",
    "jwks_uri": "@issuer@/jwks", "userinfo_endpoint": "@issuer@/userinfo", "end_session_endpoint": "@issuer@/end",
    "revocation_endpoint": "@issuer@/revoke", "response_types_supported": ["code"],
    "authorization_response_iss_parameter_supported": True,
}  # fmt: skip
RSA_KEY = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "@kid@", "n": "@n@", "e": "AQAB", "key_ops": ["verify"]}
EC_KEY = {"kty": "EC", "crv": "P-256", "kid": "@kid@", "x": "A" * 43, "y": "B" * 43}
OKP_KEY = {"kty": "OKP", "crv": "Ed25519", "kid": "@kid@", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}

_odd_times = json_texts | times()
_odd_endpoints = json_texts | addresses.map(json.dumps)
_odd_keys = (
    json_texts
    | st.sampled_from(
        ["P-521", "P-384", "secp256k1", "Ed448", "X25519", "RSA", "EC", "OKP", "oct", "RS512", "ES512"]
    ).map(json.dumps)
    | st.text("AB-_=+/", max_size=90).map(json.dumps)
)
id_tokens = documents(ID_TOKEN, _odd_times)
logout_tokens = documents(LOGOUT_TOKEN, _odd_times)
jose_headers = documents(
    JOSE_HEADER, json_texts | st.sampled_from(['"none"', '"HS256"', '"ES256"', '"PS256"', '["exp"]'])
)
token_responses = documents(TOKENS)
userinfos = documents(USERINFO)
discoveries = documents(DISCOVERY, _odd_endpoints)
keys = st.one_of(*(documents(key, _odd_keys) for key in (RSA_KEY, EC_KEY, OKP_KEY)))
key_sets = st.lists(keys, max_size=3).map(lambda found: b'{"keys": [' + b", ".join(found) + b"]}") | documents(
    {"keys": []}
)
json_documents = documents({"a": 1, "b": {"c": ["d", 1.5, None]}})
