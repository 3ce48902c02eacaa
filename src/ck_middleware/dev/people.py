"""This file is who can sign in at the development provider, and what an application learns of them."""

import hashlib
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Final

LONGEST_NAME = 100  # characters
SCOPES: Final = ("openid", "profile", "email")


@dataclass(frozen=True, slots=True)
class Person:
    """Someone made up. `key` is what the form posts; `note` is what makes them worth choosing."""

    key: str
    name: str
    email: str | None = None
    note: str = ""

    def sub(self, client_id: str) -> str:
        """The pseudonym that this client alone sees (OpenID Connect Core 1.0, section 8.1)."""
        return "ck_u_" + hashlib.sha256(f"{client_id}\0{self.key}".encode()).hexdigest()[:32]

    def claims(self, scope: AbstractSet[str]) -> dict[str, Any]:
        """What the scope shows (OpenID Connect Core 1.0, section 5.4)."""
        shown: dict[str, Any] = {}
        if "profile" in scope:
            shown |= {"name": self.name, "preferred_username": self.name.casefold().replace(" ", ".")}
        if "email" in scope and self.email is not None:
            shown |= {"email": self.email, "email_verified": True}
        return shown


PEOPLE: Final = (
    Person("otter", "Quiet Otter", "quiet.otter@example.test", "has everything"),
    Person("heron", "Patient Heron", None, "has no e-mail address"),
    Person("zoe", "Zoë <b>Ångström</b> & Söhne", "zoe@example.test", "has a name that needs escaping"),
)


def person_called(name: str) -> Person:
    """The person of this name; the same name is the same person, also after a restart."""
    key = hashlib.sha256(name.encode()).hexdigest()[:12]
    return Person(f"name-{key}", name, f"{key}@example.test")
