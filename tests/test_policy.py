"""Which paths are refused, which need a login, and which are open."""

import sys
from collections.abc import Callable
from functools import partial
from itertools import product
from random import Random
from types import FrameType
from typing import SupportsIndex

import pytest

from ck_middleware.policy import Policy, Verdict, canonical, local_path, return_path

REFUSED, OPEN, PAGE, API = Verdict.REFUSED, Verdict.OPEN, Verdict.PAGE, Verdict.API


@pytest.fixture(scope="module")
def policy() -> Policy:
    return Policy(protect=["/api", "/admin"], public=["/public", "/api/status", "/static/"], api=["/api"])


@pytest.fixture(scope="module")
def closed() -> Policy:
    """Everything needs a login, which is the default."""
    return Policy(protect=["/"], public=["/", "/health", "/static/"], api=["/api"])


# What a client writes in its request line, what servers make of it, and the verdict. `raw` is what an ASGI server
# keeps of the target; `path` is what it, or a WSGI server after re-decoding, calls the path.
REQUEST_TARGETS = [
    # raw                               path                            verdict
    (b"/api/secret", "/api/secret", API),
    (b"//api/secret", "//api/secret", REFUSED),
    (b"///api/secret", "///api/secret", REFUSED),
    (b"/%2fapi/secret", "//api/secret", REFUSED),
    (b"/api//secret", "/api//secret", REFUSED),
    (b"/api/secret/", "/api/secret/", API),
    (b"/api/", "/api/", API),
    (b"/./api/secret", "/./api/secret", REFUSED),
    (b"/api/./secret", "/api/./secret", REFUSED),
    (b"/public/../api/secret", "/public/../api/secret", REFUSED),
    (b"/%2e/api/secret", "/./api/secret", REFUSED),
    (b"/%2e%2e/api/secret", "/../api/secret", REFUSED),
    (b"/public/..%2fapi/secret", "/public/../api/secret", REFUSED),
    (b"/public/..", "/public/..", REFUSED),
    (b"/public/.", "/public/.", REFUSED),
    (b"/public/...", "/public/...", OPEN),
    (b"/public/.well-known", "/public/.well-known", OPEN),
    (b"/public/..x", "/public/..x", OPEN),
    (b"/%61pi/secret", "/api/secret", API),
    (b"/api%2Fsecret", "/api/secret", API),
    (b"/%2561pi/secret", "/%61pi/secret", OPEN),
    (b"/API/secret", "/API/secret", API),
    (b"/Api/secret", "/Api/secret", API),
    (b"/ADMIN", "/ADMIN", PAGE),
    (b"/api;x=1/secret", "/api;x=1/secret", OPEN),
    (b"/api/secret;x=1", "/api/secret;x=1", API),
    (b"/;/api/secret", "/;/api/secret", OPEN),
    (b"/api./secret", "/api./secret", OPEN),
    (b"/api/secret.", "/api/secret.", API),
    (b"/api/secret%20", "/api/secret ", API),
    (b"/api/secret%09", "/api/secret\t", REFUSED),
    (b"/api/secret%00", "/api/secret\x00", REFUSED),
    (b"/%00/api/secret", "/\x00/api/secret", REFUSED),
    (b"/api/secret%0a", "/api/secret\n", REFUSED),
    (b"/admin%0a", "/admin\n", REFUSED),
    (b"/admin%0D", "/admin\r", REFUSED),
    (b"/admin%7f", "/admin\x7f", REFUSED),
    (b"/admin", "/admin", PAGE),
    (b"/api/secret%ff", "/api/secret\ufffd", REFUSED),
    (b"/%ffapi/secret", "/\ufffdapi/secret", REFUSED),
    (b"/ap%ffi/secret", "/ap\ufffdi/secret", REFUSED),
    (b"/%c0%afapi/secret", "/\ufffd\ufffdapi/secret", REFUSED),
    (b"/api/secret%ff", "/api/secret\udcff", REFUSED),
    (b"/api/secret\xff", "/api/secret\xff", REFUSED),
    (b"/\xc3\xa9api/secret", "/\xe9api/secret", OPEN),
    (b"/api/\xc3\xa9", "/api/\xe9", API),
    (b"/api/%c3%a9", "/api/\xe9", API),
    (b"/%ef%bd%81pi/secret", "/\uff41pi/secret", OPEN),
    (b"/ap%c4%b1/secret", "/ap\u0131/secret", OPEN),
    (b"/\\api\\secret", "/\\api\\secret", REFUSED),
    (b"/api\\secret", "/api\\secret", REFUSED),
    (b"/%5capi/secret", "/\\api/secret", REFUSED),
    (b"/public", "/public", OPEN),
    (b"/api/secret%3f", "/api/secret?", API),
    (b"/api/secret#x", "/api/secret#x", REFUSED),
    (b"/public#/api/secret", "/public#/api/secret", REFUSED),
    (b"/admin%23x", "/admin#x", OPEN),
    (b"/api/a%23b", "/api/a#b", API),
    (b"http://evil.example/api/secret", "http://evil.example/api/secret", REFUSED),
    (b"http://evil.example/api/secret", "/api/secret", REFUSED),
    (b"//api/secret", "http://127.0.0.1//api/secret", REFUSED),
    (b"api/secret", "api/secret", REFUSED),
    (b"%2fapi%2fsecret", "/api/secret", REFUSED),
    (b"@evil.example/api/secret", "@evil.example/api/secret", REFUSED),
    (b"%00/api/secret", "\x00/api/secret", REFUSED),
    (b"http://127.0.0.1", "http://127.0.0.1", REFUSED),
    (b"", "", REFUSED),
    (b"*", "*", REFUSED),
]


