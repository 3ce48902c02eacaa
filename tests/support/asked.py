"""This file is a store as tests ask it: the same text on both faces, one question at a time or many at once."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch

from ck_middleware.blocking import BlockingRuntime
from ck_middleware.looping import LoopRuntime
from ck_middleware.ports import Runtime, Store, step
from ck_middleware.stores import open_store, redis, sqlite

PATIENCE = 60.0  # seconds for an honest answer, on a machine that may stand still for some
THREADS = 8
TASKS = 50
PROCESSES = 4
CONTENDER = Path(__file__).with_name("contender.py")

T = TypeVar("T")
Question = Coroutine[Any, Any, T]


@contextmanager
def waiting_at_most(seconds: float) -> Iterator[None]:
    """Stores that are made in here wait as long, where others wait as long as people would for a page."""
    with patch.object(redis, "LONGEST_WAIT", seconds), patch.object(sqlite, "LONGEST_WAIT", seconds):
        yield


def open_patiently(setting: object, runtime: Runtime, *, timeout: float = PATIENCE) -> Store:
    with waiting_at_most(PATIENCE):
        return open_store(setting, runtime, timeout=timeout)


class Asked:
    """A store on one face. `runner` is the loop of the ASGI face; without one the face is WSGI."""

    def __init__(self, setting: object, runner: asyncio.Runner | None = None, *, timeout: float = PATIENCE) -> None:
        self.port = open_patiently(setting, LoopRuntime() if runner else BlockingRuntime(), timeout=timeout)
        self._runner = runner

    def ask(self, question: Question[T]) -> T:
        return self._runner.run(question) if self._runner else step(question)

    def at_once(self, question: Callable[[int], Question[T]]) -> list[T]:
        """Ask from 8 threads, or from 50 tasks; the number of each is what `question` gets."""
        if self._runner:
            return self._runner.run(_gathered([question(number) for number in range(TASKS)]))
        with ThreadPoolExecutor(THREADS) as threads:
            return list(threads.map(lambda number: step(question(number)), range(THREADS)))

    def get(self, key: str) -> bytes | None:
        return self.ask(self.port.get(key))

    def put(self, key: str, value: bytes = b"v", *, ttl: float = 60, owners: Sequence[str] = ()) -> None:
        self.ask(self.port.put(key, value, ttl=ttl, owners=owners))

    def swap(self, key: str, old: bytes, new: bytes, *, ttl: float = 60) -> bool:
        return self.ask(self.port.swap(key, old, new, ttl=ttl))

    def touch(self, key: str, *, ttl: float = 60) -> bool:
        return self.ask(self.port.touch(key, ttl=ttl))

    def add(self, key: str, value: bytes = b"v", *, ttl: float = 60) -> bool:
        return self.ask(self.port.add(key, value, ttl=ttl))

    def delete(self, key: str, value: bytes | None = None) -> bool:
        return self.ask(self.port.delete(key, value))

    def owned(self, owner: str) -> set[str]:
        keys = self.ask(self.port.owned(owner))
        assert len(keys) == len(set(keys))
        return set(keys)

    def present(self, *keys: str) -> set[str]:
        return self.ask(self.port.present(keys))

    def close(self) -> None:
        self.ask(self.port.close())


async def _gathered(questions: Sequence[Question[T]]) -> list[T]:
    return await asyncio.gather(*questions)


def environ() -> dict[str, str]:
    """Of a process that imports what tests do."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), *sys.path])}


def contend(url: str, count: int = PROCESSES) -> list[dict[str, list[int]]]:
    """What each of some processes got, all of which wanted the same."""
    words = [sys.executable, str(CONTENDER), url]
    processes = [
        subprocess.Popen([*words, str(number)], env=environ(), stdout=subprocess.PIPE) for number in range(count)
    ]
    written = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * count
    return [json.loads(text) for text in written]
