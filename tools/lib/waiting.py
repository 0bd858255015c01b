"""Waiting for what happens instead of for time to pass: the end of a process, its output, a change in a folder.

The standard library's Popen.wait, communicate and run look again every few milliseconds when they are given a limit;
what is here blocks in poll(2) on a pidfd, a pipe or an inotify descriptor. Limits are for hangs: reaching one is an error.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# <sys/inotify.h>; Python has no binding.
IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x2, 0x40, 0x80, 0x100, 0x200
IN_ONLYDIR = 0x0100_0000
# What a pipe takes without a reader.
PIPE_BYTES = 65_536


class Overdue(AssertionError):
    """What was waited for did not come within the limit."""


def readable(descriptors: list[int], limit: float | None) -> list[int]:
    """Those of the descriptors that can be read, are closed or, as a pidfd, ended; none after the limit (seconds)."""
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(None if limit is None else math.ceil(max(limit, 0) * 1000))]


@contextlib.contextmanager
def pidfd_of(pid: int) -> Iterator[int]:
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def finish(process: subprocess.Popen, limit: float) -> int:
    """The exit status of a child, as Popen.wait gives it."""
    if process.poll() is None:
        with pidfd_of(process.pid) as descriptor:
            if not readable([descriptor], limit):
                raise subprocess.TimeoutExpired(process.args, limit)
    return process.wait()


def drain(process: subprocess.Popen, takers: dict[int, Callable[[bytes], object]], limit: float | None = None) -> int:
    """Hands each piece of output to the taker of its pipe, and ends when the process does: what somebody who inherited
    a pipe may write later is not waited for."""
    end = None if limit is None else time.monotonic() + limit
    open_pipes = set(takers)
    with pidfd_of(process.pid) as pidfd:
        alive = True
        while alive or open_pipes:
            left = None if end is None else end - time.monotonic()
            ready = readable([*open_pipes, *([pidfd] if alive else [])], left if alive else 0)
            if not ready and not alive:
                break
            if not ready or (left is not None and left <= 0):
                raise subprocess.TimeoutExpired(process.args, limit or 0)
            for descriptor in ready:
                if descriptor == pidfd:
                    alive = False
                elif piece := os.read(descriptor, PIPE_BYTES):
                    takers[descriptor](piece)
                else:
                    open_pipes.remove(descriptor)
    return process.wait()


def run(
    command: list, limit: float, *, input: bytes | None = None, text: bool = False, **options
) -> subprocess.CompletedProcess:
    """subprocess.run with captured output, without polling; kills the command when the limit, in seconds, is over."""
    if input is not None:
        assert len(input) <= PIPE_BYTES
        options["stdin"] = subprocess.PIPE
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options) as process:
        output, errors = bytearray(), bytearray()
        try:
            if input is not None:
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.write(input)
                    process.stdin.close()
            takers = {process.stdout.fileno(): output.extend, process.stderr.fileno(): errors.extend}
            status = drain(process, takers, limit)
        except BaseException as problem:
            process.kill()
            if isinstance(problem, subprocess.TimeoutExpired):
                problem.output, problem.stderr = bytes(output), bytes(errors)
            raise
    if text:
        return subprocess.CompletedProcess(command, status, output.decode(), errors.decode())
    return subprocess.CompletedProcess(command, status, bytes(output), bytes(errors))


class Lines:
    """Reads a pipe line by line with a limit; unlike a buffered file it never hides a line that has come already."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.waiting = b""

    def next(self, what: str, limit: float) -> str:
        end = time.monotonic() + limit
        while b"\n" not in self.waiting:
            if not readable([self.descriptor], end - time.monotonic()):
                raise Overdue(f"not within {limit} s: {what}; so far {self.waiting!r}")
            piece = os.read(self.descriptor, PIPE_BYTES)
            if not piece:
                raise EOFError(f"ended before {what}; so far {self.waiting!r}")
            self.waiting += piece
        line, _, self.waiting = self.waiting.partition(b"\n")
        return line.decode()


def await_change(folder: Path, what: str, probe: Callable[[], object], limit: float) -> object:
    """Asks `probe` now, and again after every change in the folder: names that come and go, files that are written."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    try:
        mask = IN_MODIFY | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ONLYDIR
        if libc.inotify_add_watch(descriptor, os.fsencode(folder), mask) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch", str(folder))
        end = time.monotonic() + limit
        # Watched first, asked then: no change can fall between.
        while not (answer := probe()):
            if not readable([descriptor], end - time.monotonic()):
                raise Overdue(f"not within {limit} s: {what}")
            os.read(descriptor, PIPE_BYTES)
        return answer
    finally:
        os.close(descriptor)
