"""This file is what people, browsers and programs do ask for: odd at first sight, and none of it to be refused."""

from typing import NamedTuple

JSON = {"Content-Type": "application/json"}
HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
UUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLV9-"  # shaped like a JWT, which it is not


class Legitimate(NamedTuple):
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


def _ask(line: str, body: bytes = b"", **headers: str) -> Legitimate:
    method, _, target = line.partition(" ")
    return Legitimate(method, target, {name.replace("_", "-"): value for name, value in headers.items()}, body)


PATHS = [
    "/",
    "/index.html",
    "/favicon.ico",
    "/robots.txt",
    "/sitemap.xml.gz",
    "/api",
    "/api/",
    "/API/v1",
    "/api-docs",
    "/admin",
    "/administrators",
    "/authors",
    "/a/b/c/d/e/f/g/h",
    # hidden files, dots in names, two and three of them in a row
    "/.well-known/openid-configuration",
    "/.well-known/acme-challenge/abc-_123",
    "/.well-known/security.txt",
    "/.well-known/apple-app-site-association",
    "/blob/main/.github/workflows/ci.yml",
    "/a..b",
    "/...",
    "/..a/b..",
    "/.a/b.",
    "/range/1..10",
    "/compare/v1.0...v2.0",
    "/archive.tar.gz",
    # what build tools and site builders name
    "/static/app.3f2a9c1b.js",
    "/assets/index-D4x_9Z~1.css",
    "/static/fonts/Inter-roman.var.woff2?v=3.19",
    "/_next/static/chunks/pages/%5Bid%5D-abc.js",
    "/_next/image?url=%2Fphotos%2Fa.png&w=640&q=75",
    "/img/logo@2x.png",
    "/wp-content/uploads/2024/01/photo-1024x768.jpg",
    "/wp-json/wp/v2/posts?per_page=10&_embed",
    "/wp-login.php?redirect_to=https%3A%2F%2Fexample.com%2Fwp-admin%2F",
    "/index.php/blog/2024",
    "/-/health",
    "/page/2/",
    # people, times and numbers
    "/~ada/",
    "/@ada/a-post",
    "/users/ada@example.com",
    "/users/ada+news%40example.com",
    "/people/O'Brien",
    "/wiki/Bob's_(page)!",
    "/2024/05/17/a-slug",
    "/events/2024-05-17T10:00:00+02:00",
    "/events/2024-05-17T10%3A00%3A00%2B02%3A00",
    f"/orders/{UUID}",
    f"/blobs/sha256:{HASH}",
    f"/confirm/{TOKEN}",
    "/doi/10.1000/xyz123",
    "/ip/2001:db8::1",
    "/map/52.5200,13.4050",
    "/price/$5",
    # what programs say
    "/v1/operations/42:cancel",
    "/odata/Products(5)?$filter=Price%20gt%2010",
    "/odata/$metadata",
    "/cars;color=red/2024;v=1",
    "/a,b;c=d",
    "/a=b&c=d",
    "/items/[5]",
    "/*",
    "/grpc.health.v1.Health/Check",
    "/graphql?query=%7Bme%7Bname%7D%7D",
    "/npm/@scope%2fname",
    "/api/v4/projects/group%2Fproject/files/src%2Fmain.py/raw?ref=main",
    # what is quoted because it must be
    "/a%20b",
    "/report%20(final).pdf",
    "/%20",
    "/a+b",
    "/a%2Bb",
    "/wiki/C%2B%2B",
    "/wiki/C%23",
    "/wiki/What%3F",
    "/wiki/100%25",
    "/wiki/%2541",
    "/wiki/AC%2FDC",
    "/wiki/Category:Things",
    "/%7Btemplate%7D",
    "/a%7Cb%5Eb%60",
    "/%3Cb%3E",
    "/%22quoted%22",
    # the world's scripts
    "/caf%C3%A9",
    "/e%CC%81",
    "/stra%C3%9Fe",
    "/%C4%B0stanbul",
    "/%D1%80%D1%83%D1%81",
    "/%D8%A7%D9%84%D8%B9",
    "/%E6%97%A5%E6%9C%AC%E8%AA%9E/%E3%83%9A%E3%83%BC%E3%82%B8",
    "/%F0%9F%98%80",
    "/%F0%9F%91%A9%E2%80%8D%F0%9F%9A%80",
    "/a%C2%A0b",
    "/a%EF%BC%8Fb",
    # queries, in which anything may stand
    "/?",
    "/search?q=%E6%97%A5%E6%9C%AC&page=2",
    "/search?q=a+b&q=c&filter[]=1&filter[]=2",
    "/go?to=https%3A%2F%2Fexample.com%2Fa%2F..%2Fb%3Fc%3Dd%23e",
    "/go?to=http://example.com//x/../y",
    "/go?a=%00%0a%ff&b=%5C",
    "/go?utm_source=news&utm_medium=e-mail&fbclid=IwAR0",
    f"/file?X-Amz-Expires=60&X-Amz-Signature={HASH}",
    "/callback?code=abc&state=xyz",  # some other provider's, at the app's own address
    "/cgi-bin/a.cgi?x+y",
    # long ones
    "/" + "x" * 2000,
    "/a" * 500,
    "/?q=" + "x" * 2000,
]

LEGITIMATE = [_ask(f"GET {path}") for path in PATHS]
LEGITIMATE += [
    _ask("HEAD /page"),
    _ask("OPTIONS /page"),
    _ask("POST /form", b"a=1&b=%2F..%2F", Content_Type="application/x-www-form-urlencoded"),
    _ask("POST /api/items", b'{"path": "../../etc"}', **JSON),
    _ask("PUT /api/items/1", b"{}", **JSON),
    _ask("PATCH /api/items/1", b"{}", Content_Type="application/merge-patch+json"),
    _ask("DELETE /api/items/1"),
    _ask("PROPFIND /dav/calendars/ada%40example.com/", Depth="1"),
    _ask("GET /video.mp4", Range="bytes=0-1023", If_Range='"abc"'),
    _ask("GET /page", If_None_Match='W/"abc", "def"', If_Modified_Since="Fri, 17 May 2024 10:00:00 GMT"),
    _ask("PUT /page", b"x", If_Match="*"),
    _ask("GET /page", Authorization="Bearer of.the.app", Accept="application/json"),
    _ask("GET /page", X_Forwarded_For="192.0.2.1", X_Forwarded_Proto="https", Forwarded="for=192.0.2.1;proto=https"),
    _ask("GET /events", Accept="text/event-stream", Cache_Control="no-cache", Last_Event_ID="42"),
    _ask("GET /part", HX_Request="true", HX_Current_URL="http://localhost:8000/a//b"),
    _ask("GET /page", Referer="https://example.com/a/../b", Accept_Language="de-CH, de;q=0.9, *;q=0.5"),
    _ask("POST /page", b"{}", Origin="https://example.com", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="cors"),
    _ask("GET /page", Cookie_Preference="a=b; ck_session=x", Purpose="prefetch", Save_Data="on"),
]