@pytest.mark.parametrize(("raw_path", "path", "verdict"), REQUEST_TARGETS)
def test_every_spelling_a_server_lets_through_is_judged(
    policy: Policy, raw_path: bytes, path: str, verdict: Verdict
) -> None:
    assert policy.judge(path, raw_path=raw_path) is verdict


# Wrong by their raw form alone. Where there is none (WSGI), the path is what the router sees, or the face refused it.
ONLY_RAW = {b"/api/secret#x", b"/public#/api/secret", b"%2fapi%2fsecret", b"/api/secret\xff"}
ONLY_RAW |= {b"http://evil.example/api/secret"}


@pytest.mark.parametrize(("raw_path", "path", "verdict"), [row for row in REQUEST_TARGETS if row[0] not in ONLY_RAW])
def test_a_server_that_keeps_no_raw_path_gets_the_same_verdict(
    policy: Policy, raw_path: bytes, path: str, verdict: Verdict
) -> None:
    assert policy.judge(path) is verdict


HTTP2_PATHS = [
    (b"api/secret", "api/secret", REFUSED),
    (b"http://x/api/secret", "http://x/api/secret", REFUSED),
    (b"//api/secret", "//api/secret", REFUSED),
    (b"/api/secret\x01", "/api/secret\x01", REFUSED),
    (b"/api /secret", "/api /secret", OPEN),
    (b"/api/secret#x", "/api/secret#x", REFUSED),
    (b"/api/secret", "/api/secret", API),
]


@pytest.mark.parametrize(("raw_path", "path", "verdict"), HTTP2_PATHS)
def test_the_path_of_an_http2_request_is_judged_alike(
    policy: Policy, raw_path: bytes, path: str, verdict: Verdict
) -> None:
    assert policy.judge(path, raw_path=raw_path) is verdict


