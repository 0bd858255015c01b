"""A Python program bound by malloc: makes and drops small objects. Prints nanoseconds a turn, of processor time.

    PYTHONMALLOC=malloc python python_churn.py TURNS [sampled]

sampled: says its PID first and measures only once a heap profile of it is under way.
"""

from __future__ import annotations

import json
import os
import sys
import time

ROWS = [{"id": i, "name": f"user{i}", "tags": [str(j) for j in range(i % 7)], "score": i * 1.5} for i in range(300)]


def turn() -> int:
    rows = json.loads(json.dumps(ROWS))
    index = {row["name"]: row for row in rows}
    words = [word for row in rows for word in (row["name"] + " x").split()]
    return len("".join(sorted(words))) + len(index)


def is_profiled() -> bool:
    with open("/proc/self/maps") as maps:
        return "mlos-heap" in maps.read()


def main() -> None:
    for _ in range(20):
        turn()
    if "sampled" in sys.argv:
        print(os.getpid(), flush=True)
        while not is_profiled():
            turn()
    began = time.process_time_ns()
    count = int(sys.argv[1])
    for _ in range(count):
        turn()
    print((time.process_time_ns() - began) / count, flush=True)
    if "sampled" in sys.argv and not is_profiled():
        raise SystemExit("the profile ended before the measurement did")


if __name__ == "__main__":
    main()
