"""This file is ports of this machine that the kernel gives to nobody else, so that tests may run side by side."""

from ck_middleware.testing.server import HOST, Port

__all__ = ["HOST", "Port"]
