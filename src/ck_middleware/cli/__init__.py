"""This folder is the command `ck-middleware`: one file for each of its commands."""

from ck_middleware.cli.commands import main

__all__ = ["main"]
