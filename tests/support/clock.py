"""This file is a clock that stands still until a test moves it."""

import time

import pytest


class Clock:
    """What `time.time` says, here and at the tests' provider. Waiting (`time.monotonic`) goes on as ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = float(int(time.time()))
        monkeypatch.setattr(time, "time", lambda: self.now)

    def move(self, seconds: float) -> None:
        self.now += seconds
