"""What ten idle agents cost: their processes no wake-up, the supervisor next to nothing."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from figures import Figures
from setting import Setting, environment, supervisor

AGENTS = 10
SECONDS = 40  # the supervisor unmaps what it used once every 30 s


def ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def switches(pid: int) -> int:
    total = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        total += sum(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("voluntary_ctxt"))
    return total


@contextlib.contextmanager
def idle_targets(prefix: list[str], directory: Path) -> Iterator[list[int]]:
    code = "import os, sys, ctypes, json; print(os.getpid(), flush=True); sys.stdin.read()"
    with contextlib.ExitStack() as stack:
        pids = []
        for _ in range(AGENTS):
            process = subprocess.Popen(prefix + [sys.executable, "-c", code], env=environment(directory),
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.callback(process.communicate)
            assert process.stdout
            pids.append(int(process.stdout.readline()))
        yield pids


def bench(figures: Figures, setting: Setting) -> None:
    figures.begin(f"{AGENTS} idle agents")
    with supervisor(setting.binaries, setting.directory) as (socket, pid):
        prefix = [str(setting.binaries / "mlos"), "run", "--socket", str(socket), "--"]
        with idle_targets(prefix, setting.directory) as pids:
            time.sleep(8)  # agents attach lazily, and are looked at twice in their first 5 s
            began, used, woken = time.monotonic(), ticks(pid), [switches(target) for target in pids]
            highest = 0
            while time.monotonic() - began < SECONDS:
                highest = max(highest, resident(pid))
                time.sleep(1)
            elapsed = time.monotonic() - began
            share = (ticks(pid) - used) / os.sysconf("SC_CLK_TCK") / elapsed
            wakes = sum(switches(target) for target in pids) - sum(woken)
            memory = resident(pid)
    figures.row("supervisor: resident memory", f"{memory / 2**20:.1f} MiB (before {highest / 2**20:.1f})", "<= 20 MiB",
                memory <= 20 << 20, memory / 2**20, "MiB")
    figures.row("supervisor: of one core", f"{share:.2%} (steps of {0.01 / elapsed:.2%})", "<= 0.1 %", share <= 0.001, share * 100, "%")
    figures.row(f"wake-ups of all targets in {SECONDS} s", str(wakes), "0", wakes == 0, wakes, "")
