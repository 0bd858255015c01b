"""What every part of the benchmark is given, and programs under a supervisor."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from programs import HERE, clean

sys.path.append(str(HERE.parent / "demo.d"))  # last: names there are also names here

from session import environment, supervisor  # noqa: E402,F401  shared with the parts

@dataclass
class Setting:
    binaries: Path
    models: Path
    memray: Path | None  # Python with memray, if it was installed
    directory: Path
    generations: int
    rounds: int

    @property
    def agent(self) -> Path:
        return self.binaries / "libmlosagent.so"


class Watched:
    """A supervisor for what is measured under one."""

    def __init__(self, setting: Setting, socket: Path) -> None:
        self.setting, self.socket = setting, socket

    def run(self) -> list[object]:
        return [self.setting.binaries / "mlos", "run", "--socket", self.socket, "--"]

    def sampled(self, command: list[object], variables: dict[str, str]) -> float:
        """The number that a program prints that was told `sampled`, with a heap profile of it under way."""
        program = subprocess.Popen([str(part) for part in [*self.run(), *command, "sampled"]], env=clean() | variables,
                                   cwd=self.setting.directory, stdout=subprocess.PIPE, text=True)
        assert program.stdout
        pid = program.stdout.readline().strip()
        heap = [self.setting.binaries / "mlos", "heap", pid, "--seconds", "600", "--socket", self.socket, "--json"]
        with (self.setting.directory / "heap.out").open("wb") as file:
            # It says that the profile is partial: the process ends before its time is over.
            profile = subprocess.Popen([str(part) for part in heap], env=clean(), stdout=file, stderr=file)
        text = program.stdout.read()
        # The profile ends with its process.
        if program.wait() != 0 or profile.wait() != 0:
            raise SystemExit(f"{command} under a heap profile: status {program.returncode}, mlos heap {profile.returncode}")
        return float(text)


@contextlib.contextmanager
def watched(setting: Setting) -> Iterator[Watched]:
    with supervisor(setting.binaries, setting.directory) as (socket, _):
        yield Watched(setting, socket)
