"""Differences that are documented behaviour of the agent. They stay in every table and report, under their own heading.

An entry holds for one test in one configuration, and only while the log of each run with the agent shows what the entry
says is the cause; the same test failing for another reason is a difference as any other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from compare import Difference, Verdict
from running import Configuration

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Documented:
    group: str
    test: str
    # In the log of every run with the agent.
    evidence: str
    reason: str
    supervised: bool = True


DOCUMENTED = [
    Documented(
        "cpython",
        "test.test_subprocess.POSIXProcessTestCase.test_pass_fds_redirected",
        r"Items in the first set but not the second:\s+512\s+513\b",
        "a child lists all its open descriptors; under a supervisor the agent holds two to four from 512 on "
        "(docs/internals/agent.md, Descriptors)",
    )
]


def explanation(group: str, configuration: Configuration, difference: Difference) -> str | None:
    """Why this difference is expected, or None."""
    if difference.verdict is not Verdict.EVERY_TIME:
        return None
    for entry in DOCUMENTED:
        if (entry.group, entry.test, entry.supervised) == (group, difference.test, configuration.supervised):
            texts = [(ROOT / log).read_text(errors="replace") for log in difference.logs_with]
            if texts and all(re.search(entry.evidence, text) for text in texts):
                return entry.reason
    return None
