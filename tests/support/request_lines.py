"""This file is request lines and header fields that one reader takes for something else than the next, in bytes."""

from typing import NamedTuple


class Sent(NamedTuple):
    """One request. Without a `host` field it has none; `version` is the last word of its first line."""

    method: bytes
    target: bytes
    fields: tuple[bytes, ...] = ()
    body: bytes = b""
    host: bytes = b"Host: localhost"
    version: bytes = b" HTTP/1.1"
    closing: bool = True

    def octets(self, *more: bytes) -> bytes:
        """As it is sent, with more header fields."""
        first = self.method + b" " + self.target + self.version
        fields = [*filter(None, [self.host]), *more, *self.fields, *([b"Connection: close"] if self.closing else [])]
        return b"\r\n".join([first, *fields, b"", self.body])


PLAIN = [b"/api/secret", b"/api", b"/admin", b"/admin?x=1", b"/api/secret?x=1"]
SLASHES = [b"//api/secret", b"///api/secret", b"/%2fapi/secret", b"/%2Fapi/secret", b"/api//secret", b"/api%2fsecret"]
SLASHES += [b"/api/secret/", b"/admin/", b"/api/", b"//admin", b"/public//api/secret", b"/%2f%2fapi/secret"]
DOTS = [b"/./api/secret", b"/api/./secret", b"/public/../api/secret", b"/%2e/api/secret", b"/public/..%2fapi/secret"]
DOTS += [b"/public/%2e%2e/api/secret", b"/public/..;/api/secret", b"/..", b"/../../api/secret", b"/public/%2E./admin"]
DOTS += [b"/api/../public", b"/admin/..", b"/api./secret", b"/api/secret.", b"/.admin", b"/admin/."]
QUOTED = [
    b"/%61pi/secret",
    b"/api%2Fsecret",
    b"%2fapi%2fsecret",
    b"/%2561pi/secret",
    b"/%61%64%6d%69%6e",
    b"/%6",
    b"/%",
]
QUOTED += [b"/admin%", b"/admin%3f", b"/admin%23", b"/%u0061dmin", b"/api/secret%3f", b"/%25%36%31pi/secret"]
CASE = [b"/API/secret", b"/Api/secret", b"/ADMIN", b"/aPi/SECRET", b"/Admin/"]
PARAMETERS = [b"/api;x=1/secret", b"/api/secret;x=1", b"/;/api/secret", b"/admin;", b"/;x/admin", b"/public;/../admin"]
BLANKS = [b"/api/secret%20", b"/api/secret%09", b"/%20/api/secret", b"/admin%0a", b"/admin%0d%0a", b"/api/secret%0a"]
BLANKS += [b"/admin\t", b"\t/admin", b"/admin\x0b", b"/ad\tmin", b" /admin", b"/admin ", b"/admin x", b"/a b/admin"]
CONTROLS = [
    b"/api/secret%00",
    b"/%00/api/secret",
    b"/admin\x00",
    b"\x00/admin",
    b"/admin\x01",
    b"/admin%7f",
    b"/admin\x7f",
]
CONTROLS += [b"/admin\r", b"/\radmin", b"/admin\n", b"/admin%1b[2J", b"%00/api/secret", b"%20/api/secret", b"%01/admin"]
BYTES = [
    b"/api/secret%ff",
    b"/%ffapi/secret",
    b"/ap%ffi/secret",
    b"/%c0%afapi/secret",
    b"/api/secret\xff",
    b"/admin%ff",
]
BYTES += [
    b"/\xc3\xa9api/secret",
    b"/admin\xc3\xa9",
    b"/%ed%a0%80admin",
    b"/%f5%80%80%80admin",
    b"/admin%c3",
    b"/\xffadmin",
]
UNICODE = [b"/%ef%bd%81pi/secret", b"/ap%c4%b1/secret", b"/adm%c4%b1n", b"/%ef%bc%8fadmin", b"/%e2%80%8badmin"]
UNICODE += [
    b"/ADM%C4%B0N",
    b"/admin%e2%80%a8",
    b"/admin%c2%85",
    b"/admin%c2%a0",
    b"/%ef%bb%bfadmin",
    b"/api%e2%88%95secret",
]
BACKSLASHES = [b"/\\api\\secret", b"/api\\secret", b"/%5capi/secret", b"\\admin", b"/\\/admin", b"/public\\..\\admin"]
QUERIES = [b"/public?/api/secret", b"?x=1", b"?/api/secret", b"/?/admin", b"/public/?x/../admin", b"/admin??"]
FRAGMENTS = [
    b"/api/secret#x",
    b"/admin#x",
    b"/public#/api/secret",
    b"#/admin",
    b"/#/admin",
    b"/admin#/public",
    b"/#admin",
]
ABSOLUTE = [b"http://evil.example/api/secret", b"http://evil.example//api/secret", b"http://127.0.0.1//api/secret"]
ABSOLUTE += [
    b"http://127.0.0.1/admin",
    b"http:/api/secret",
    b"http:admin",
    b"https://localhost/admin",
    b"HTTP://x/admin",
]
ABSOLUTE += [b"http://127.0.0.1", b"http://", b"http://x?/admin", b"http://x#/admin", b"ws://x/admin", b"ftp://x/admin"]
ABSOLUTE += [
    b"http://u:p@x/admin",
    b"http://[::1]/admin",
    b"http://[/admin",
    b"//evil.example/admin",
    b"/http://x/admin",
]
NO_SLASH = [b"api/secret", b"admin", b"@evil.example/api/secret", b":80/admin", b"*", b"*/admin", b"%01http://x/admin"]
NO_SLASH += [
    b"localhost:80",
    b"localhost/admin",
    b".",
    b"..",
    b"./admin",
    b"../admin",
    b";/admin",
    b"~/admin",
    b"%61dmin",
]
MOUNTS = [b"/pre/api/secret", b"/preapi/secret", b"/pre//api/secret", b"/x/pre/api/secret", b"/pre/pre/api/secret"]
MOUNTS += [
    b"/pre/public/pre/admin",
    b"/pre/../admin",
    b"/PRE/admin",
    b"/%70re/admin",
    b"/pre/public",
    b"/public/pre/admin",
]
OURS = [
    b"/auth/../admin",
    b"/auth/me/../../admin",
    b"/auth/login/admin",
    b"/auth//callback",
    b"/AUTH/me",
    b"/auth/me%00",
]
LONG = [
    b"/" + b"a" * 5000 + b"/../admin",
    b"/admin/" + b"a" * 7000,
    b"/admin?" + b"a" * 7000,
    b"/admin/" + b"a" * 70000,
]
LONG += [b"/" * 3000 + b"admin", b"/%2e" * 1500 + b"/admin", b"/pre" * 1500 + b"/admin"]

