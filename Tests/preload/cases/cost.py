"""What the hot path costs, in instructions: a count is the same on a loaded machine."""

import os
import shutil
import sys
from pathlib import Path

from harness import AGENT, ROOT, Skip, case, check, temporary_directory

sys.path.append(os.path.join(ROOT, "tools", "bench.d"))

import instructions  # noqa: E402


@case
def a_pair_of_malloc_and_free_takes_no_more_instructions_than_its_gate():
    if not shutil.which("valgrind"):
        raise Skip("valgrind is not installed")
    with temporary_directory() as directory:
        found = instructions.counts(Path(AGENT), Path(directory))
    for mode, gate in instructions.GATES.items():
        check(found[mode] <= gate, f"{mode}: {found[mode]:.1f} instructions added, at most {gate:.0f}")
    # A mode that adds nothing was not measured.
    check(found["exact live bytes"] > found["agent off"] > 0, f"{found}")
