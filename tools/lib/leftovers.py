"""Lists what a run of tests could have left on this machine, one thing a line; run before and after, then compare.

    python3 leftovers.py MARKER DIRECTORY

MARKER is `NAME=VALUE` in the environment of everything the run starts, DIRECTORY its TMPDIR. A memfd needs no line of its
own: it is gone with the last process that holds it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path


def processes(marker: bytes) -> Iterator[str]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if marker in (entry / "environ").read_bytes().split(b"\0"):
                    yield f"process {entry.name} {(entry / 'comm').read_text().strip()}"


def files(directory: Path) -> Iterator[str]:
    for found in sorted(directory.rglob("*")):
        yield f"file {found}"
    shared = (Path("/tmp"), Path("/dev/shm"), Path(os.environ.get("XDG_RUNTIME_DIR", "/run")))
    for place in shared:
        with contextlib.suppress(OSError):
            for found in sorted(place.glob("*mlos*")):
                yield f"file {found}"


def mounts(directory: Path) -> Iterator[str]:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        if "mlos" in line or str(directory) in line:
            yield f"mount {line.split()[1]}"


def control_groups() -> Iterator[str]:
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        for name in names:
            if "mlos" in name:
                yield f"cgroup {folder}/{name}"


def sockets(directory: Path) -> Iterator[str]:
    for line in Path("/proc/net/unix").read_text(errors="replace").splitlines():
        if str(directory) in line:
            yield f"socket {line.split()[-1]}"


def main() -> None:
    marker, directory = sys.argv[1].encode(), Path(sys.argv[2])
    found = {*processes(marker), *files(directory), *mounts(directory), *control_groups(), *sockets(directory)}
    print("\n".join(sorted(found)))


if __name__ == "__main__":
    main()
