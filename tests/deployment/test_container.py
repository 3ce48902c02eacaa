"""This file is the container without a container: what its files say is well formed, and is run, command by command.

The file system that a container would have is a folder here, in which nothing may be written but its /tmp.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from packaging.requirements import Requirement

from ck_middleware.config import unread
from support.deployed import DEPLOY, environ_at
from support.examples import Browser, served
from support.ports import HOST, Port
from support.provider import Hub, MisbehavingProvider
from support.redis_server import RedisServer, binary
from support.servers import PATIENCE
from support.wheels import wheels_for

DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
KUBERNETES: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text("utf-8")))
ANYWHERE, INSIDE = "0.0.0.0:8000", "127.0.0.1:8000"  # where the app listens, and is asked by its own container
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
PROGRAMS = Path(sys.executable).parent
# What containers may not do: `cap_drop: [ALL]` and `no-new-privileges`. Root, too, cannot write where nobody may then.
CONFINED = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"] if os.geteuid() == 0 else []


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def said(instruction: str) -> list[str]:
    return [rest for word, rest in instructions() if word == instruction]


# Well formed


@pytest.mark.parametrize(
    "words",
    [
        ["hadolint", "--failure-threshold", "style", "Dockerfile"],
        ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml"],
    ],
    ids=lambda words: words[0],
)
def test_those_who_know_the_format_find_nothing(words: list[str]) -> None:
    done = subprocess.run([PROGRAMS / words[0], *words[1:]], cwd=DEPLOY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", ["1.34", "1.37"])
def test_kubernetes_knows_every_field_of_the_manifests(version: str) -> None:
    for manifest in KUBERNETES:
        kubernetes_validate.validate(manifest, version, strict=True)
    spoilt = KUBERNETES[0] | {"spec": KUBERNETES[0]["spec"] | {"replica": 2}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(spoilt, version, strict=True)


def test_no_secret_is_in_the_image_nor_anything_that_was_not_named() -> None:
    shipped = {file for rest in said("COPY") if "--from" not in rest for file in rest.split()[:-1]}
    allowed = (DEPLOY / ".dockerignore").read_text("utf-8").splitlines()[1:]
    assert allowed == ["*", *(f"!{file}" for file in sorted(shipped))]
    assert not said("ARG")
    for text in (DOCKERFILE, *((DEPLOY / file).read_text("utf-8") for file in shipped)):
        assert not re.search(r"(?i)secret\s*[:=]|ck_[0-9a-f]{8}", text)


def test_compose_and_kubernetes_hold_the_app_as_tightly_as_the_test_below() -> None:
    app = COMPOSE["services"]["app"]
    held = {name: app[name] for name in ("read_only", "tmpfs", "cap_drop", "security_opt")}
    assert held == {
        "read_only": True,
        "tmpfs": ["/tmp"],  # noqa: S108  # of the container
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }
    pod = KUBERNETES[0]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    user = ":".join(str(pod["securityContext"][name]) for name in ("runAsUser", "runAsGroup"))
    assert said("USER") == [user]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert [mount["mountPath"] for mount in container["volumeMounts"]] == ["/tmp"]  # noqa: S108  # of the container
    assert "ports" not in app
    assert "ports" not in COMPOSE["services"]["redis"]
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_the_manifests_belong_together_and_name_settings_that_are_read() -> None:
    kinds = {manifest["kind"]: manifest["spec"] for manifest in KUBERNETES}
    deployment = kinds["Deployment"]
    (container,) = deployment["template"]["spec"]["containers"]
    labels = deployment["template"]["metadata"]["labels"]
    assert deployment["replicas"] == 2
    assert deployment["selector"] == kinds["PodDisruptionBudget"]["selector"] == {"matchLabels": labels}
    assert kinds["NetworkPolicy"]["podSelector"] == {"matchLabels": labels}
    assert kinds["Service"]["selector"] == labels
    (port,) = container["ports"]
    assert f"0.0.0.0:{port['containerPort']}" in json.loads(said("CMD")[0])
    assert kinds["Service"]["ports"][0]["targetPort"] == port["name"]
    (rule,) = kinds["Ingress"]["rules"]
    assert rule["http"]["paths"][0]["backend"]["service"] == {"name": "app", "port": {"name": port["name"]}}
    given = {one["name"]: one["value"] for one in container["env"]}
    assert given["CONSENTKEYS_APP_URL"] == f"https://{rule['host']}"
    assert not unread(given | COMPOSE["services"]["app"]["environment"])
    text = (DEPLOY / "kubernetes.yaml").read_text("utf-8") + (DEPLOY / "compose.yaml").read_text("utf-8")
    assert not re.search(r"_SECRET[=:] *\S", text)


# Run


@dataclass
class Image:
    """The folders that a container of the image would see, and the server that runs there."""

    root: Path
    provider: MisbehavingProvider
    redis: RedisServer
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def place(self) -> Path:
        return self.inside(said("WORKDIR")[-1])

    def inside(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def build(self, wheels: Path) -> None:
        """As the lines of the Dockerfile say, with packages from this folder."""
        home = {"HOME": str(self.root), "PATH": f"{PROGRAMS}:{os.environ['PATH']}"}
        for word, rest in instructions():
            if word == "WORKDIR":
                self.inside(rest).mkdir(parents=True, exist_ok=True)
            elif word == "COPY" and "--from" not in rest:
                for file in rest.split()[:-1]:
                    shutil.copy(DEPLOY / file, self.place)
            elif word == "RUN":
                script = rest.replace("/opt/venv", str(self.inside("/opt/venv")))
                offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PIP_NO_COMPILE": "1"}
                subprocess.run(["/bin/sh", "-euc", script], cwd=self.place, env=home | offline, check=True)
        self.inside("/tmp").mkdir()  # noqa: S108  # of the container
        for path in (self.root, *self.root.rglob("*")):
            if path != self.inside("/tmp") and not path.is_symlink():  # noqa: S108
                path.chmod(path.stat().st_mode & ~0o222)

    def words(self, command: str, port: int) -> list[str]:
        """A command of the Dockerfile, confined, at another port."""
        program, *words = [word.replace(ANYWHERE, f"{HOST}:{port}") for word in json.loads(command)]
        words = [word.replace(INSIDE, f"{HOST}:{port}") for word in words]
        return [*CONFINED, str(self.inside("/opt/venv/bin") / program), *words]

    def run(self, *words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*CONFINED, *words], cwd=self.place, env=self.environ | environ, capture_output=True, text=True, check=False
        )

    @contextmanager
    def without_redis(self) -> Iterator[None]:
        self.redis.kill()
        try:
            yield
        finally:
            self.redis.start()

    @contextmanager
    def running(self, port: int, home: Path) -> Iterator[str]:
        home.mkdir()
        with served(self.words(said("CMD")[0], port), port=port, home=home, place=self.place, **self.environ) as origin:
            yield origin


@pytest.fixture(scope="module")
def image(hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    home = tmp_path_factory.mktemp("container")
    needed = (DEPLOY / "requirements.txt").read_text("utf-8").splitlines()
    wheels, data = home / "wheels", home / "data"
    wheels.mkdir()
    data.mkdir()
    wheels_for(map(Requirement, needed[1:]), wheels)
    program, *options = (str(data) if word == "/data" else word for word in COMPOSE["services"]["redis"]["command"])
    assert program == "redis-server"
    with hub.provider() as provider, RedisServer(data, *options) as redis:
        image = Image(home / "root", provider, redis)
        image.root.mkdir()
        image.build(wheels)
        yield image
        for path in (image.root, *image.root.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)  # so that it can be thrown away


@pytest.fixture
def port(image: Image) -> Iterator[int]:
    """Where the app listens, whose settings are those of compose.yaml."""
    with Port() as port:
        origin = f"http://localhost:{port.number}"
        store = COMPOSE["services"]["app"]["environment"] | {"CONSENTKEYS_STORE": image.redis.url}
        own = {name: value for name, value in environ_at(origin, image.provider).items() if name != "PYTHONPATH"}
        path = f"{image.inside('/opt/venv/bin')}:{os.environ['PATH']}"
        bare = dict(part.split("=", 1) for part in shlex.split(said("ENV")[0]))
        image.environ = own | bare | {"PATH": path, "TMPDIR": str(image.inside("/tmp"))} | store  # noqa: S108
        yield port.number


def test_the_image_serves_people_while_nothing_in_it_can_be_written(image: Image, port: int, tmp_path: Path) -> None:
    assert image.run("/usr/bin/touch", str(image.place / "written")).returncode != 0
    assert image.run("/usr/bin/touch", str(image.inside("/tmp") / "written")).returncode == 0  # noqa: S108
    with image.running(port, tmp_path / "first") as origin, Browser(origin) as browser:
        assert "You are" in browser.log_in("/who").text
        check = image.words(said("HEALTHCHECK")[0].partition("CMD ")[2], port)
        assert subprocess.run(check, cwd=image.place, env=image.environ, check=False).returncode == 0
        assert {_probed(browser, name) for name in PROBES} == {200}
        with image.without_redis():
            _until(lambda: _probed(browser, "readinessProbe") == 503)  # it has the store's last word for a while
            assert _probed(browser, "livenessProbe") == 200
            assert subprocess.run(check, cwd=image.place, env=image.environ, check=False).returncode != 0
        _until(lambda: _probed(browser, "readinessProbe") == 200)
        assert "You are" in browser.visit("/who").text  # whose session has lived over the restart of Redis


def _until(true: Callable[[], object]) -> None:
    ending = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < ending
        time.sleep(0.05)


def _probed(browser: Browser, name: str) -> int:
    """The answer to a probe of kubernetes.yaml, which comes to the address of the pod."""
    (container,) = KUBERNETES[0]["spec"]["template"]["spec"]["containers"]
    return browser.ask(container[name]["httpGet"]["path"], Host="10.1.2.3:8000").status_code


def test_the_doctor_lets_a_good_deploy_pass_and_stops_a_bad_one(image: Image, port: int) -> None:
    good = image.run("ck-middleware", "doctor", "--no-env-file")
    assert good.returncode == 0, good.stdout + good.stderr
    bad = image.run("ck-middleware", "doctor", "--no-env-file", CONSENTKEYS_CLIENT_SECRET="of another app")
    assert bad.returncode != 0, bad.stdout


def test_compose_waits_until_redis_answers(image: Image) -> None:
    kind, check = COMPOSE["services"]["redis"]["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    client = shutil.which("redis-cli", path=os.pathsep.join([str(Path(binary()).parent), os.environ["PATH"]]))
    script = check.replace("redis-cli", f"{client} -p {image.redis.port}")
    assert subprocess.run(["/bin/sh", "-c", script], timeout=PATIENCE, check=False).returncode == 0
    with image.without_redis():
        assert subprocess.run(["/bin/sh", "-c", script], timeout=PATIENCE, check=False).returncode != 0
