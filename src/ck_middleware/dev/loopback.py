"""This file is what counts as this machine: the development provider is for nobody else."""

from ck_middleware.addresses import is_loopback, split
from ck_middleware.errors import ConfigError, Fault


def loopback_address(issuer: str) -> str:
    """The issuer without a slash at its end, under which the endpoints stand.

    Raises `ConfigError` unless it is an address of this machine.
    """
    try:
        address = split(issuer)
        is_fine = is_loopback(address.host) and not address.query
    except Fault:
        is_fine = False
    if not is_fine:
        problem = f"issuer: the development provider is for this machine alone; {issuer!r} is not http://localhost:PORT"
        raise ConfigError([problem])
    return issuer.removesuffix("/")
