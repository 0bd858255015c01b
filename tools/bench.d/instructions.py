"""Instructions that a malloc/free pair takes more, counted by callgrind: a count does not drift, so it is the gate."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from figures import Figures
from programs import NOBODY, clean, compiled

if TYPE_CHECKING:  # without what else it needs: a test asks for the counts alone
    from setting import Setting

PAIRS = 20_000
# Instructions a pair more than without the agent. Raised only with a reason.
GATES = {"agent off": 3.0, "exact live bytes": 40.0}


def count(program: Path, variables: dict[str, str], directory: Path) -> float:
    """Instructions a pair inside allocate_and_free and what it calls."""
    command = ["valgrind", "--tool=callgrind", "--toggle-collect=allocate_and_free", f"--callgrind-out-file={directory}/callgrind",
               str(program), "1", str(PAIRS)]
    done = subprocess.run(command, env=clean() | variables, capture_output=True, text=True)
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode != 0 or not found:
        raise SystemExit(f"callgrind ended with status {done.returncode}: {done.stderr[-2000:]}")
    # The warm-up before the measurement is half as many pairs.
    return int(found[1]) / (PAIRS + 10_000)


def counts(agent: Path, directory: Path) -> dict[str, float]:
    """More than without the agent, by mode."""
    program = compiled("allocate")
    base = {"MLOS_SOCKET": NOBODY}
    loaded = base | {"LD_PRELOAD": str(agent), "MLOS_AGENT_IGNORE_VALGRIND": "1"}
    plain = count(program, base, directory)
    return {
        "without the agent": plain,
        "agent off": count(program, loaded | {"MLOS_AGENT_DISABLE": "1"}, directory) - plain,
        "exact live bytes": count(program, loaded, directory) - plain,
    }


def bench(figures: Figures, setting: Setting) -> None:
    figures.begin("Instructions a malloc/free pair (callgrind)")
    for name, value in counts(setting.agent, setting.directory).items():
        gate = GATES.get(name)
        figures.row(name, f"{value:.1f}" if gate is None else f"{value:+.1f}", "" if gate is None else f"<= {gate:.0f}",
                    None if gate is None else value <= gate, value, "instructions")
