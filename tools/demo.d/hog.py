"""Takes memory that it was allowed and holds it until it is ended: what makes memory short in the demo.

    python hog.py BYTES

Bounded three times: it takes what it was told and no more, the kernel refuses it more than that (RLIMIT_AS), and should the
machine run out of memory all the same, it is the first to go (oom_score_adj). It ends when its standard input does, so that
it does not outlive whoever started it.
"""

from __future__ import annotations

import contextlib
import mmap
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

STEP = 16 << 20
OWN_SPACE = 256 << 20  # addresses that the interpreter itself needs
START_SECONDS = 60


@dataclass
class Hog:
    pid: int
    began: float  # time.time(), the clock of the journal
    seconds: float  # until it held all of it


@contextlib.contextmanager
def holding(size: int, environment: dict[str, str]) -> Iterator[Hog]:
    """A process that holds `size` bytes while the block runs, and is killed by its PID however the block ends."""
    from session import Failure, waiting  # the program below needs none of it

    began = time.time()
    process = subprocess.Popen(
        [sys.executable, __file__, str(size)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        try:
            waiting.Lines(process.stdout.fileno()).next("that the hog holds its memory", START_SECONDS)
        except EOFError:
            raise Failure(f"the hog ended with status {process.wait()} before it held {size >> 20} MiB") from None
        yield Hog(process.pid, began, time.time() - began)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()


def main() -> None:
    size = int(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal; the demo ends it
    Path("/proc/self/oom_score_adj").write_text("1000")
    own = int(Path("/proc/self/statm").read_text().split()[0]) * mmap.PAGESIZE
    resource.setrlimit(resource.RLIMIT_AS, (own + OWN_SPACE + size,) * 2)
    held = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    content = b"hog " * (STEP // 4)
    for offset in range(0, size, STEP):
        held[offset : min(offset + STEP, size)] = content[: min(STEP, size - offset)]
    print(size, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
