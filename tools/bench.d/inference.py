"""What the agent costs three ML frameworks.

Slowdown: in every generation three processes of one framework start, one under the agent (watched by a supervisor) and two
without. They take turns, in an order drawn anew each round. The watched one over the first plain one is the slowdown; the
second plain one over the first is the A/A control and shows what this machine can tell apart. The bounds are
bootstrapped over whole generations, since a process keeps its memory layout for life.
"""

from __future__ import annotations

import contextlib
import random
import statistics
import subprocess
import sys
from pathlib import Path

from figures import MISSED, REACHED, UNDECIDED, Figures
from programs import HERE
from setting import Setting, environment, watched

FRAMEWORKS = ("onnxruntime", "scikit-learn", "xgboost")
BLOCK_SECONDS = 0.12
RESAMPLES = 2000
# Where the goal is stricter, the share of the throughput that is kept has one of its own.
KEPT_BELOW = 0.01
GOAL = 0.005

Ratios = list[list[float]]  # by generation, by round


class Worker:
    def __init__(self, prefix: list[str], framework: str, setting: Setting, variables: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            prefix + [sys.executable, str(HERE / "worker.py"), framework, str(setting.models)], text=True,
            bufsize=1, env=environment(setting.directory) | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"} | variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def answer(self) -> str:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker ended with status {self.process.wait()}")
        return line.strip()

    def block(self) -> float:
        assert self.process.stdin
        self.process.stdin.write(f"{BLOCK_SECONDS}\n")
        return float(self.answer())

    def close(self) -> None:
        self.process.communicate(timeout=30)


def measure(
    framework: str, prefix: list[str], setting: Setting, variables: dict[str, str] | None = None
) -> tuple[Ratios, Ratios]:
    """Ratios of the watched and of the control process to the plain one."""
    draw = random.Random(framework)
    slowdown: Ratios = []
    control: Ratios = []
    for _ in range(setting.generations):
        with contextlib.ExitStack() as stack:
            workers = {}
            for name, before in (("plain", []), ("watched", prefix), ("control", [])):
                workers[name] = Worker(before, framework, setting, variables or {})
                stack.callback(workers[name].close)
            for worker in workers.values():
                worker.answer()  # ready
            slowdown.append([])
            control.append([])
            for _ in range(setting.rounds):
                order = list(workers)
                draw.shuffle(order)
                took = {name: workers[name].block() for name in order}
                slowdown[-1].append(took["watched"] / took["plain"])
                control[-1].append(took["control"] / took["plain"])
    return slowdown, control


def estimate(ratios: Ratios) -> tuple[float, float]:
    """The median over all rounds, and its 95 % upper bound over resampled generations and rounds."""
    draw = random.Random(1)
    medians = []
    for _ in range(RESAMPLES):
        sample: list[float] = []
        for generation in draw.choices(ratios, k=len(ratios)):
            sample += draw.choices(generation, k=len(generation))
        medians.append(statistics.median(sample))
    medians.sort()
    return statistics.median([ratio for generation in ratios for ratio in generation]), medians[int(RESAMPLES * 0.95)]


def report(figures: Figures, name: str, goal: float, slowdown: Ratios, control: Ratios) -> None:
    middle, upper = estimate(slowdown)
    control_middle, control_upper = estimate(control)
    noise = max(abs(control_upper - 1), abs(control_middle - 1))
    # A bound above the goal says nothing when two equal programs differ by as much.
    verdict = REACHED if upper - 1 <= goal else UNDECIDED if noise > goal else MISSED
    figures.row(f"{name}: slowdown, 95 % bound", f"{middle - 1:+.2%}, at most {upper - 1:+.2%}", f"<= {goal * 100:.1f} %", verdict,
                (middle - 1) * 100, "%")
    if goal < KEPT_BELOW:
        figures.row(f"{name}: throughput kept, 95 % bound", f"{1 / middle:.2%}, at least {1 / upper:.2%}", ">= 99.0 %",
                    REACHED if 1 / upper >= 0.99 else UNDECIDED if noise > 0.01 else MISSED, 100 / middle, "%")
    figures.row(f"{name}: nothing, again (A/A control)", f"{control_middle - 1:+.2%}, at most {control_upper - 1:+.2%}",
                value=(control_middle - 1) * 100, unit="%")


def bench(figures: Figures, setting: Setting) -> None:
    figures.begin("An inference")
    with watched(setting) as supervisor:
        prefix = [str(part) for part in supervisor.run()]
        for framework in FRAMEWORKS:
            report(figures, framework, GOAL, *measure(framework, prefix, setting))
