"""This file is a program that wants what others want of the same store, and says what it got."""

import json
import sys

from ck_middleware.blocking import BlockingRuntime
from ck_middleware.ports import Store, step
from support.asked import open_patiently

ROUNDS = 20


def main(url: str, number: str) -> None:
    store = open_patiently(url, BlockingRuntime())
    for turn in range(ROUNDS):
        _count_one(store)
        step(store.put(f"own-{number}-{turn}", b"v", ttl=60, owners=["everybody"]))
    added = [turn for turn in range(ROUNDS) if step(store.add(f"add-{turn}", number.encode(), ttl=60))]
    deleted = [turn for turn in range(ROUNDS) if step(store.delete(f"delete-{turn}", b"v"))]
    step(store.close())
    sys.stdout.write(json.dumps({"added": added, "deleted": deleted}))


def _count_one(store: Store) -> None:
    while True:
        found = step(store.get("count"))
        if found is None:
            if step(store.add("count", b"1", ttl=60)):
                return
        elif step(store.swap("count", found, b"%d" % (int(found) + 1), ttl=60)):
            return


if __name__ == "__main__":
    main(*sys.argv[1:])
