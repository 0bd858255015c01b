"""What a thousand agents cost one supervisor: real processes that connect, are listed every second, storm events and end."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from figures import Figures
from programs import compiled
from setting import Setting, environment, supervisor

AGENTS = 1000
LISTINGS = 20
STORM = 100  # dlopen and dlclose of a library each


def get(control: Path, path: str) -> dict:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(60)
        connection.connect(str(control))
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: mlos\r\nConnection: close\r\n\r\n".encode())
        with connection.makefile("rb") as stream:
            head = iter(stream.readline, b"\r\n")
            headers = dict(line.decode().lower().split(": ", 1) for line in head if b": " in line)
            if "content-length" in headers:
                return json.loads(stream.read(int(headers["content-length"])))
            content = b""
            while size := int(stream.readline(), 16):
                content += stream.read(size)
                stream.readline()
            return json.loads(content)


class Watched:
    """The supervisor as the kernel sees it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def seconds(self) -> float:
        # Nanoseconds of each thread; ended threads do not count, and the supervisor keeps its own.
        return sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{self.pid}/task").glob("*/schedstat")) / 1e9

    def resident(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def highest(self) -> int:
        return next(int(line.split()[1]) << 10 for line in Path(f"/proc/{self.pid}/status").read_text().splitlines() if line.startswith("VmHWM"))


def until(control: Path, reached: Callable[[dict], bool]) -> None:
    """Waits for events until the supervisor's status is as wanted."""
    after = get(control, "/api/v1/events?limit=1&after=18446744073709551615")["next"]
    while not reached(get(control, "/api/v1/status")):
        after = get(control, f"/api/v1/events?after={after}&limit=10000&wait=5")["next"]


def bench(figures: Figures, setting: Setting) -> None:
    figures.begin(f"{AGENTS} agents of one supervisor")
    # Two pipes a process here.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with supervisor(setting.binaries, setting.directory) as (agents, pid):
        control, watched = agents.parent / "control.sock", Watched(pid)
        alone = watched.resident()
        variables = environment(setting.directory) | {"LD_PRELOAD": str(setting.agent), "MLOS_SOCKET": str(agents)}
        program = compiled("scale_target")
        began, used = time.monotonic(), watched.seconds()
        processes = [subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=variables) for _ in range(AGENTS)]
        for process in processes:
            assert process.stdout
            if process.stdout.readline() != b"ready\n":
                raise SystemExit("a target did not start")
        until(control, lambda status: status["agents"] >= AGENTS)
        connected, spent = time.monotonic() - began, watched.seconds() - used
        figures.row("all start and connect", f"{connected:.1f} s ({spent:.2f} s of the supervisor)", value=connected, unit="s")
        listing(figures, control, watched, alone)
        storm(figures, control, watched, processes)
        began = time.monotonic()
        for process in processes:
            assert process.stdin and process.stdout
            process.stdin.close()
        until(control, lambda status: status["agents"] == 0)
        gone = time.monotonic() - began
        figures.row("all end: until none is listed", f"{gone:.1f} s", value=gone, unit="s")
        for process in processes:
            process.wait(60)
            if process.stdout:
                process.stdout.close()
        after, highest = watched.resident() / 2**20, watched.highest() / 2**20
        figures.row("supervisor's resident memory afterwards, and at most", f"{after:.1f}, {highest:.1f} MiB", value=highest, unit="MiB")


def listing(figures: Figures, control: Path, watched: Watched, alone: int) -> None:
    time.sleep(2)  # the first readings of use come in small portions
    began, used = time.monotonic(), watched.seconds()
    spent = []
    for turn in range(LISTINGS):
        asked = time.monotonic()
        listed = get(control, "/api/v1/processes")["processes"]
        spent.append(time.monotonic() - asked)
        if len(listed) != AGENTS:
            raise SystemExit(f"{len(listed)} of {AGENTS} processes listed")
        time.sleep(max(0.0, began + turn + 1 - time.monotonic()))
    share = (watched.seconds() - used) / (time.monotonic() - began)
    resident = watched.resident()
    figures.row("all listed every second: of one core", f"{share:.2%}", "<= 5 %", share <= 0.05, share * 100, "%")
    took = sorted(spent)[len(spent) // 2] * 1e3
    figures.row("one listing as the client sees it", f"{took:.0f} ms", value=took, unit="ms")
    figures.row("supervisor's resident memory", f"{resident / 2**20:.1f} MiB", "<= 64 MiB", resident <= 64 << 20, resident / 2**20, "MiB")
    each = (resident - alone) / AGENTS / 1024
    figures.row("of it for one agent", f"{each:.1f} KiB", value=each, unit="KiB")


def storm(figures: Figures, control: Path, watched: Watched, processes: list[subprocess.Popen[bytes]]) -> None:
    before = get(control, "/api/v1/status")["counters"]["events_dropped"]
    began = time.monotonic()
    for process in processes:
        assert process.stdin
        process.stdin.write(b"%d\n" % STORM)
        process.stdin.flush()
    for process in processes:
        assert process.stdout
        process.stdout.readline()
    get(control, "/api/v1/processes")
    took = time.monotonic() - began
    lost = get(control, "/api/v1/status")["counters"]["events_dropped"] - before
    figures.row(f"a storm of {AGENTS * STORM * 2} calls: time, events lost", f"{took:.1f} s, {lost}", value=lost, unit="events")
