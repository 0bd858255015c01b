"""Runs one unit of a suite (a module of tests, a program) in one configuration, in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from compare import WHOLE_RUN, Outcomes

# In the environment of everything a run starts, with the run's folder as its value: so its processes are found again.
MARKER = "CONFORMANCE_FOLDER"
DEFAULT_LIMIT_S = 600.0
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Configuration:
    name: str
    agent: bool
    supervised: bool = False
    # The agent behind the other libraries of LD_PRELOAD instead of before them.
    agent_last: bool = False


# How the outcome of a run begins that was ended.
NOT_DONE = "failed, not done"
WITHOUT = Configuration("without the agent", agent=False)
SUPERVISED = Configuration("agent and supervisor", agent=True, supervised=True)
ALONE = Configuration("agent alone", agent=True)


@dataclass(frozen=True)
class Place:
    """Where one run may write; gone afterwards."""

    folder: Path

    @property
    def work(self) -> Path:
        return self.folder / "w"

    @property
    def report(self) -> Path:
        return self.folder / "report"


@dataclass(frozen=True)
class Unit:
    name: str
    command: Callable[[Place], list[str]]
    # From the place, the exit status and the output to what each test came to.
    read: Callable[[Place, int, str], Outcomes]
    variables: dict[str, str] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    limit_s: float = DEFAULT_LIMIT_S


@dataclass(frozen=True)
class Run:
    outcomes: Outcomes
    seconds: float
    log: str


def status_in_words(status: int) -> str:
    """Of a subprocess: negative for a signal."""
    if status < 0:
        return f"failed by signal {signal.Signals(-status).name}"
    return f"passed with {status}" if status == 0 else f"failed with {status}"


class Runner:
    """Knows where things are, what is running, and how to end it."""

    def __init__(self, work: Path, logs: Path, agent: Path) -> None:
        self.work = work
        self.logs = logs
        self.agent = agent
        self.running: dict[str, float] = {}
        self.stopping = threading.Event()
        self.lock = threading.Lock()

    def environment(self, unit: Unit, configuration: Configuration, place: Place, socket: str) -> dict[str, str]:
        """The same in every configuration except LD_PRELOAD. The socket's path is in it without the agent too."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("MLOS_", "LD_", "PYTHON", "XDG_", "PYTEST_", "OMP_")) and name != "VIRTUAL_ENV"
        }
        values = (
            kept
            | {
                "MLOS_SOCKET": socket,
                MARKER: str(place.folder),
                "TMPDIR": str(place.folder / "t"),
                "HOME": str(place.folder / "h"),
                "LC_ALL": "C.UTF-8",
                "PYTHONHASHSEED": "0",
                "OMP_NUM_THREADS": "2",
                "OPENBLAS_NUM_THREADS": "2",
                # Threads that wait without spinning: two spinning runs at a time take minutes on two processors.
                "OMP_WAIT_POLICY": "passive",
            }
            | unit.variables
        )
        preload = list(unit.preload)
        if configuration.agent:
            preload.insert(len(preload) if configuration.agent_last else 0, str(self.agent))
        if preload:
            values["LD_PRELOAD"] = ":".join(preload)
        return values

    def run(self, suite: str, unit: Unit, configuration: Configuration, socket: str, attempt: int) -> Run:
        if self.stopping.is_set():
            raise RuntimeError("stopping")
        title = f"{suite} {unit.name}, {configuration.name}"
        place = Place(Path(tempfile.mkdtemp(prefix="r.", dir=self.work)))
        for folder in (place.work, place.folder / "t", place.folder / "h"):
            folder.mkdir()
        safe = "".join(letter if letter.isalnum() or letter in ".-" else "_" for letter in f"{title}.{attempt}.log")
        log = self.logs / safe
        began = time.monotonic()
        with self.lock:
            self.running[title] = began
        try:
            with open(log, "wb") as output:
                process = subprocess.Popen(
                    unit.command(place),
                    cwd=place.work,
                    env=self.environment(unit, configuration, place, socket),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
                status = self.wait(process, began + unit.limit_s)
                left = end_processes(str(place.folder), process.pid)
                if left:
                    output.write(f"\nleft running and ended: {', '.join(left)}\n".encode())
            text = log.read_text(errors="replace")
            if status is None:
                outcomes = {WHOLE_RUN: f"{NOT_DONE} within {unit.limit_s:.0f} s"}
            else:
                outcomes = {WHOLE_RUN: status_in_words(status)} | unit.read(place, status, text)
            return Run(outcomes, time.monotonic() - began, os.path.relpath(log, ROOT))
        finally:
            with self.lock:
                del self.running[title]
            remove(place.folder)

    def wait(self, process: subprocess.Popen[bytes], end: float) -> int | None:
        """The exit status, or None when time ran out."""
        while not self.stopping.is_set():
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(min(1.0, max(0.01, end - time.monotonic())))
            if time.monotonic() > end:
                break
        process.kill()
        process.wait()
        return None

    def stop(self) -> None:
        """Ends what is running; nothing can be started afterwards."""
        self.stopping.set()


def end_processes(folder: str, session: int) -> list[str]:
    """Ends what a run left: processes with its folder in their environment or in the session it was given."""
    marker = f"{MARKER}={folder}".encode()
    found: dict[int, str] = {}
    # A process can fork while it is being looked for, so again until none is left.
    for _ in range(10):
        living = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError, ValueError, IndexError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if fields[0] in "ZX":
                    continue
                if int(fields[3]) == session or marker in (entry / "environ").read_bytes().split(b"\0"):
                    living.append(int(entry.name))
                    found[int(entry.name)] = (entry / "comm").read_text().strip()
        if not living:
            break
        for pid in living:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    return [f"{name} ({pid})" for pid, name in found.items()]


def remove(folder: Path) -> None:
    """Also folders whose rights a test took away."""

    def again(function: Callable[[str], None], path: str, _: object) -> None:
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(path), stat.S_IRWXU)
            os.chmod(path, stat.S_IRWXU)
            function(path)

    shutil.rmtree(folder, onerror=again)
    if folder.exists():
        shutil.rmtree(folder, ignore_errors=True)
