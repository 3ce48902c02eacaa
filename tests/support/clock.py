"""This file is a clock that stands still until a test moves it."""

import time
from types import ModuleType

import pytest


class Clock:
    """What `time.time` says, here and at the tests' provider. Waiting (`time.monotonic`) goes on as ever."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = float(int(time.time()))
        monkeypatch.setattr(time, "time", lambda: self.now)

    def move(self, seconds: float) -> None:
        self.now += seconds


class Hurry:
    """The `time` of a module in which a second of waiting is over in two thousandths of one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
        monkeypatch.setattr(module, "time", self)

    def time(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return 500 * time.monotonic()
