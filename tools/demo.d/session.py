"""Starts, asks and stops the demo's programs, and can tell that nothing of them is left."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "lib"))

import waiting  # noqa: E402  from tools/lib

MARKER = "DEMO_OF_MLOS"  # environment variable of everything this run starts; its value is the run's directory
START_SECONDS = 60  # imports from a cold disk are slow; a server that dies is noticed at once
STOP_SECONDS = 10
# A demo cannot wait for the 15 minutes after which a package is idle, nor a minute for the next look.
EAGER = {
    "MLOS_UNLOADING_BALANCED_TIMEOUT": "5s", "MLOS_UNLOADING_AGGRESSIVE_TIMEOUT": "5s", "MLOS_UNLOADING_CHECK_INTERVAL": "1s",
    "MLOS_OBSERVE_INTERVAL": "1s",
    # Until the plan has been looked at.
    "MLOS_UNLOADING_DRY_RUN": "true",
}


class Failure(Exception):
    """A claim of the demo that did not hold, in words."""


@dataclass
class Program:
    """A server to run, and the requests it gets."""

    name: str
    script: str
    does: str
    model: str | None
    requests: list[Any]


@dataclass
class Server:
    program: Program
    process: subprocess.Popen[bytes]
    pid: int
    port: int
    start_seconds: float
    body_hash: Any = field(default_factory=hashlib.sha256)
    first_answer: Any = None
    milliseconds: list[float] = field(default_factory=list)


def programs(number: int) -> list[Program]:
    """The three servers, each with `number` requests that are the same in every run."""
    draw = random.Random(20)
    topics = ("memory", "a library", "the model", "a cache", "the kernel", "a process")
    verbs = ("gives back", "holds", "maps", "loads", "forgets", "shares")
    sentences = [{"sentences": [f"{a} {v} {b}" for a in draw.sample(topics, 2) for b in draw.sample(topics, 2)
                                for v in draw.sample(verbs, 1)]} for _ in range(number)]
    images = [{"seed": seed} for seed in range(number)]
    rows = [{"rows": [[round(draw.gauss(0, 1), 6) for _ in range(12)] for _ in range(8)]} for _ in range(number)]
    return [
        Program("embeddings", "embedding_server.py", "sentence embeddings, all-MiniLM-L6-v2", "minilm-l6-v2.onnx", sentences),
        Program("classifier", "classifier_server.py", "image classes, ONNX Runtime", "classifier.onnx", images),
        Program("scorer", "scorer_server.py", "risk scores, scikit-learn and XGBoost", None, rows),
    ]


def environment(directory: Path) -> dict[str, str]:
    """The caller's, without what would make two runs differ."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "MLOS_", "OMP_", "LD_"))}
    return kept | {
        MARKER: str(directory),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TMPDIR": str(directory),
    }


def await_line(descriptor: int, process: subprocess.Popen[bytes], what: str) -> bytes:
    """The first line that arrives, or what came before the end of the stream; a Failure when the process ends before that
    or the time is over."""
    said = b""
    deadline = time.monotonic() + START_SECONDS
    with waiting.pidfd_of(process.pid) as pidfd:
        while not said.endswith(b"\n"):
            ready = waiting.readable([descriptor, pidfd], deadline - time.monotonic())
            if descriptor in ready:
                chunk = os.read(descriptor, 4096)
                said += chunk
                if not chunk:
                    break
            elif pidfd in ready:
                raise Failure(f"{what} ended with status {process.wait()} before it was ready")
            else:
                raise Failure(f"{what} was not ready after {START_SECONDS} s")
    if not said:
        with contextlib.suppress(subprocess.TimeoutExpired):
            raise Failure(f"{what} ended with status {waiting.finish(process, 1)} before it was ready")
        raise Failure(f"{what} closed its end without saying that it is ready")
    return said


def log_of(directory: Path, name: str) -> Path:
    return directory / f"{name}.log"


