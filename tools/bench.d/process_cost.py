"""What the agent costs a process once: its start, its memory, its library."""

from __future__ import annotations

import subprocess

from figures import Figures
from programs import BUILD, NOBODY, clean, compiled
from setting import Setting

SPAWNS = 500
THREADS = 16  # in private_memory.c


def numbers(command: list[object], variables: dict[str, str]) -> list[float]:
    done = subprocess.run([str(part) for part in command], env=clean() | variables, check=True, capture_output=True, text=True)
    return [float(part) for part in done.stdout.split()]


def bench(figures: Figures, setting: Setting) -> None:
    figures.begin("A process")
    without, with_agent, again = numbers([compiled("spawn"), SPAWNS, setting.agent], {})
    added = with_agent - (without + again) / 2
    figures.row("spawn of /bin/true, and again (A/A)", f"{without:.0f} us, {again - without:+.0f} us", value=without, unit="us")
    figures.row("added to an exec", f"{added:+.0f} us", "<= 200 us", added <= 200, added, "us")
    private, segment = numbers([compiled("private_memory")], {"LD_PRELOAD": str(setting.agent), "MLOS_SOCKET": NOBODY})
    memory, goal = private + segment, 256 + THREADS / 2
    figures.row(f"private memory, {THREADS} threads: library + segment", f"{private:.0f} + {segment:.0f} KiB", f"<= {goal:.0f} KiB",
                memory <= goal, memory, "KiB")
    stripped = BUILD / "stripped.so"
    subprocess.run(["strip", "-o", stripped, setting.agent], check=True)
    size = stripped.stat().st_size / 1024
    figures.row("the stripped library", f"{size:.1f} KiB", "<= 96 KiB", size <= 96, size, "KiB")
