"""This file is what a store costs: a look-up in each, with few and with very many sessions in it, and the bytes of one.

    python benchmarks/stores.py [--many 1000000]

Prints a table. Every round asks each store in turn, so that a busy moment of the machine hits all alike; a figure is
the median of the rounds. Redis is one of the script's own, over a socket on this machine.
"""

import argparse
import asyncio
import os
import random
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import redis

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from ck_middleware.stores.file import row_id
from ck_middleware.stores.memory import AsyncMemoryStore, MemoryStore
from support.asked import Asked
from support.redis_server import RedisServer

FEW = 1000
ROUNDS = 41
ASKED = 400  # look-ups of one store in one round
VALUE = os.urandom(1200)  # a sealed session with a few claims and no tokens
LIFE = 86400.0


def key(number: int) -> str:
    return f"s{number:042d}"


def owners(number: int) -> list[str]:
    return [f"sub:{number // 3:040d}", f"sid:{number:040d}"]


def fill_sqlite(folder: Path, count: int) -> str:
    """In bulk, by the store's own tables: a million writes that each wait for the disk would take an hour."""
    path = folder / f"{count}.db"
    store = Asked(f"sqlite:///{path}")
    store.put(key(0), VALUE, ttl=LIFE, owners=owners(0))
    store.close()
    ends = time.time() + LIFE
    order = random.Random(1).sample(range(1, count), count - 1)  # noqa: S311  # sessions come in no order of their keys
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = ((row_id(key(number)), key(number), VALUE, ends) for number in order)
        connection.executemany("INSERT INTO kept (id, key, value, ends) VALUES (?, ?, ?, ?)", rows)
        named = ((owner, row_id(key(number))) for number in order for owner in owners(number))
        connection.executemany("INSERT INTO owned (owner, id) VALUES (?, ?)", named)
    return f"sqlite:///{path}"


def fill_redis(server: RedisServer, count: int) -> str:
    from ck_middleware.stores.scripts import PUT  # noqa: PLC0415

    prefix = f"{count}:"
    client = redis.Redis.from_url(server.url)
    script = client.register_script(PUT)
    for start in range(0, count, 5000):
        pipe = client.pipeline(transaction=False)
        for number in range(start, min(start + 5000, count)):
            head = " ".join(owners(number))
            script(
                keys=[f"{prefix}s:{key(number)}"],
                args=[prefix, key(number), head, VALUE, int(LIFE * 1000)],
                client=pipe,
            )
        pipe.execute()
    client.close()
    return f"{server.url}?prefix={prefix}"


def used_memory(server: RedisServer) -> int:
    return int(server.ask("INFO", "memory").decode().partition("used_memory:")[2].split()[0])


def warm(folder: Path) -> None:
    """Have the files in memory, as they are on a machine that is in use: this is no measure of its disk."""
    for path in folder.glob("*.db"):
        with path.open("rb") as file:
            while file.read(1 << 20):
                pass


def measure(store: Asked, count: int, generator: random.Random) -> float:
    """Microseconds of one look-up, of sessions that were not looked up just now."""
    keys = [key(generator.randrange(count)) for _ in range(ASKED)]

    async def look_up() -> float:
        begun = time.perf_counter()
        for one in keys:
            if await store.port.get(one) is None:
                raise LookupError(one)
        return (time.perf_counter() - begun) / ASKED * 1e6

    return store.ask(look_up())


def stores(
    folder: Path, server: RedisServer, many: int, runner: asyncio.Runner
) -> Iterator[tuple[str, str, int, Asked]]:
    for face, loop in (("blocking", None), ("async", runner)):
        memory = Asked(AsyncMemoryStore() if loop else MemoryStore(), loop)
        for number in range(FEW):
            memory.put(key(number), VALUE, ttl=LIFE)
        yield "memory", face, FEW, memory
    for count in (FEW, many):
        before = used_memory(server)
        sqlite_url, redis_url = fill_sqlite(folder, count), fill_redis(server, count)
        size = (folder / f"{count}.db").stat().st_size
        print(f"{count:>9,} sessions of {len(VALUE)} bytes: SQLite {size / count:,.0f} bytes each,", end=" ")
        print(f"Redis {(used_memory(server) - before) / count:,.0f} bytes each")
        for face, loop in (("blocking", None), ("async", runner)):
            yield "sqlite", face, count, Asked(sqlite_url, loop)
            yield "redis", face, count, Asked(redis_url, loop)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--many", type=int, default=1_000_000)
    many: int = parser.parse_args().many
    generator = random.Random(0)  # noqa: S311  # which sessions are looked up is no secret
    with tempfile.TemporaryDirectory() as name, asyncio.Runner() as runner, RedisServer(Path(name)) as server:
        asked = list(stores(Path(name), server, many, runner))
        warm(Path(name))
        took: dict[tuple[str, str, int], list[float]] = {(kind, face, count): [] for kind, face, count, _ in asked}
        for _ in range(ROUNDS):
            for kind, face, count, store in asked:
                took[kind, face, count].append(measure(store, count, generator))
        for *_, store in asked:
            store.close()
    print_table({what: statistics.median(rounds) for what, rounds in took.items()}, many)


def print_table(median: dict[tuple[str, str, int], float], many: int) -> None:
    print(f"\n{'get, microseconds':20}{FEW:>12,}{many:>12,}{'ratio':>8}")
    for kind, face, count in median:
        if count == FEW:
            few, lots = median[kind, face, FEW], median.get((kind, face, many))
            more = f"{lots:12.1f}{lots / few:8.2f}" if lots else ""
            print(f"{kind + ', ' + face:20}{few:12.1f}{more}")


if __name__ == "__main__":
    main()
