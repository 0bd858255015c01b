"""What the agent costs three ML frameworks, and what the supervisor costs a host; run by tools/bench.

Slowdown: in every generation three processes of one framework start, one under the agent (watched by a supervisor) and two
without. They take turns, in an order drawn anew each round. The watched one over the first plain one is the slowdown; the
second plain one over the first is the A/A control and shows what this machine can tell apart. The bounds are
bootstrapped over whole generations, since a process keeps its memory layout for life.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "demo.d"))

import session  # noqa: E402

FRAMEWORKS = ("onnxruntime", "scikit-learn", "xgboost")
BLOCK_SECONDS = 0.12
RESAMPLES = 2000
IDLE_AGENTS = 10
IDLE_SECONDS = 40  # the supervisor unmaps what it used once every 30 s

Ratios = list[list[float]]  # by generation, by round


class Worker:
    def __init__(self, prefix: list[str], framework: str, models: Path, directory: Path) -> None:
        self.process = subprocess.Popen(
            prefix + [sys.executable, str(HERE / "worker.py"), framework, str(models)], text=True, bufsize=1,
            env=session.environment(directory) | {"OMP_NUM_THREADS": "1"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

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


def measure(framework: str, prefix: list[str], options: argparse.Namespace, directory: Path) -> tuple[Ratios, Ratios]:
    """Ratios of the watched and of the control process to the plain one."""
    draw = random.Random(framework)
    slowdown: Ratios = []
    control: Ratios = []
    for _ in range(options.generations):
        with contextlib.ExitStack() as stack:
            workers = {}
            for name, before in (("plain", []), ("watched", prefix), ("control", [])):
                workers[name] = Worker(before, framework, options.models, directory)
                stack.callback(workers[name].close)
            for worker in workers.values():
                worker.answer()  # ready
            slowdown.append([])
            control.append([])
            for _ in range(options.rounds):
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


def row(what: str, goal: str, measured: str, verdict: str) -> None:
    print(f"{what:52} {goal:>10} {measured:>28}  {verdict}", flush=True)


def decided(reached: bool) -> str:
    return "reached" if reached else "MISSED"


def bench_inference(prefix: list[str], options: argparse.Namespace, directory: Path) -> None:
    for framework in FRAMEWORKS:
        slowdown, control = measure(framework, prefix, options, directory)
        middle, upper = estimate(slowdown)
        control_middle, control_upper = estimate(control)
        noise = max(abs(control_upper - 1), abs(control_middle - 1))
        reached = upper - 1 <= 0.005
        # A bound above the goal says nothing when two equal programs differ by as much.
        row(f"{framework}: slowdown of an inference, 95 % bound", "<= 0.5 %", f"{middle - 1:+.2%}, at most {upper - 1:+.2%}",
            "reached" if reached else "not decided" if noise > 0.005 else "MISSED")
        row("  the same without the agent (A/A control)", "", f"{control_middle - 1:+.2%}, at most {control_upper - 1:+.2%}", "")


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
        for _ in range(IDLE_AGENTS):
            process = subprocess.Popen(prefix + [sys.executable, "-c", code], env=session.environment(directory),
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            stack.callback(process.communicate)
            assert process.stdout
            pids.append(int(process.stdout.readline()))
        yield pids


def bench_idle(prefix: list[str], supervisor_pid: int, directory: Path) -> None:
    with idle_targets(prefix, directory) as pids:
        time.sleep(2)  # agents attach lazily, 0.2 s after the start; then their first readings settle
        began, used, woken = time.monotonic(), ticks(supervisor_pid), [switches(pid) for pid in pids]
        highest = 0
        while time.monotonic() - began < IDLE_SECONDS:
            highest = max(highest, resident(supervisor_pid))
            time.sleep(1)
        elapsed = time.monotonic() - began
        share = (ticks(supervisor_pid) - used) / os.sysconf("SC_CLK_TCK") / elapsed
        wakes = sum(switches(pid) for pid in pids) - sum(woken)
        memory = resident(supervisor_pid)
    row(f"supervisor, {IDLE_AGENTS} idle agents: resident memory", "<= 20 MiB", f"{memory / 2**20:.1f} MiB (before {highest / 2**20:.1f})", decided(memory <= 20 << 20))
    row(f"supervisor, {IDLE_AGENTS} idle agents: of one core", "<= 0.1 %", f"{share:.2%} (steps of {0.01 / elapsed:.2%})", decided(share <= 0.001))
    row(f"wake-ups of {IDLE_AGENTS} idle targets in {IDLE_SECONDS} s", "0", str(wakes), decided(wakes == 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--generations", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=14)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mlb.") as name:
        directory = Path(name)
        with session.supervisor(options.binaries, directory) as (socket, supervisor_pid):
            prefix = [str(options.binaries / "mlos"), "run", "--socket", str(socket), "--"]
            print(f"{'what':52} {'goal':>10} {'measured':>28}")
            bench_inference(prefix, options, directory)
            bench_idle(prefix, supervisor_pid, directory)


if __name__ == "__main__":
    main()
