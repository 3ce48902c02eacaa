"""This file is an OpenID provider that we did not write, in a process of its own, and people with accounts there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from html import unescape
from typing import TYPE_CHECKING, Self
from urllib.parse import urljoin, urlsplit

import httpx

from support.ports import HOST
from support.servers import MODULES, PATIENCE, TLS

if TYPE_CHECKING:
    from pathlib import Path

    from ck_middleware.config import Settings

CONFIDENTIAL, PUBLIC = "independent-confidential", "independent-public"
CLIENT_SECRET = "s+e/c=r%e:t&0123456789"  # every character that a client may forget to encode
APP = "http://localhost:8000/"  # where both clients are at home
CALLBACK = APP + "auth/callback"
PASSWORD = "correct horse"
PEOPLE = {"ada": "Ada Lovelace", "grace": "Grace Hopper"}
ACCESS_LIFETIME = 200  # seconds


class IndependentProvider:
    """django-oauth-toolkit, as `support.apps.independent` sets it up."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        paths = os.pathsep.join(map(str, MODULES))
        words = [sys.executable, "-m", "support.apps.independent", str(folder)]
        with (folder / "log").open("w") as log:
            self._process = subprocess.Popen(words, env=os.environ | {"PYTHONPATH": paths}, stdout=log, stderr=log)
        self.issuer = ""

    @property
    def settings(self) -> Settings:
        return {"issuer": self.issuer, "client_id": CONFIDENTIAL, "client_secret": CLIENT_SECRET}

    @property
    def public_settings(self) -> Settings:
        """Those of a client that has no secret."""
        return {"issuer": self.issuer, "client_id": PUBLIC, "client_secret": "", "client_auth": "none"}

    @property
    def endpoints(self) -> Settings:
        """Those that its metadata name, said in settings."""
        return {
            "authorization_endpoint": f"{self.issuer}/authorize/",
            "token_endpoint": f"{self.issuer}/token/",
            "userinfo_endpoint": f"{self.issuer}/userinfo/",
            "jwks_uri": f"{self.issuer}/.well-known/jwks.json",
        }

    def written(self) -> str:
        """All that it has written to its standard output and error, a line for each request among it."""
        return (self._folder / "log").read_text("utf-8", "replace")

    def asked(self, path: str) -> int:
        """How often somebody asked for it."""
        return len(re.findall(rf'"[A-Z]+ {re.escape(path)}[? ]', self.written()))

    def accepts(self, access_token: str) -> bool:
        """Whether userinfo does."""
        headers = {"Authorization": f"Bearer {access_token}"}
        answer = httpx.get(f"{self.issuer}/userinfo/", headers=headers, timeout=PATIENCE, verify=TLS, trust_env=False)
        return answer.status_code == 200

    def post(self, path: str, **form: str) -> httpx.Response:
        """What a client sends that knows the secret."""
        return httpx.post(
            f"{self.issuer}/{path}/",
            data={"client_id": CONFIDENTIAL, "client_secret": CLIENT_SECRET, **form},
            timeout=PATIENCE,
            verify=TLS,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        port = self._folder / "port"
        ending = time.monotonic() + PATIENCE
        while not port.exists():
            if self._process.poll() is not None or time.monotonic() > ending:
                self.__exit__()
                raise AssertionError(f"the provider does not answer:\n{self.written()}")
            time.sleep(0.02)
        self.issuer = f"http://{HOST}:{port.read_text()}/o"
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()


class Resident:
    """Somebody with an account at the provider, at a browser in which they may be signed in there."""

    def __init__(self, username: str = "ada") -> None:
        self.username = username
        self._client = httpx.Client(timeout=PATIENCE, verify=TLS, trust_env=False)
        self.pages: list[str] = []  # the path of every page with a form that was filled in

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()

    def visit(self, url: str, *, consent: bool = True, password: str = PASSWORD) -> str:
        """Go there, fill in whatever is asked, and give the address at which the provider sends one to the app."""
        answer = self._client.get(url)
        for _ in range(10):
            if answer.is_redirect:
                url = urljoin(url, answer.headers["location"])
                if url.startswith(APP):
                    return url
                answer = self._client.get(url)
                continue
            assert answer.status_code == 200, answer.text
            self.pages.append(urlsplit(url).path)
            answer = self._submit(url, answer.text, consent=consent, password=password)
        raise AssertionError(f"the provider does not come to an end: {self.pages}")

    def refuse(self, url: str) -> httpx.Response:
        """Go there, and press what says no to whatever is asked."""
        return self._submit(url, self._client.get(url).text, consent=False)

    def revoke(self, issuer: str) -> None:
        """Take one's consent back, on the provider's own page for that."""
        listed = self._client.get(f"{issuer}/authorized_tokens/").text
        tokens = re.findall(r'href="([^"]+/delete/)"', listed)
        assert tokens, listed
        for token in tokens:
            page = urljoin(issuer, token)
            assert self._submit(page, self._client.get(page).text, consent=True).is_redirect

    def _submit(self, url: str, page: str, *, consent: bool, password: str = PASSWORD) -> httpx.Response:
        form = {"username": self.username, "password": password} if 'name="password"' in page else {}
        for field in re.findall(r"<input[^>]+>", page):
            name, value = (re.search(rf'{part}="([^"]*)"', field) for part in ("name", "value"))
            if 'type="hidden"' in field and name:
                form[name[1]] = unescape(value[1]) if value else ""
        allow = re.search(r'<input type="submit"[^>]+name="allow" value="([^"]+)"', page)
        if allow and consent:
            form["allow"] = allow[1]
        return self._client.post(url, data=form)
