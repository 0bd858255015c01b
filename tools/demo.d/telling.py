"""How the demo speaks: its lines, its steps with their durations, and `mlos` as a user would type it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import claims
import session
from session import Failure, waiting

COLOURS = sys.stdout.isatty() and "NO_COLOR" not in os.environ
LONGEST_EXCERPT = 18  # lines shown of one command


def bold(text: str) -> str:
    return f"\033[1m{text}\033[0m" if COLOURS else text


def say(text: str = "") -> None:
    print(text, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    say(f"\n{bold(title)}")
    began = time.monotonic()
    yield
    say(f"  ({time.monotonic() - began:.1f} s)")


def check_all(found: list[claims.Claim]) -> None:
    for claim in found:
        say(f"  {'ok  ' if claim.holds else 'FAIL'} {claim.words}")
    broken = sum(not claim.holds for claim in found)
    if broken:
        raise Failure(f"{broken} claims do not hold, see FAIL above")


class CommandLine:
    """`mlos` against the demo's supervisor."""

    def __init__(self, binaries: Path, socket: Path, directory: Path) -> None:
        self.program = binaries / "mlos"
        self.socket = socket
        self.directory = directory

    def run(self, *arguments: str) -> str:
        done = waiting.run(
            [self.program, *arguments, "--socket", self.socket], 60, env=session.environment(self.directory),
            stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Failure(f"mlos {' '.join(arguments)} ended with status {done.returncode}: {done.stderr.decode()[-1000:]}")
        return done.stdout.decode()

    def show(self, caption: str, *arguments: str, longest: int = LONGEST_EXCERPT) -> None:
        """Prints the command as a user would type it and the first lines it prints."""
        say(f"\n  {caption}\n  {bold('$ mlos ' + ' '.join(arguments))}")
        lines = self.run(*arguments).splitlines()
        for line in lines[:longest]:
            say(f"  {line}")
        if len(lines) > longest:
            say(f"  ... {len(lines) - longest} lines more")

    def json(self, *arguments: str) -> dict[str, Any]:
        """The answer, kept in the directory for whoever wants to look at it."""
        text = self.run(*arguments, "--json")
        (self.directory / f"{'-'.join(one.strip('-') for one in arguments)}.json").write_text(text)
        return json.loads(text)

    def ask(self, *arguments: str) -> dict[str, Any]:
        """The answer, not kept: for asking again and again."""
        return json.loads(self.run(*arguments, "--json"))
