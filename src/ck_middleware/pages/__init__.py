"""This folder is what people read on pages of ours: the page itself, its texts in each language, an app's own in place.

When which page is shown, and what programs get, is said in `answers`.
"""

from ck_middleware.pages.page import Page

__all__ = ["Page"]
