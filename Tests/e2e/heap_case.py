"""A program whose allocations are known, and heap profiles of it: what the tests of `mlos heap` share."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from pathlib import Path

from harness import AGENT, LIMIT_S, MLOS, ROOT, Case, Supervisor, environment, waiting

FIXTURE = ROOT / "Tests/preload/fixtures/heap_known.c"


class Known:
    """The fixture, kept allocating by a thread: an agent answers when its program allocates."""

    def __init__(self, folder: Path, socket_path: str, busy: bool = True, **variables: str) -> None:
        program = folder / "heap_known"
        if not program.exists():
            flags = ["-O2", "-fomit-frame-pointer", "-g0"]
            subprocess.run(["cc", *flags, str(FIXTURE), "-o", str(program), "-pthread"], check=True)
        self.process = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment(LD_PRELOAD=AGENT, MLOS_SOCKET=socket_path, **variables))
        self.pid = self.process.pid
        self.lock = threading.Lock()
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self.churn)
        if busy:
            self.thread.start()

    def churn(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while True:
                if self.ending.is_set() or not self.say("threads 1 256 16"):
                    return

    def say(self, text: str) -> str:
        assert self.process.stdin and self.process.stdout
        with self.lock:
            self.process.stdin.write(text + "\n")
            self.process.stdin.flush()
            return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.ending.set()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGCONT)
        if self.thread.is_alive():
            self.thread.join(LIMIT_S)
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            waiting.finish(self.process, LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class HeapCase(Case):
    def known(self, supervisor: Supervisor, **options) -> Known:
        made = Known(self.folder, supervisor.socket, **options)
        self.addCleanup(made.end)
        supervisor.wait_for(made.pid)
        return made

    def begin(self, supervisor: Supervisor, pid: int, *arguments: str, **options) -> subprocess.Popen[str]:
        command = [MLOS, "heap", str(pid), "--socket", supervisor.socket, *arguments]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(), cwd=self.folder, **options)
        self.addCleanup(self.finish, process)
        return process

    @staticmethod
    def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
        """Status, output and errors; a second time, as the cleanup of a test that has asked itself, the status."""
        if process.returncode is not None:
            return process.returncode, "", ""
        output, errors = bytearray(), bytearray()
        pipes = {process.stdout: output.extend, process.stderr: errors.extend}
        takers = {pipe.fileno(): take for pipe, take in pipes.items() if pipe and not pipe.closed}
        try:
            waiting.drain(process, takers, LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            waiting.drain(process, takers, LIMIT_S)
        for pipe in pipes:
            if pipe:
                pipe.close()
        return process.returncode, output.decode(), errors.decode()

    def sampling(self, supervisor: Supervisor, pid: int) -> None:
        """Until the agent has begun."""
        def has_begun() -> bool:
            status, answer = supervisor.request("GET", f"/api/v1/processes/{pid}/heap")
            return status == 200 and answer["seconds"] is not None
        supervisor.await_quietly("the profile has begun", has_begun)
