"""This file is an OpenID provider that we did not write: django-oauth-toolkit, in a Django project of one file.

`python -m support.apps.independent FOLDER` keeps its database in the folder, takes a port from the kernel, and writes
the port to `FOLDER/port` when it answers. It is set up as strictly as it can be; people and clients are below.
"""

import os
import sys
from pathlib import Path
from typing import Any

import django
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.core.management import call_command
from django.core.servers.basehttp import run
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

from support.independent import ACCESS_LIFETIME, APP, CALLBACK, CLIENT_SECRET, CONFIDENTIAL, PASSWORD, PEOPLE, PUBLIC
from support.ports import HOST

LOGIN_PAGE = '<form method="post">{% csrf_token %}{{ form.as_p }}<input type="submit"></form>'
COMPLIANT = (
    "IMPLICIT_GRANT",
    "PASSWORD_GRANT",
    "PKCE_METHOD",
    "ACCESS_TOKEN_TRANSPORT",
    "AUTHZ_RESPONSE_ISS",
    "TOKEN_STORAGE",
    "REFRESH_TOKEN",
    "REDIRECT_URI_SCHEME",
    "REDIRECT_URI_MATCHING",
    "PKCE_REQUIRED",
)

urlpatterns: list[Any] = []  # filled once there are settings, as Django reads them then only


def configure(folder: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    settings.configure(
        SECRET_KEY="independent",
        ALLOWED_HOSTS=[HOST],
        ROOT_URLCONF=__name__,
        USE_TZ=True,
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "oauth2_provider",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
        ],
        MIGRATION_MODULES=dict.fromkeys(("auth", "contenttypes", "sessions", "oauth2_provider")),  # the tables at once
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": folder / "provider.db"}},
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # the slow ones guard real people
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {
                    "loaders": [
                        ("django.template.loaders.locmem.Loader", {"registration/login.html": LOGIN_PAGE}),
                        "django.template.loaders.app_directories.Loader",
                    ]
                },
            }
        ],
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_RSA_PRIVATE_KEY": key.decode(),
            "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
            "OAUTH2_VALIDATOR_CLASS": f"{__name__}.describing_people",
            "SCOPES": {"openid": "who you are", "profile": "your name", "email": "your address"},
            "ACCESS_TOKEN_EXPIRE_SECONDS": ACCESS_LIFETIME,
            "ROTATE_REFRESH_TOKEN": True,
            "REFRESH_TOKEN_REUSE_PROTECTION": True,
            "PKCE_REQUIRED": True,
            **{f"COMPLIANT_BCP_RFC9700_{name}": True for name in COMPLIANT},
        },
    )
    django.setup()


def describing_people() -> object:
    """The toolkit's own validator, with the claims that its documentation tells every project to add."""
    from oauth2_provider.oauth2_validators import OAuth2Validator  # noqa: PLC0415  # once there are settings

    class Validator(OAuth2Validator):  # type: ignore[misc]  # it ships no types
        def get_additional_claims(self, request: Any) -> dict[str, Any]:
            return {"name": request.user.get_full_name(), "email": request.user.email}

    return Validator()


def fill() -> None:
    """The tables, the people and the clients."""
    from django.contrib.auth.models import User  # noqa: PLC0415
    from oauth2_provider.models import Application  # noqa: PLC0415

    call_command("migrate", run_syncdb=True, verbosity=0)
    for username, name in PEOPLE.items():
        first, last = name.split()
        User.objects.create_user(username, f"{username}@people.example", PASSWORD, first_name=first, last_name=last)
    for client_id, kind in ((CONFIDENTIAL, Application.CLIENT_CONFIDENTIAL), (PUBLIC, Application.CLIENT_PUBLIC)):
        Application.objects.create(
            client_id=client_id,
            client_secret=CLIENT_SECRET if client_id == CONFIDENTIAL else "",
            client_type=kind,
            name=client_id,
            authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
            algorithm=Application.RS256_ALGORITHM,
            redirect_uris=CALLBACK,
            post_logout_redirect_uris=APP,
        )


def serve(folder: Path) -> None:
    def announce(port: int) -> None:
        (folder / "port.new").write_text(str(port))
        (folder / "port.new").replace(folder / "port")

    urlpatterns.append(path("accounts/", include("django.contrib.auth.urls")))
    urlpatterns.append(path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")))
    run(HOST, 0, get_wsgi_application(), threading=True, on_bind=announce)


if __name__ == "__main__":
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # it is on loopback
    place = Path(sys.argv[1])
    configure(place)
    fill()
    serve(place)