LEGITIMATE = [
    "/",
    "/public",
    "/public/",
    "/a",
    "/a/b/c/d/e/f/g",
    "/index.html",
    "/.well-known/openid-configuration",
    "/.env.example",
    "/...",
    "/a..b",
    "/a/..b",
    "/a/b..",
    "/a/.b/c.",
    "/~user/",
    "/file.tar.gz",
    "/wiki/C++",
    "/wiki/C#",
    "/wiki/What?",
    "/wiki/AC/DC",
    "/wiki/100%",
    "/wiki/%41",
    "/wiki/50%25",
    "/wiki/Bob's_(page)",
    "/wiki/Category:Things",
    "/@user",
    "/users/alice@example.com",
    "/a;v=1/b",
    "/a,b,c",
    "/a=b&c=d",
    "/a+b",
    "/a b",
    "/a ",
    "/ a",
    "/$metadata",
    "/items(5)",
    "/items/[5]",
    "/{template}",
    "/a|b",
    "/a^b",
    "/a`b",
    "/<b>",
    '/"quoted"',
    "/*",
    "/!",
    "/-/health",
    "/_next/static/chunks/main-abc.js",
    "/caf\xe9",
    "/stra\xdfe",
    "/\u00fc\u00f6\u00e4",
    "/\u0440\u0443\u0441\u0441\u043a\u0438\u0439",
    "/\u65e5\u672c\u8a9e/\u30da\u30fc\u30b8",
    "/\u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "/e\u0301",
    "/\U0001f600",
    "/\u0130stanbul",
    "/\u212aelvin",
    "/a\xa0b",
    "/a\u200db",
    "/\uff0e\uff0e/full-width-dots",
    "/\u2024\u2024/leader-dots",
    "/a\u2215b",
    "/a\x80b",
    "/http://example.com".replace("//", "/"),
    "/proxy/https:%2F%2Fexample.com",
    "/" + "x" * 8000,
    "/a" * 2000,
    "/q/SELECT 1",
    "/0",
    "/00/01",
    "/api-docs",
    "/API",
    "/con/aux/nul",
]


@pytest.mark.parametrize("path", LEGITIMATE)
def test_no_legitimate_path_is_refused(policy: Policy, closed: Policy, path: str) -> None:
    assert canonical(path)
    assert policy.judge(path) is not REFUSED
    assert closed.judge(path) is not REFUSED


@pytest.mark.parametrize("path", LEGITIMATE)
def test_no_legitimate_path_is_refused_for_the_way_it_is_encoded(policy: Policy, path: str) -> None:
    thorough = "".join(f"%{byte:02x}" if byte != ord("/") else "/" for byte in path.encode())
    sparing = path.replace("%", "%25").replace("?", "%3F").replace("#", "%23").encode()
    assert policy.judge(path, raw_path=thorough.encode()) is not REFUSED
    assert policy.judge(path, raw_path=sparing) is not REFUSED


@pytest.mark.parametrize("code", [*range(0x20), 0x7F, 0xFFFD, ord("\\"), *range(0xD800, 0xE000, 0x101)])
@pytest.mark.parametrize("template", ["/{}api", "/api{}", "/api/{}secret", "/api/secret{}", "{}/api/secret"])
def test_what_a_router_may_drop_is_refused_anywhere(policy: Policy, code: int, template: str) -> None:
    assert policy.judge(template.format(chr(code))) is REFUSED
    assert policy.judge(template.format("x").removeprefix("x")) is not REFUSED


@pytest.mark.parametrize(
    "path", ["//", "/a//", "/a//b", "/.", "/..", "/./", "/../", "/a/.", "/a/..", "/a/./b", "/a/../b"]
)
def test_empty_and_dot_segments_are_refused(path: str) -> None:
    assert not canonical(path)
    assert canonical(path.replace("/.", "/x").replace("//", "/"))


# The raw path


@pytest.mark.parametrize(
    ("raw_path", "accepted"),
    [
        (None, True),
        (b"/pre/x y", True),  # a server that sends raw UTF-8 or spaces on
        (b"/pre/x%20y", True),
        (b"/x%20y", True),  # without the mount
        (b"/%78%20%79", True),
        (b"/pre/x%2520y", False),  # decoded once, not twice
        (b"/pre/x%20z", False),
        (b"/pre/pre/x%20y", False),
        (b"/pre", False),
        (b"/", False),
        (b"", False),
        (b"pre/x%20y", False),
        (b"%2fpre/x%20y", False),
        (b"/pre/x%20y?", False),
        (b"/pre/x%20y#", False),
        (b"/pre/x%20y\n", False),
        (b"/pre/x%ffy", False),
        (b"/pre/x\xffy", False),
    ],
)
def test_a_raw_path_has_to_say_what_the_path_says(policy: Policy, raw_path: bytes | None, *, accepted: bool) -> None:
    verdict = policy.judge("/pre/x y", root_path="/pre", raw_path=raw_path)
    assert verdict is (OPEN if accepted else REFUSED)


