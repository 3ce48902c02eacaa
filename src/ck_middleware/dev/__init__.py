"""This file is what is for development only: a provider that runs on this machine, and nowhere else."""

from ck_middleware.dev.clients import Client
from ck_middleware.dev.people import Person
from ck_middleware.dev.provider import DevProvider

__all__ = ["Client", "DevProvider", "Person"]