def start(program: Program, prefix: list[str], models: Path, directory: Path, label: str) -> Server:
    """Starts the server behind `prefix` (`mlos run ... --`, or nothing) and waits until it listens."""
    pipe = directory / f"{program.name}-{label}.ready"
    os.mkfifo(pipe, 0o600)
    # Opened for writing too, so that it never reads as ended before the server opens it.
    descriptor = os.open(pipe, os.O_RDWR | os.O_CLOEXEC)
    command = prefix + [sys.executable, str(HERE / program.script), "--ready", str(pipe)]
    if program.model:
        command += ["--model", str(models / program.model)]
    name = f"{program.name}-{label}"
    began = time.monotonic()
    with log_of(directory, name).open("wb") as log:
        process = subprocess.Popen(command, env=environment(directory), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        said = json.loads(await_line(descriptor, process, f"the {program.name} server"))
    except BaseException as problem:
        process.kill()
        process.wait()
        if isinstance(problem, Failure):
            raise Failure(f"{problem}; it printed:\n{log_of(directory, name).read_text(errors='replace')[-2000:]}") from None
        raise
    finally:
        os.close(descriptor)
        pipe.unlink()
    return Server(program, process, said["pid"], said["port"], time.monotonic() - began)


def ask_everything(server: Server) -> None:
    """Sends the program's requests one after the other over one connection and hashes the bodies of the answers."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with contextlib.closing(connection):
        for request in server.program.requests:
            began = time.perf_counter()
            connection.request("POST", "/", json.dumps(request), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
            server.milliseconds.append((time.perf_counter() - began) * 1000)
            if answer.status != 200:
                raise Failure(f"{server.program.name} answered {answer.status}: {body[:300]!r}")
            server.body_hash.update(body)
            if server.first_answer is None:
                server.first_answer = json.loads(body)


def heap_walk(server: Server) -> dict[str, int]:
    """What the allocator in the server finds by its own walk; the server is idle before and after."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with contextlib.closing(connection):
        connection.request("GET", "/heap")
        return json.loads(connection.getresponse().read())


def stop(server: Server) -> None:
    """Ends the server by its PID and demands that it, and `mlos run` in front of it, end with status 0."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(server.pid, signal.SIGTERM)
    status = wait_or_kill(server.process, server.pid)
    if status != 0:
        raise Failure(f"the {server.program.name} server ended with status {status}, not 0")


def wait_or_kill(process: subprocess.Popen[bytes], *others: int) -> int:
    try:
        return waiting.finish(process, STOP_SECONDS)
    except subprocess.TimeoutExpired:
        for pid in (*others, process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()
        return -signal.SIGKILL


@contextlib.contextmanager
def supervisor(
    binaries: Path, directory: Path, settings: dict[str, str], config: Path | None = None
) -> Iterator[tuple[Path, int]]:
    """A rootless mlosd with its sockets in `directory`; yields the path of the agents' socket and mlosd's PID."""
    socket = directory / "agent.sock"
    reading, writing = os.pipe()
    # What was changed at run time on this machine is none of the demo's.
    own = {"STATE_DIRECTORY": str(directory), "MLOS_JOURNAL_PATH": str(directory / "journal.db")}
    with log_of(directory, "mlosd").open("wb") as log:
        process = subprocess.Popen(
            [binaries / "mlosd", "--socket", socket, "--ready-fd", str(writing), *(["--config", config] if config else [])],
            env=environment(directory) | settings | own, pass_fds=[writing], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    os.close(writing)
    try:
        try:
            await_line(reading, process, "mlosd")
        except Failure as problem:
            raise Failure(f"{problem}; it printed:\n{log_of(directory, 'mlosd').read_text(errors='replace')[-2000:]}") from None
        yield socket, process.pid
    finally:
        os.close(reading)
        process.terminate()
        status = wait_or_kill(process)
    if status != 0:
        raise Failure(f"mlosd ended with status {status}, not 0; see its log with --keep")


@contextlib.contextmanager
def servers(wanted: list[Program], prefix: list[str], models: Path, directory: Path, label: str) -> Iterator[list[Server]]:
    """All servers started; stopped when the block ends, and killed if it ends by an error."""
    running: list[Server] = []
    try:
        for program in wanted:
            running.append(start(program, prefix, models, directory, label))
        yield running
    except BaseException:
        kill(running)
        raise
    for server in running:
        stop(server)


def kill(running: list[Server]) -> None:
    for server in running:
        for pid in {server.pid, server.process.pid}:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        server.process.wait()


def left_processes(directory: Path) -> list[str]:
    """Processes that carry this run's marker, apart from this one."""
    marker = f"{MARKER}={directory}".encode()  # or of a folder in it
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            variables = (entry / "environ").read_bytes().split(b"\0")
            if any(one == marker or one.startswith(marker + b"/") for one in variables):
                found.append(f"{entry.name} {(entry / 'comm').read_text().strip()}")
    return found
