"""What a benchmark found: printed row by row as it comes, kept for the table, the JSON and the plot."""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

REACHED, MISSED, UNDECIDED = "reached", "MISSED", "not decided"


@dataclass
class Figure:
    part: str
    what: str
    goal: str
    measured: str
    verdict: str
    value: float | None
    unit: str


class Figures:
    def __init__(self) -> None:
        self.part = ""
        self.rows: list[Figure] = []

    def begin(self, part: str) -> None:
        self.part = part
        print(f"\n{part:60} {'goal':>10} {'measured':>30}", flush=True)

    def row(self, what: str, measured: str, goal: str = "", reached: bool | str | None = None,
            value: float | None = None, unit: str = "") -> None:
        """`reached` is a verdict, or whether the goal was reached; None where there is no goal."""
        verdict = reached if isinstance(reached, str) else "" if reached is None else REACHED if reached else MISSED
        self.rows.append(Figure(self.part, what, goal, measured, verdict, value, unit))
        print(f"{what:60} {goal:>10} {measured:>30}  {verdict}".rstrip(), flush=True)

    def value(self, what: str) -> float | None:
        return next((row.value for row in self.rows if row.what == what), None)

    def save(self, path: Path) -> None:
        machine = {"system": platform.platform(), "processors": os.cpu_count(),
                   "load": os.getloadavg()[0], "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime())}
        content = {"shape": "mlos.bench/1", "machine": machine, "figures": [asdict(row) for row in self.rows]}
        path.write_text(json.dumps(content, indent=1) + "\n")

    def markdown(self) -> str:
        lines = []
        for part in dict.fromkeys(row.part for row in self.rows):
            lines += [f"## {part}", "", "| what | goal | measured | |", "|---|---|---|---|"]
            lines += [f"| {row.what} | {row.goal} | {row.measured} | {row.verdict} |" for row in self.rows if row.part == part]
            lines.append("")
        return "\n".join(lines)


def middle(values: list[float]) -> float:
    return statistics.median(values)


def compared(series: list[float], base: list[float]) -> tuple[float, float, float]:
    """The median of the differences, pair by pair, and a 95 % interval of that median (order statistics)."""
    differences = sorted(a - b for a, b in zip(series, base))
    count = len(differences)
    # The binomial's normal approximation; with few pairs it is the whole range.
    reach = max(1, round(0.98 * count**0.5 + 0.5))
    low, high = max(0, count // 2 - reach), min(count - 1, (count - 1) // 2 + reach)
    return statistics.median(differences), differences[low], differences[high]