TARGETS = [*PLAIN, *SLASHES, *DOTS, *QUOTED, *CASE, *PARAMETERS, *BLANKS, *CONTROLS, *BYTES, *UNICODE, *BACKSLASHES]
TARGETS += [*QUERIES, *FRAGMENTS, *ABSOLUTE, *NO_SLASH, *MOUNTS, *OURS, *LONG]

METHODS = [
    b"HEAD",
    b"OPTIONS",
    b"get",
    b"Get",
    b"POST",
    b"PUT",
    b"DELETE",
    b"TRACE",
    b"QUERY",
    b"PROPFIND",
    b"FOO",
    b"*",
]
METHODS += [b"get ", b"\tGET", b"GET\x00", b"GET\xff", b"", b"GET /public"]

# gunicorn takes the mount from a client that it takes for a proxy, and by default it takes loopback for one.
MOUNTING = [
    b"SCRIPT_NAME: /zz",
    b"SCRIPT_NAME: /zz/",
    b"SCRIPT_NAME: //zz",
    b"SCRIPT_NAME: /zz/..",
    b"Script-Name: /zz",
]
MOUNTED = [b"/zz/api/secret", b"/zzapi/secret", b"/zz//api/secret", b"//zz/api/secret", b"/zz/../api/secret"]

# What proxies and servers tell each other. Nothing of it says who somebody is, or which page is asked for.
TELLING = [b"X-Original-URL: /public", b"X-Rewrite-URL: /public", b"X-Forwarded-Prefix: /public", b"PATH_INFO: /public"]
TELLING += [
    b"X-Forwarded-Uri: /public",
    b"X-Forwarded-Path: /public",
    b"X-HTTP-Method-Override: OPTIONS",
    b"Path: /public",
]
TELLING += [b"Remote-User: mallory", b"REMOTE_USER: mallory", b"Remote_User: mallory", b"HTTP_REMOTE_USER: mallory"]
TELLING += [b"X-Remote-User: mallory", b"X-Forwarded-User: mallory", b"X_User: mallory", b"Auth_Type: mallory"]
TELLING += [b"ck_middleware.user: mallory", b"HTTP_CK_MIDDLEWARE.USER: mallory", b"Authorization: Bearer mallory"]
TELLING += [b"X-Forwarded-For: 127.0.0.1", b"X-Forwarded-Host: localhost", b"X-Forwarded-Proto: https"]
TELLING += [b"Cookie: ck_session=mallory", b"Cookie: ck_session=", b"Cookie: \xff=\x80", b"cookie: ck_session"]
TELLING += [
    b"A: b\x00c",
    b"A: b\rc",
    b"A : b",
    b"A: b\r\n c",
    b"A\xff: b",
    b": b",
    b"A",
    b"A: b\nX-Original-URL: /public",
]
HOSTS = [b"", b"Host:", b"Host: evil.example", b"Host: localhost\r\nHost: evil.example", b"Host: localhost/public?"]
HOSTS += [b"Host: localhost:99999", b"Host: \xff", b"Host: a b", b"Host: localhost/admin", b"Host: user@localhost"]
VERSIONS = [b" HTTP/1.0", b" HTTP/0.9", b" HTTP/2.0", b" HTTP/9.9", b"", b" http/1.1", b" HTTP/1.1 ", b" X"]

REQUESTS = [Sent(b"GET", target) for target in TARGETS]
REQUESTS += [Sent(method, target) for method in METHODS for target in (b"/api/secret", b"/admin")]
REQUESTS += [Sent(b"OPTIONS", b"*"), Sent(b"CONNECT", b"localhost:80"), Sent(b"CONNECT", b"/admin"), Sent(b"PRI", b"*")]
REQUESTS += [Sent(b"GET", target, (field,)) for field in MOUNTING for target in MOUNTED]
REQUESTS += [Sent(b"GET", b"/admin", (field,)) for field in TELLING]
REQUESTS += [Sent(b"GET", target, host=host) for host in HOSTS for target in (b"/admin", b"//admin")]
REQUESTS += [Sent(b"GET", b"/admin", host=host, version=b" HTTP/1.0") for host in HOSTS]
REQUESTS += [Sent(b"GET", target, version=version) for version in VERSIONS for target in (b"/admin", b"//admin")]
