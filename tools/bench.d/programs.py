"""Programs that are measured: compiled, started in a clean environment, asked for their number."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = ROOT / "build" / "bench"
NOBODY = "/nonexistent"  # as MLOS_SOCKET: no supervisor


def compiled(name: str) -> Path:
    BUILD.mkdir(parents=True, exist_ok=True)
    target = BUILD / name
    subprocess.run(["cc", "-O2", "-g", "-Wall", "-Werror", "-o", target, HERE / f"{name}.c", "-pthread", "-ldl"], check=True)
    return target


def clean() -> dict[str, str]:
    """The caller's environment without what would change a measurement."""
    dropped = ("MLOS_", "LD_", "PYTHON", "MALLOC_", "OMP_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    return kept | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}


def last_number(command: list[object], variables: dict[str, str], directory: Path) -> float:
    """What the last line of its output says that is a number: profilers print around it."""
    done = subprocess.run([str(part) for part in command], env=clean() | variables, cwd=directory, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{command} ended with status {done.returncode}: {done.stderr[-2000:]}")
    for line in reversed(done.stdout.splitlines()):
        with contextlib.suppress(ValueError):
            return float(line)
    raise SystemExit(f"{command} printed no number: {done.stdout[-2000:]}")
