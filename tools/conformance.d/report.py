"""What was found: a table for people, JSON for programs."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from pathlib import Path

from compare import Difference, in_words
from session import Row

SCHEMA = "mlos.conformance/1"


def difference_as_json(difference: Difference) -> dict[str, object]:
    return {
        "unit": difference.unit,
        "test": difference.test,
        "verdict": difference.verdict.name.lower(),
        "without_agent": difference.without,
        "with_agent": difference.with_agent,
        "reason": difference.reason,
        "logs": [*difference.logs_without, *difference.logs_with],
    }


def row_as_json(row: Row) -> dict[str, object]:
    return {
        "group": row.suite.group,
        "suite": row.suite.name,
        "version": row.suite.version,
        "configuration": row.configuration.name,
        "units": [unit.name for unit in row.suite.units],
        "passed": row.is_passed,
        "without_agent": row.without,
        "with_agent": row.with_agent,
        "differences": [difference_as_json(d) for d in row.differences],
        "documented_differences": [difference_as_json(d) for d in row.documented],
        "flaky_without_agent": [difference_as_json(d) for d in row.flaky],
        "problems": row.problems,
        "sessions_accepted": row.sessions,
        "seconds": round(row.seconds, 1),
    }


def machine() -> dict[str, object]:
    return {
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
        "processors": os.cpu_count(),
        "user": os.geteuid(),
    }


def as_json(
    rows: list[Row], skipped: list[tuple[str, str]], is_full: bool, agent: Path, seconds: float
) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "taken_at": round(time.time()),
        "seconds": round(seconds),
        "is_full": is_full,
        "machine": machine(),
        "agent": {"sha256": hashlib.sha256(agent.read_bytes()).hexdigest(), "bytes": agent.stat().st_size},
        "suites": [row_as_json(row) for row in rows],
        "skipped": [{"suite": name, "reason": reason} for name, reason in skipped],
        "passed": sum(row.is_passed for row in rows),
        "failed": sum(not row.is_passed for row in rows),
    }


COLUMNS = """suite | version | configuration | tests without agent | tests with agent | differences | documented |
    flaky without the agent | seconds"""


def as_table(rows: list[Row]) -> list[str]:
    def line(*cells: object) -> str:
        return f"| {' | '.join(str(cell) for cell in cells)} |"

    lines = [line(*(title.strip() for title in COLUMNS.split("|"))), "|---|---|---|---|---|---:|---:|---:|---:|"]
    for row in rows:
        found = (len(row.differences), len(row.documented), len(row.flaky))
        sides = (in_words(row.without), in_words(row.with_agent))
        lines.append(
            line(row.suite.name, row.suite.version, row.configuration.name, *sides, *found, f"{row.seconds:.0f}")
        )
    return lines


def as_item(row: Row, difference: Difference) -> str:
    return (
        f"- {row.suite.title}, {row.configuration.name}: `{difference.test}` of {difference.unit} "
        f"{difference.verdict.value}. "
        f"Without: {' / '.join(difference.without)}. With: {' / '.join(difference.with_agent)}."
        f"{f' Documented: {difference.reason}.' if difference.reason else ''}"
    )


def as_markdown(rows: list[Row], skipped: list[tuple[str, str]], seconds: float) -> str:
    facts = machine()
    lines = [
        f"# Conformance, {time.strftime('%Y-%m-%d')}",
        "",
        f"Linux {facts['kernel']} on {facts['architecture']}, {facts['libc']}, {facts['processors']} processors, "
        f"{'root' if facts['user'] == 0 else 'an ordinary user'}; {seconds / 60:.0f} minutes.",
        "",
        *as_table(rows),
        "",
    ]
    for title, chosen in (
        ("Differences", [(row, d) for row in rows for d in row.differences]),
        ("Documented differences", [(row, d) for row in rows for d in row.documented]),
        ("Flaky without the agent", [(row, d) for row in rows for d in row.flaky]),
    ):
        if chosen:
            lines += [f"## {title}", "", *(as_item(row, difference) for row, difference in chosen), ""]
    problems = [f"- {row.suite.name}, {row.configuration.name}: {problem}" for row in rows for problem in row.problems]
    if problems:
        lines += ["## Problems", "", *problems, ""]
    if skipped:
        lines += ["## Skipped", "", *(f"- {name}: {reason}" for name, reason in skipped), ""]
    return "\n".join(lines)