def test_a_raw_path_never_opens_what_its_path_closes(policy: Policy) -> None:
    assert policy.judge("/public", raw_path=b"/api/secret") is REFUSED
    assert policy.judge("/api/secret", raw_path=b"/public") is REFUSED
    assert policy.judge("/public", raw_path=b"/public") is OPEN


# Prefixes


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        ("/api", API),
        ("/api/", API),
        ("/api/x", API),
        ("/aPi/x/y/z", API),
        ("/apix", OPEN),
        ("/api-x", OPEN),
        ("/ap", OPEN),
        ("/x/api", OPEN),
        ("/admin", PAGE),
        ("/admin/x", PAGE),
        ("/administrator", OPEN),
        ("/", OPEN),
    ],
)
def test_prefixes_end_at_a_segment_and_ignore_case(policy: Policy, path: str, verdict: Verdict) -> None:
    assert policy.judge(path) is verdict


@pytest.mark.parametrize("prefix", ["/a/b/c", "/A/B/C", "/stra\xdfe", "/\u0130", "/a", "/a/b c", "/\ufb03"])
@pytest.mark.parametrize("change", [str, str.upper, str.lower, str.swapcase, str.title, str.casefold])
def test_a_prefix_covers_every_letter_case_of_itself(prefix: str, change: Callable[[str], str]) -> None:
    policy = Policy(protect=[prefix])
    assert policy.judge(change(prefix)) is PAGE
    assert policy.judge(change(prefix) + "/below/it") is PAGE
    assert policy.judge(change(prefix) + "x") is OPEN
    assert policy.judge("/x" + change(prefix)) is OPEN


def test_a_deep_prefix_leaves_what_is_above_and_beside_it_open() -> None:
    policy = Policy(protect=["/a/b/c", "/a/x"])
    closed = {path for path in ["/", "/a", "/a/b", "/a/b/c", "/a/b/c/d", "/a/b/cc", "/a/x", "/a/xx", "/b/c"] if
              policy.judge(path) is not OPEN}  # fmt: skip
    assert closed == {"/a/b/c", "/a/b/c/d", "/a/x"}


def test_a_prefix_inside_another_one_is_still_a_prefix() -> None:
    policy = Policy(protect=["/a/b/c", "/a"])
    assert policy.judge("/a/z") is PAGE
    assert policy.judge("/b") is OPEN


def test_nothing_protected_means_all_open() -> None:
    assert Policy(protect=[]).judge("/api") is OPEN


@pytest.mark.parametrize(
    "path", ["/x", "/API", "/static", "/Static/x", "/health/", "/Health", "/healthz", "/%2fhealth"]
)
def test_everything_is_protected_by_default(closed: Policy, path: str) -> None:
    assert closed.judge(path) is not OPEN


@pytest.mark.parametrize("path", ["/", "/health", "/static/", "/static/x", "/static/css/a.css"])
def test_public_paths_are_open_although_everything_is_protected(closed: Policy, path: str) -> None:
    assert closed.judge(path) is OPEN


def test_a_path_below_an_api_prefix_is_answered_as_an_api() -> None:
    policy = Policy(protect=["/"], api=["/api", "/v1/rpc"])
    assert [policy.judge(path) for path in ("/API/x", "/v1/rpc", "/v1/rpc/x")] == [API] * 3
    assert [policy.judge(path) for path in ("/", "/apis", "/v1", "/v1/rpcs")] == [PAGE] * 4
    assert Policy(protect=["/"], api=["/"]).judge("/x") is API
    assert Policy(protect=["/admin"], api=["/api"]).judge("/api") is OPEN


# Public wins, on identical bytes


