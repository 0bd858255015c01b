"""How soon a load is told: from the return of dlopen in the program to the event in a client's hands."""

from __future__ import annotations

import subprocess
import time

from figures import Figures
from programs import clean, compiled
from scale import get
from setting import Setting, watched

LOADS = 100


def bench(figures: Figures, setting: Setting) -> None:
    figures.begin("From a load to the table")
    program = compiled("scale_target")
    with watched(setting) as supervisor:
        control = supervisor.socket.parent / "control.sock"
        after = get(control, "/api/v1/events?limit=1&after=18446744073709551615")["next"]
        process = subprocess.Popen([str(part) for part in [*supervisor.run(), program]], env=clean(), text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin and process.stdout
        process.stdout.readline()

        def until_told() -> None:
            """Awaits the end of one dlopen and dlclose: they come in turn."""
            nonlocal after
            seen = False
            while not seen:
                page = get(control, f"/api/v1/events?after={after}&limit=1000&wait=30")
                after = page["next"]
                seen = any(event["kind"] == "unloaded" for event in page["events"])

        until_told()  # of its own at the start
        told: list[float] = []
        for _ in range(LOADS):
            process.stdin.write("1\n")
            process.stdin.flush()
            process.stdout.readline()
            loaded = time.monotonic()
            until_told()
            told.append(time.monotonic() - loaded)
        process.stdin.close()
        process.wait()
        process.stdout.close()
    told.sort()
    for name, value in (("median", told[LOADS // 2]), ("99 of 100 within", told[LOADS * 99 // 100 - 1])):
        figures.row(f"{LOADS} loads, one at a time, to a client that follows: {name}", f"{value * 1e3:.1f} ms", value=value * 1e3, unit="ms")
