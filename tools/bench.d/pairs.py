"""Nanoseconds that a malloc/free pair costs more: the agent off, counting and sampling, and its peers, all interleaved."""

from __future__ import annotations

import ctypes.util
import shutil
from collections.abc import Callable

from figures import Figures, compared, middle
from programs import NOBODY, compiled, last_number
from setting import Setting, watched

PAIRS = 5_000_000  # about 0.1 s a thread: far above the clock's resolution
SLOW_PAIRS = 200_000  # for what takes a hundred times as long
THREADS = (1, 2, 8, 16)

JEMALLOC = ctypes.util.find_library("jemalloc")


def bench(figures: Figures, setting: Setting) -> None:
    figures.begin("A malloc/free pair of 64 bytes")
    program = compiled("allocate")
    added: dict[int, float] = {}
    with watched(setting) as supervisor:
        for threads in THREADS:
            kinds: dict[str, Callable[[], float]] = {
                "plain": lambda: last_number([program, threads, PAIRS], {}, setting.directory),
                "off": lambda: last_number([program, threads, PAIRS], preload(setting, MLOS_AGENT_DISABLE="1"), setting.directory),
                "exact": lambda: last_number([program, threads, PAIRS], preload(setting), setting.directory),
                "sampling": lambda: supervisor.sampled([program, threads, PAIRS], {}),
                "again": lambda: last_number([program, threads, PAIRS], {}, setting.directory),
            }
            rounds = setting.rounds if threads == 1 else max(5, setting.rounds // 3)
            series = {name: [] for name in kinds}
            for _ in range(rounds):
                for name, measure in kinds.items():
                    series[name].append(measure())
            added[threads] = report(figures, threads, series)
    scaling = added[THREADS[-1]] / added[1]
    figures.row("exact live bytes: 16 threads against one", f"{scaling:.2f}x", "<= 1.2x", scaling <= 1.2, scaling, "ratio")
    peers(figures, setting, program)


def preload(setting: Setting, **variables: str) -> dict[str, str]:
    return {"LD_PRELOAD": str(setting.agent), "MLOS_SOCKET": NOBODY, **variables}


def report(figures: Figures, threads: int, series: dict[str, list[float]]) -> float:
    label = "1 thread" if threads == 1 else f"{threads} threads"
    noise = compared(series["again"], series["plain"])
    figures.row(f"{label}: without the agent, and again (A/A)", f"{middle(series['plain']):.2f} ns, {noise[0]:+.2f} ns", "",
                None, middle(series["plain"]), "ns")
    goals = {"off": ("agent off", 1.0), "exact": ("exact live bytes", 3.0), "sampling": ("a heap profile under way", None)}
    found = {}
    for kind, (name, goal) in goals.items():
        found[kind], low, high = compared(series[kind], series["plain"])
        # The goals are for one thread; what more threads add is a row of its own.
        judged = goal is not None and threads == 1
        figures.row(f"{label}: {name}", f"{found[kind]:+.2f} ns ({low:+.2f} to {high:+.2f})", f"<= {goal:.0f} ns" if judged else "",
                    found[kind] <= goal if judged and goal else None, found[kind], "ns")
    return found["exact"]


def peers(figures: Figures, setting: Setting, program: object) -> None:
    """Beside them, in the same run; each against what it builds on."""
    alone: list[float] = []
    if heaptrack := shutil.which("heaptrack"):
        slow = []
        for _ in range(5):
            alone.append(last_number([program, 1, PAIRS], {}, setting.directory))
            slow.append(last_number([heaptrack, "-o", setting.directory / "heaptrack", program, "1", SLOW_PAIRS], {}, setting.directory))
        found = compared(slow, alone)
        figures.row("1 thread: heaptrack", f"{found[0]:+.0f} ns ({found[1]:+.0f} to {found[2]:+.0f})", value=found[0], unit="ns")
    else:
        figures.row("1 thread: heaptrack", "not installed")
    if JEMALLOC:
        library = {"LD_PRELOAD": JEMALLOC}
        plain, profiled = [], []
        for _ in range(5):
            plain.append(last_number([program, 1, PAIRS], library | {"MALLOC_CONF": "prof:false"}, setting.directory))
            profiled.append(last_number([program, 1, PAIRS], library | {"MALLOC_CONF": "prof:true"}, setting.directory))
        found = compared(profiled, plain)
        figures.row("1 thread: jemalloc, its profiler against without", f"{found[0]:+.2f} ns ({found[1]:+.2f} to {found[2]:+.2f})",
                    value=found[0], unit="ns")
    else:
        figures.row("1 thread: jemalloc's profiler", "not installed")