@pytest.mark.parametrize(
    ("path", "verdict"),
    [
        ("/api/status", OPEN),
        ("/api/status/", API),
        ("/api/status/x", API),
        ("/api/Status", API),
        ("/API/status", API),
        ("/api/statusx", API),
        ("/api/docs/", OPEN),
        ("/api/docs/x/y", OPEN),
        ("/api/docs", API),
        ("/api/docsx", API),
        ("/api/Docs/x", API),
        ("/api/a/b/c/x", OPEN),
        ("/api/a/b", API),
        ("/api/\uff53tatus", API),
        ("/admin/home", PAGE),
    ],
)
def test_public_wins_on_identical_bytes_only(path: str, verdict: Verdict) -> None:
    public = ["/api/status", "/api/docs/", "/api/a/b/c/", "/"]
    assert Policy(protect=["/api", "/admin"], public=public, api=["/api"]).judge(path) is verdict


def test_the_home_page_may_be_public_alone() -> None:
    policy = Policy(protect=["/"], public=["/"])
    assert policy.judge("/") is OPEN
    assert policy.judge("/x") is PAGE


# Mounts

MOUNTED = [
    # root_path  path                 raw                        verdict
    ("/pre", "/pre/api/secret", b"/pre/api/secret", API),  # uvicorn, for /api/secret
    ("/pre", "/api/secret", b"/api/secret", API),  # hypercorn, granian, daphne
    ("/pre", "/pre/api/secret", b"/%70re/api/secret", API),
    ("/pre", "/pre/api/secret", b"/api/secret", API),
    ("/pre", "/preapi/secret", b"/preapi/secret", API),
    ("/pre", "/pre//api/secret", b"/pre//api/secret", REFUSED),
    ("/pre", "/x/pre/api/secret", b"/x/pre/api/secret", API),
    ("/pre", "/x/preapi/secret", None, API),
    ("/pre", "/pre/pre/api", None, API),
    ("/pre", "//pre/api/secret", b"//pre/api/secret", REFUSED),
    ("/pre", "/pre/admin", None, PAGE),
    ("/pre", "/pre/ADMIN", None, PAGE),
    ("/pre", "/preadmin", None, PAGE),
    ("/pre", "/pre", None, OPEN),
    ("/pre", "/pre/", None, OPEN),
    ("/pre", "/pre/other", None, OPEN),
    ("/pre", "/other", None, OPEN),
    ("/pre", "/pre/apix", None, OPEN),
    ("/pre", "/PRE/api", None, OPEN),
    ("/pre/", "/pre/api/secret", None, API),
    ("/pre/", "/preapi/secret", None, API),
    ("/", "/api/secret", None, API),
    ("/", "/x/api/secret", None, OPEN),
    ("/m", "/m/api/secret", b"/m/api/secret", API),  # Starlette's Mount
    ("/zz", "/zz/api/secret", None, API),
    ("/a/a", "/a/a/a/api", None, API),
    ("/a/a", "/x/a/a/a/api", None, API),  # the second occurrence overlaps the first
    ("/caf\xe9", "/caf\xe9/api", None, API),
]


@pytest.mark.parametrize(("root_path", "path", "raw_path", "verdict"), MOUNTED)
def test_a_mount_hides_no_protected_path(
    policy: Policy, root_path: str, path: str, raw_path: bytes | None, verdict: Verdict
) -> None:
    assert policy.judge(path, root_path=root_path, raw_path=raw_path) is verdict


@pytest.mark.parametrize("path", ["/pre/api/secret", "/preapi/secret", "/x/pre/api", "/api/secret", "/pre/API"])
def test_the_path_of_the_public_address_counts_as_a_mount_nobody_shows(path: str) -> None:
    assert Policy(protect=["/api"], api=["/api"], mount="/pre").judge(path) is API
    assert Policy(protect=["/api"], api=["/api"], mount="/pre/").judge(path) is API
    assert Policy(protect=["/api"], api=["/api"], mount="/pre").judge(path, root_path="/other") is API


def test_without_a_mount_only_the_path_itself_is_read() -> None:
    policy = Policy(protect=["/api"])
    assert policy.judge("/pre/api/secret") is OPEN
    assert policy.judge("/pre/api/secret", root_path="/other") is OPEN
    assert policy.judge("/api/secret") is PAGE


@pytest.mark.parametrize("root_path", ["pre", "//", "//pre", "/pre//", "/../x", "/.", "/a\\b", "/\n", "/\ufffd"])
def test_a_mount_that_is_not_canonical_is_refused(policy: Policy, root_path: str) -> None:
    assert policy.judge("/public", root_path=root_path) is REFUSED
    assert policy.judge("/public", root_path="/pre") is OPEN


