"""What a thousand agents cost one supervisor: real processes that connect, are listed every second, storm events and end."""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "demo.d"))

import session  # noqa: E402

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


def row(what: str, goal: str, measured: str, reached: bool | None = None) -> None:
    print(f"{what:52} {goal:>10} {measured:>28}  {'' if reached is None else 'reached' if reached else 'MISSED'}", flush=True)


def target(build: Path) -> Path:
    build.mkdir(parents=True, exist_ok=True)
    program = build / "scale_target"
    subprocess.run(["cc", "-O1", "-Wall", "-Werror", "-o", str(program), str(HERE / "scale_target.c"), "-ldl"], check=True)
    return program


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    options = parser.parse_args()
    # Two pipes a process here.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = options.agents
    figures: dict[str, float] = {"agents": count}
    with tempfile.TemporaryDirectory(prefix="mlb.") as name:
        directory = Path(name)
        with session.supervisor(options.binaries, directory) as (agents, pid):
            control = agents.parent / "control.sock"
            supervisor = Watched(pid)
            figures["resident_alone"] = supervisor.resident()
            environment = session.environment(directory) | {
                "LD_PRELOAD": str(options.binaries / "libmlosagent.so"), "MLOS_SOCKET": str(agents)}
            program = target(ROOT / "build" / "bench")
            began, used = time.monotonic(), supervisor.seconds()
            processes = [
                subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, close_fds=True)
                for _ in range(count)]
            for process in processes:
                assert process.stdout
                if process.stdout.readline() != b"ready\n":
                    raise SystemExit("a target did not start")
            until(control, lambda status: status["agents"] >= count)
            connected = time.monotonic() - began
            figures["connect_seconds"], figures["connect_processor_seconds"] = connected, supervisor.seconds() - used
            row(f"{count} agents start and connect: seconds", "", f"{connected:.1f} ({figures['connect_processor_seconds']:.2f} of the supervisor)")

            time.sleep(2)  # the first readings of use come in small portions
            began, used = time.monotonic(), supervisor.seconds()
            spent = []
            for turn in range(LISTINGS):
                asked = time.monotonic()
                listed = get(control, "/api/v1/processes")["processes"]
                spent.append(time.monotonic() - asked)
                if len(listed) != count:
                    raise SystemExit(f"{len(listed)} of {count} processes listed")
                time.sleep(max(0.0, began + turn + 1 - time.monotonic()))
            share = (supervisor.seconds() - used) / (time.monotonic() - began)
            figures["listing_share"], figures["listing_median_seconds"] = share, sorted(spent)[len(spent) // 2]
            row(f"{count} agents, all listed every second: of one core", "<= 5 %", f"{share:.2%}", share <= 0.05)
            row("  one listing as the client sees it", "", f"{figures['listing_median_seconds'] * 1e3:.0f} ms")
            figures["resident"], figures["resident_per_agent"] = supervisor.resident(), 0
            row(f"{count} agents: supervisor's resident memory", "<= 64 MiB", f"{supervisor.resident() / 2**20:.1f} MiB", supervisor.resident() <= 64 << 20)
            figures["resident_per_agent"] = (supervisor.resident() - figures["resident_alone"]) / count
            row("  of it for one agent", "", f"{figures['resident_per_agent'] / 1024:.1f} KiB")

            before = get(control, "/api/v1/status")["counters"]["events_dropped"]
            began, used = time.monotonic(), supervisor.seconds()
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
            figures["storm_events"], figures["storm_lost"], figures["storm_seconds"] = count * STORM * 2, lost, took
            row(f"a storm of {count * STORM * 2} calls: seconds, events lost", "", f"{took:.1f} s, {lost}")

            began = time.monotonic()
            for process in processes:
                assert process.stdin
                process.stdin.close()
            until(control, lambda status: status["agents"] == 0)
            figures["disconnect_seconds"] = time.monotonic() - began
            row("all end: seconds until none is listed", "", f"{figures['disconnect_seconds']:.1f}")
            for process in processes:
                process.wait(60)
                if process.stdout:
                    process.stdout.close()
            figures["resident_after"], figures["resident_highest"] = supervisor.resident(), supervisor.highest()
            row("resident memory afterwards, and at most", "", f"{supervisor.resident() / 2**20:.1f}, {supervisor.highest() / 2**20:.1f} MiB")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
