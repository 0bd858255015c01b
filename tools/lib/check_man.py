#!/usr/bin/env python3
"""Holds the manual pages to the built commands: every option of mlosd and every command of mlos is described, and no other.

    tools/lib/check_man.py FOLDER_OF_THE_BINARIES

Silent when all is well. mandoc's own lint is run where mandoc is installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "packaging" / "man"
# Understood by every command, and said once in general.
COMMON = {"help", "version"}


def help_of(*command: str) -> str:
    return subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout


def main() -> int:
    binaries = Path(sys.argv[1])
    wrong: list[str] = []
    daemon = (PAGES / "mlosd.8").read_text()
    # Options stand at the start of a line of the OPTIONS part.
    offered = set(re.findall(r"^  (?:-\w, )?--([\w-]+)", help_of(str(binaries / "mlosd")), re.MULTILINE)) - COMMON
    described = set(re.findall(r"^\.It Fl -([\w-]+)", daemon, re.MULTILINE))
    wrong += [f"mlosd.8 lacks --{name}" for name in sorted(offered - described)]
    wrong += [f"mlosd.8 describes --{name}, which mlosd does not have" for name in sorted(described - offered)]
    command = (PAGES / "mlos.1").read_text()
    part = help_of(str(binaries / "mlos")).split("SUBCOMMANDS:")[1]
    offered = set(re.findall(r"^  (\w+) ", part, re.MULTILINE))
    described = set(re.findall(r"^\.It Cm (\w+)", command, re.MULTILINE))
    wrong += [f"mlos.1 lacks {name}" for name in sorted(offered - described - {"See"})]
    wrong += [f"mlos.1 describes {name}, which mlos does not have" for name in sorted(described - offered)]
    if shutil.which("mandoc"):
        for page in sorted(PAGES.glob("*.[1-8]")):
            lint = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)], capture_output=True, text=True)
            wrong += lint.stdout.splitlines() + lint.stderr.splitlines()
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
