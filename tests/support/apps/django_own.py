"""This file is a project's own middleware for people whom the server names, derived from ours, and with a header."""

from ck_middleware.contrib.django_auth import RemoteUserMiddleware


class OwnRemoteUserMiddleware(RemoteUserMiddleware):
    header = "HTTP_X_OWN_USER"