PUBLIC_UNDER_A_MOUNT = [
    ("/pre/health", True),  # uvicorn
    ("/health", True),  # hypercorn, granian, daphne
    ("/pre", True),  # the home page
    ("/pre/", True),
    ("/", True),
    ("/pre/static/x", True),
    ("/static/x", True),
    ("/pre/static/pre/static/x", True),  # every tail is public too
    ("/pre/static/pre/health", True),
    ("/static/pre", True),
    ("/pre/static/pre/api", False),  # Litestar cuts there
    ("/static/pre/api", False),
    ("/static/preapi", False),
    ("/pre/static/preapi", False),
    ("/prehealth", False),  # Litestar and Quart may read /health here, others /prehealth
    ("/pre/pre/health", False),
    ("/pre/Health", False),
    ("/PRE/health", False),
    ("/pre/static", False),
    ("/whole/pre", False),
]


@pytest.mark.parametrize(("path", "is_open"), PUBLIC_UNDER_A_MOUNT)
def test_under_a_mount_every_reading_has_to_be_public(closed: Policy, path: str, *, is_open: bool) -> None:
    assert (closed.judge(path, root_path="/pre") is OPEN) is is_open
    assert (closed.judge(path, root_path="/pre/") is OPEN) is is_open


def test_under_a_mount_the_whole_path_is_not_asked() -> None:
    policy = Policy(protect=["/"], public=["/pre/health", "/preopen"])
    assert policy.judge("/pre/health", root_path="/pre") is PAGE
    assert policy.judge("/preopen", root_path="/pre") is PAGE
    assert policy.judge("/pre/health") is OPEN


def _readings(path: str, *mounts: str) -> set[str]:
    """The rule as it is said, with no regard for cost."""
    tails = [path]
    for mount in filter(None, mounts):
        tails += [path[i + len(mount) :] for i in range(len(path)) if path.startswith(mount, i)]
    return {"/" + tail.lstrip("/") for tail in tails}


def _below(reading: str, prefix: str) -> bool:
    folded = prefix.casefold().rstrip("/")
    return reading.casefold() == prefix.casefold() or reading.casefold().startswith(folded + "/")


def _public(reading: str, entries: list[str]) -> bool:
    return any(
        reading.startswith(entry) if entry.endswith("/") and entry != "/" else reading == entry for entry in entries
    )


def _slow_verdict(path: str, root: str, mount: str, protect: list[str], public: list[str]) -> Verdict:
    leads = bool(root) and (path == root or path.startswith(root + "/"))
    asked = _readings(path, root) - {"/" + path.lstrip("/")} if root else set()
    asked.add(path[len(root) :] or "/" if leads else path)
    if all(_public(reading, public) for reading in asked):
        return OPEN
    protected = any(_below(reading, prefix) for reading in _readings(path, root, mount) for prefix in protect)
    return PAGE if protected else OPEN


def test_look_ups_decide_as_the_rule_says_it() -> None:
    random = Random(20240229)  # noqa: S311 - the same paths in every run
    segments = ["a", "b", "A", "ab", "aa", "\xdf", "ss"]

    def some_path(most: int) -> str:
        return "".join("/" + random.choice(segments) for _ in range(random.randint(1, most))) + random.choice(
            ["", "", "/"]
        )

    met = set()
    for _ in range(20_000):
        protect = [some_path(3).rstrip("/") for _ in range(random.randint(0, 3))] + random.choice([[], [], [], ["/"]])
        public = [some_path(3) for _ in range(random.randint(0, 3))] + random.choice([[], ["/"]])
        root, mount = (random.choice(["", some_path(2).rstrip("/")]) for _ in range(2))
        path = random.choice(["", root, mount]) + random.choice([some_path(4), some_path(4)[1:]])
        policy = Policy(protect=protect, public=public, mount=mount)
        if not canonical(path):
            continue
        verdict = policy.judge(path, root_path=root)
        assert verdict is _slow_verdict(path, root, mount, protect, public), (path, root, mount, protect, public)
        met.add((verdict, bool(root), bool(mount)))
    assert met == set(product([OPEN, PAGE], [False, True], [False, True]))


