"""What a Python program bound by malloc (PYTHONMALLOC=malloc) costs more: the agent and its peers, interleaved."""

from __future__ import annotations

import ctypes.util
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from figures import Figures, middle
from inference import measure, report
from programs import HERE, last_number
from setting import Setting, watched

TURNS = 300
SLOW_TURNS = 60
GOAL = 0.02
NAME = "the agent"


def interval(ratios: list[float]) -> tuple[float, float]:
    """The median and the 95 % upper bound of the median, by order statistics."""
    ordered = sorted(ratios)
    count = len(ordered)
    return middle(ordered), ordered[min(count - 1, round(count / 2 + 0.82 * count**0.5))]


def bench(figures: Figures, setting: Setting) -> None:
    figures.begin("Python bound by malloc (JSON and strings, PYTHONMALLOC=malloc)")
    python, program = Path(sys.executable).resolve(), HERE / "python_churn.py"
    base = {"PYTHONMALLOC": "malloc"}
    here = setting.directory

    with watched(setting) as supervisor:
        prefix = [str(part) for part in supervisor.run()]
        report(figures, NAME, GOAL, *measure("python", prefix, setting, base))
        ratios = [supervisor.sampled([python, program, TURNS], base) / last_number([python, program, TURNS], base, here)
                  for _ in range(setting.rounds)]
    found, upper = interval(ratios)
    figures.row("a heap profile under way", f"{found - 1:+.1%}, at most {upper - 1:+.1%}", value=(found - 1) * 100, unit="%")
    peers(figures, setting, python, program, base)


def peers(figures: Figures, setting: Setting, python: Path, program: Path, base: dict[str, str]) -> None:
    here = setting.directory
    output = [0]

    def fresh(suffix: str) -> Path:
        output[0] += 1
        return here / f"peer{output[0]}{suffix}"

    def plain(interpreter: Path = python) -> float:
        return last_number([interpreter, program, SLOW_TURNS], base, here)

    commands: dict[str, tuple[Callable[[], float], Callable[[], float]] | None] = {}
    heaptrack = shutil.which("heaptrack")
    commands["heaptrack"] = heaptrack and (
        lambda: last_number([heaptrack, "-o", fresh(""), python, program, SLOW_TURNS], base, here), plain) or None
    memray = setting.memray
    commands["memray"] = memray and (
        lambda: last_number([memray, "-m", "memray", "run", "-o", fresh(".bin"), program, SLOW_TURNS], base, here),
        lambda: plain(memray)) or None
    commands["memray --native"] = memray and (
        lambda: last_number([memray, "-m", "memray", "run", "--native", "-o", fresh(".bin"), program, SLOW_TURNS], base, here),
        lambda: plain(memray)) or None
    jemalloc = ctypes.util.find_library("jemalloc")
    library = base | {"LD_PRELOAD": jemalloc or ""}
    commands["jemalloc, its profiler against without"] = (
        lambda: last_number([python, program, TURNS], library | {"MALLOC_CONF": "prof:true"}, here),
        lambda: last_number([python, program, TURNS], library | {"MALLOC_CONF": "prof:false"}, here)) if jemalloc else None
    for name, measures in commands.items():
        if not measures:
            figures.row(name, "not installed")
            continue
        with_peer, without = measures
        found, upper = interval([with_peer() / without() for _ in range(5)])
        figures.row(name, f"{found - 1:+.0%}, at most {upper - 1:+.0%}", value=(found - 1) * 100, unit="%")
