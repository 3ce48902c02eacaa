"""This folder is every setting: what a user may pass, how it is read, and what becomes of it."""

from ck_middleware.config.settings import Settings
from ck_middleware.config.table import AuthConfig, unread

__all__ = ["AuthConfig", "Settings", "unread"]
