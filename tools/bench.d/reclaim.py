"""Memory of idle model servers before and after `mlos unload PID`, rung by rung, and what their first answer afterwards takes.

Without a swap only what has another copy can go: free memory of the allocator, and clean pages of files. The goals of a machine
with a swap are for the virtual machine.
"""

from __future__ import annotations

import ctypes
import json
import os
import statistics
import subprocess
import time
from pathlib import Path

from figures import Figures
from programs import HERE, ROOT, clean
from setting import Setting, watched

FRAMEWORKS = ("onnxruntime", "sklearn", "xgboost", "torch", "tensorflow", "jax")
PYTHON = ROOT / ".build" / "frameworks-venv" / "bin" / "python"
MIB = 1 << 20
# Answers before and after: the median of them is what a warm answer takes.
ANSWERS = 5


def memory(pid: int) -> dict[str, int]:
    """Resident, proportional and private bytes, by the kernel."""
    fields = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        fields[name] = int(value.split()[0]) << 10
    return {"resident": fields["Rss"], "proportional": fields["Pss"], "private": fields["Private_Clean"] + fields["Private_Dirty"]}


class Server:
    def __init__(self, run: list[object], framework: str, models: Path) -> None:
        began = time.perf_counter()
        command = [str(part) for part in [*run, PYTHON, HERE / "framework_server.py", framework, models]]
        self.process = subprocess.Popen(command, env=clean(), text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout
        if self.process.stdout.readline() != "ready\n":
            raise SystemExit(f"the {framework} server did not start: status {self.process.wait()}")
        self.seconds = time.perf_counter() - began

    def ask(self) -> tuple[str, float]:
        """Digest of the answer, and milliseconds."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        digest, milliseconds = self.process.stdout.readline().split()
        return digest, float(milliseconds)

    def end(self) -> None:
        self.process.communicate()


def megabytes(number: int) -> str:
    return f"{number / MIB:.0f}"


def installed(framework: str) -> bool:
    return PYTHON.exists() and subprocess.run([PYTHON, "-c", f"import importlib.util as u; exit(u.find_spec('{framework}') is None)"]).returncode == 0


def measure(figures: Figures, setting: Setting, run: list[object], socket: Path, framework: str) -> dict:
    server = Server(run, framework, setting.models)
    pid = server.process.pid
    try:
        digest, _ = server.ask()
        warm = statistics.median(server.ask()[1] for _ in range(ANSWERS))
        before = memory(pid)
        command = [setting.binaries / "mlos", "unload", str(pid), "--force", "--json", "--socket", socket]
        done = subprocess.run([str(part) for part in command], env=clean(), capture_output=True, text=True)
        if done.returncode not in (0, 4):
            raise SystemExit(f"mlos unload ended with {done.returncode}: {done.stderr}")
        answer = json.loads(done.stdout)["processes"][0]
        after = memory(pid)
        again, first = server.ask()
        settled = memory(pid)
        second = statistics.median(server.ask()[1] for _ in range(ANSWERS))
    finally:
        server.end()
    rungs = ", ".join(f"{rung['rung']} {megabytes(rung['freed_bytes'] or 0)}" for rung in answer["rungs"] if rung["refusal"] is None)
    refused = ", ".join(f"{rung['rung']}: {rung['refusal']}" for rung in answer["rungs"] if rung["refusal"])
    share = 1 - after["resident"] / before["resident"]
    row = {"framework": framework, "before": before, "after": after, "settled": settled, "rungs": rungs, "refused": refused,
           "warm_ms": warm, "first_ms": first, "second_ms": second, "restart_s": server.seconds, "same": digest == again,
           "reclaim_s": answer["seconds"]}
    print(json.dumps(row))
    for name in ("resident", "proportional", "private"):
        figures.row(f"{framework}: {name} MiB before, after, after the next answer",
                    f"{megabytes(before[name])}, {megabytes(after[name])}, {megabytes(settled[name])}")
    figures.row(f"{framework}: resident that came back", f"{share * 100:.0f} % ({rungs} MiB)", ">= 25 %", share >= 0.25, share, "share")
    figures.row(f"{framework}: first answer afterwards, against a restart",
                f"{first:.0f} ms, warm {warm:.1f}, restart {server.seconds:.2f} s ({server.seconds * 1e3 / first:.0f}x)", ">= 5x",
                server.seconds * 1e3 >= 5 * first, server.seconds * 1e3 / first, "ratio")
    figures.row(f"{framework}: answers before and after", "equal" if digest == again else "DIFFERENT", "equal", digest == again)
    if refused:
        figures.row(f"{framework}: not carried out", refused)
    return row


class Range(ctypes.Structure):
    """struct iovec."""

    _fields_ = [("start", ctypes.c_void_p), ("bytes", ctypes.c_size_t)]


def page_out(pid: int) -> None:
    """What one would do without help: process_madvise(MADV_PAGEOUT) of every read-only mapping of a file."""
    ranges = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        parts = line.split(None, 5)
        if len(parts) == 6 and parts[5].startswith("/") and "w" not in parts[1]:
            start, end = (int(number, 16) for number in parts[0].split("-"))
            ranges.append(Range(start, end - start))
    handle = os.pidfd_open(pid)
    library = ctypes.CDLL(None, use_errno=True)
    for one in ranges:
        library.syscall(ctypes.c_long(440), handle, ctypes.byref(one), ctypes.c_size_t(1), ctypes.c_int(21), ctypes.c_uint(0))
    os.close(handle)


def shared(figures: Figures, setting: Setting, run: list[object], socket: Path) -> None:
    """Two servers of one framework: pages that both map."""
    servers = [Server(run, "torch", setting.models) for _ in range(2)]
    pids = [server.process.pid for server in servers]
    try:
        digests = [server.ask()[0] for server in servers]

        def total() -> int:
            return sum(memory(pid)["proportional"] for pid in pids)
        before = total()
        for pid in pids:
            page_out(pid)
        naive = before - total()
        before = total()
        command = [setting.binaries / "mlos", "unload", "torch", "--force", "--json", "--socket", socket]
        done = subprocess.run([str(part) for part in command], env=clean(), capture_output=True, text=True)
        together = before - total()
        same = [server.ask()[0] for server in servers] == digests
    finally:
        for server in servers:
            server.end()
    figures.row("two torch servers: MADV_PAGEOUT of both, proportional MiB", f"{naive / MIB:.1f}", value=naive, unit="bytes")
    figures.row("two torch servers: mlos unload torch, after that", f"{together / MIB:.1f} more", "> PAGEOUT",
                done.returncode == 0 and together > naive and same, together, "bytes")


def bench(figures: Figures, setting: Setting) -> None:
    figures.begin("Idle model servers give back")
    with watched(setting) as supervisor:
        for framework in FRAMEWORKS:
            if not installed(framework):
                figures.row(f"{framework}", "not installed (tools/bench.d/frameworks.txt)")
                continue
            measure(figures, setting, supervisor.run(), supervisor.socket, framework)
        if installed("torch"):
            shared(figures, setting, supervisor.run(), supervisor.socket)
    figures.row("load of the machine afterwards", f"{os.getloadavg()[0]:.2f}")
