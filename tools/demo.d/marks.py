"""The marks at which the demo's supervisor takes memory for short: just above what is in use now, so that a small hog passes them."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import session
from session import waiting

LOWEST = 0.05  # `unloading.memory_pressure_critical` takes no less
READ_AGAIN = "configuration read again"  # what mlosd logs
RELOAD_SECONDS = 10


LEAST_HOG = 512 << 20
LARGEST_HOG = 8 << 30
LARGEST_SHARE = 1 / 16  # of what is available
SPARE = 0.8  # of a hog: by so much of it, at most, the threshold may lie above what is in use without it


def hog_for(memory: dict[str, Any]) -> int:
    """Bytes of a hog that carries what is in use over the threshold, by what `mlos plan --json` says of memory; 0 where that would
    be more than is fair. Only on large machines, where the lowest mark is far away, it is more than the least."""
    used, limit = memory["used_bytes"], memory["limit_bytes"]
    wanted = max(LEAST_HOG, int((LOWEST * limit - used) / SPARE))
    is_fair = wanted <= LEAST_HOG or wanted <= min(LARGEST_HOG, (limit - used) * LARGEST_SHARE)
    return wanted if is_fair else 0


@dataclass
class Marks:
    """Shares of the limit. Above the threshold memory is given back at once, down to the target."""

    threshold: float
    target: float

    @staticmethod
    def between(low: int, high: int, limit: int) -> Marks:
        """The target a quarter of the way up from `low` to `high` bytes in use, the threshold half of it, or where it has to be."""
        return Marks(max(LOWEST, (low + high) / 2 / limit), (3 * low + high) / 4 / limit)

    def settings(self) -> str:
        return f"""\
  memory_pressure_target: {self.target:.5f}
  memory_pressure_threshold: {self.threshold:.5f}
  memory_pressure_critical: {self.threshold:.5f}
"""


def write(config: Path, marks: Marks | None) -> None:
    """mlos.yaml of the demo; without marks nothing is given back. The times of idleness stay as they are, 15 minutes: here
    only want of memory moves anything."""
    text = "# Written by the demo.\nobserve.interval: 2s\nunloading:\n  check_interval: 1s\n"
    config.write_text(text + (marks.settings() if marks else "  enabled: false\n"))


def read_again(config: Path, supervisor: int) -> None:
    """Has the supervisor read its configuration, and waits until it has."""
    log = session.log_of(config.parent, "mlosd")

    def times() -> int:
        return log.read_text(errors="replace").count(READ_AGAIN)
    before = times()
    os.kill(supervisor, signal.SIGHUP)
    waiting.await_change(config.parent, "that mlosd has read its configuration", lambda: times() > before, RELOAD_SECONDS)


def in_force(memory: dict[str, Any]) -> str:
    """Of what `mlos plan --json` says of memory, in words."""
    limit = memory["limit_bytes"]
    at, down_to = (f"{share * limit / 2**20:.0f} MiB ({share:.1%})" for share in (memory["critical"], memory["target"]))
    return f"memory is short above {at} in use, until {down_to}"