# Cost


class Counting(str):
    """A path that counts the characters copied out of it."""

    __slots__ = ("copied",)

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        part = super().__getitem__(key)
        self.copied: int = getattr(self, "copied", 0) + len(part)
        return part


def _calls(act: Callable[[], object]) -> int:
    """How many calls, Python's or C's, something makes."""
    count = 0

    def note(_frame: FrameType, event: str, _arg: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("unit", "root_path"),
    [
        ("/pre", "/pre"),
        ("/a", "/a"),
        ("/a", "/a" * 500),
        ("/preapi/x", "/pre"),
        ("/pre" + "x" * 60, "/pre"),
        ("/a/b", "/a"),
    ],
)
def test_a_path_full_of_mounts_costs_in_proportion_to_its_length(unit: str, root_path: str) -> None:
    policy = Policy(protect=["/zebra/crossing", "/other"], public=["/static/"], api=["/api"], mount=root_path)

    def copied(length: int) -> int:
        path = Counting(unit * (length // len(unit)))
        assert policy.judge(path, root_path=root_path) is OPEN
        return path.copied

    def calls(length: int) -> int:
        path = unit * (length // len(unit))
        return _calls(lambda: policy.judge(path, root_path=root_path))

    assert copied(65_536) <= 2.2 * copied(32_768)
    assert copied(65_536) <= 10 * 65_536
    assert calls(65_536) <= 2.2 * calls(32_768)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unit", ["/a", "/..a", "a", "/\xe9", "/a/", "%41", " "])
def test_a_long_path_is_judged_at_once(unit: str) -> None:
    path = "/" + unit.lstrip("/") * (65_536 // len(unit))
    closed, bad = Policy(protect=["/"], public=["/static/"]), path + "\n"
    for _ in range(20):  # were one of these quadratic, it would take minutes
        assert closed.judge(path, raw_path=path.replace("%", "%25").encode()) in (PAGE, REFUSED)
        assert closed.judge(bad) is REFUSED
        assert return_path(path) is None


def test_ten_thousand_prefixes_cost_what_one_does() -> None:
    many = [f"/p{number}/{'x' * (number % 9)}" for number in range(9_999)]
    one = Policy(protect=["/p/q"], public=["/o/p/"], api=["/a"])
    lots = Policy(protect=["/p/q", *many], public=["/o/p/", *(path + "/" for path in many)], api=["/a", *many])
    for path in ["/", "/p/q", "/p/q/r", "/o/p/x", "/nothing/of/this", "/a/b/c"]:
        assert lots.judge(path) is one.judge(path)
        fresh = path + "/"  # not remembered yet
        assert _calls(partial(lots.judge, fresh)) == _calls(partial(one.judge, fresh))


def test_case_folding_is_what_the_look_up_takes_it_for() -> None:
    for char in map(chr, range(sys.maxunicode + 1)):
        assert char.casefold()
        assert ("/" in char.casefold()) is (char == "/")


# The path as the app spells it


@pytest.mark.parametrize(
    ("path", "root_path", "expected"),
    [
        ("/pre/auth/login", "/pre", "/auth/login"),
        ("/pre/auth/login", "/pre/", "/auth/login"),
        ("/auth/login", "/pre", "/auth/login"),
        ("/auth/login", "", "/auth/login"),
        ("/auth/login", "/", "/auth/login"),
        ("/preauth/login", "/pre", "/preauth/login"),
        ("/x/pre/auth", "/pre", "/x/pre/auth"),
        ("/pre/pre/auth", "/pre", "/pre/auth"),
        ("/PRE/auth", "/pre", "/PRE/auth"),
        ("/pre", "/pre", "/"),
        ("/pre/", "/pre", "/"),
        ("/", "", "/"),
        ("", "", "/"),
        ("", "/pre", "/"),
    ],
)
def test_a_local_path_is_without_a_mount_that_leads_it(path: str, root_path: str, expected: str) -> None:
    assert local_path(path, root_path) == expected
