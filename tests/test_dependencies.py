"""What comes along when this package is installed has no published vulnerability, as far as is known here.

An advisory service knows more, and `make audit` asks it; this table needs no network. A package stands in it with the
first version in which the vulnerability is mended.
"""

from importlib.metadata import version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from support.closure import DECLARED, closure

MENDED = [
    ("anyio", "4.14.2", "CVE-2026-63374"),  # TLS: a certificate for another spelling of a host's name
    ("anyio", "4.14.2", "CVE-2026-64847"),
    ("certifi", "2022.12.7", "CVE-2022-23491"),
    ("certifi", "2023.7.22", "CVE-2023-37920"),
    ("certifi", "2024.7.4", "CVE-2024-39689"),
    ("cryptography", "41.0.6", "CVE-2023-49083"),
    ("cryptography", "42.0.0", "CVE-2023-50782"),
    ("cryptography", "42.0.4", "CVE-2024-26130"),
    ("cryptography", "46.0.5", "CVE-2026-26007"),
    ("cryptography", "46.0.6", "CVE-2026-34073"),
    ("cryptography", "46.0.7", "CVE-2026-39892"),  # a buffer overflow
    ("cryptography", "50.0.0", "CVE-2026-69247"),  # a Bleichenbacher oracle in PKCS#7, which is not used here
    ("h11", "0.16.0", "CVE-2025-43859"),  # request smuggling
    ("httpx", "0.23.0", "CVE-2021-41945"),
    ("idna", "3.7", "CVE-2024-3651"),
    ("idna", "3.15", "CVE-2026-45409"),
    ("pyjwt", "2.4.0", "CVE-2022-29217"),
    ("pyjwt", "2.12.0", "CVE-2026-32597"),  # critical header members that nobody understands
    ("pyjwt", "2.13.0", "CVE-2026-48523"),  # an algorithm that was not allowed
    ("redis", "4.5.3", "CVE-2023-28858"),  # answers of other people's requests
    ("redis", "4.5.4", "CVE-2023-28859"),
    ("starlette", "0.25.0", "CVE-2023-30798"),
    ("starlette", "0.40.0", "CVE-2024-47874"),
    ("starlette", "0.49.1", "CVE-2025-62727"),
    ("starlette", "1.0.1", "CVE-2026-48710"),  # a Host header that moves the path
    ("starlette", "1.1.0", "CVE-2026-48818"),
    ("starlette", "1.3.0", "CVE-2026-54282"),
    ("starlette", "1.3.1", "CVE-2026-54283"),  # forms without a bound
    ("uvicorn", "0.11.7", "CVE-2020-7694"),
    ("uvicorn", "0.11.7", "CVE-2020-7695"),
]


def unmended(package: str, found: str) -> list[str]:
    return [advisory for name, mended, advisory in MENDED if name == package and Version(found) < Version(mended)]


def floor(requirement: Requirement) -> str:
    (lowest,) = [part.version for part in requirement.specifier if part.operator == ">="]
    return lowest


@pytest.mark.parametrize("requirement", DECLARED, ids=str)
def test_the_lowest_version_that_may_be_installed_has_no_published_vulnerability(requirement: Requirement) -> None:
    assert unmended(canonicalize_name(requirement.name), floor(requirement)) == []


def test_nothing_that_comes_along_here_has_a_published_vulnerability() -> None:
    found = {name: version(name) for name in closure(DECLARED)}
    assert {name: unmended(name, at) for name, at in found.items() if unmended(name, at)} == {}
    assert {name for name, _, _ in MENDED} <= set(found), "the table speaks of what does not come along"


def test_a_version_before_the_mended_one_would_be_told() -> None:
    assert unmended("h11", "0.14.0") == ["CVE-2025-43859"]
    assert unmended("h11", "0.16.0") == []
