"""What the second act claims, and the tables it claims it from: decisions against the kernel's figures, rung by rung."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from claims import Claim, apart, mib

LEAST_OF_PREDICTED = 0.5  # of what was expected, what came back
MOST_APART = 0.1  # between what MLOS says it freed and what the kernel counts
RUNGS = {
    "closed-modules": "closed libraries", "callbacks": "callbacks", "collect": "Python's collector", "trim": "allocator",
    "module-pages": "pages of files", "equal-pages": "equal pages", "heap-pages": "swap",
}


@dataclass
class RungSum:
    """What one rung brought over all decisions."""

    freed: int = 0
    tried: int = 0
    seconds: float = 0
    refusals: dict[str, int] = field(default_factory=dict)


@dataclass
class Decided:
    """The decisions of the act, from the journal."""

    rows: list[dict[str, Any]]

    def outcomes(self, pids: set[int] | None = None) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        return [(row, outcome) for row in self.rows for outcome in row["outcomes"] if pids is None or row["pid"] in pids]

    def freed(self, pids: set[int]) -> int:
        return sum(outcome["freed_bytes"] or 0 for _, outcome in self.outcomes(pids))

    def fruitful(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if any(outcome["result"] == "freed" for outcome in row["outcomes"])]

    def first_at(self) -> float | None:
        """When the first bytes were back."""
        return min((outcome["at"] for _, outcome in self.outcomes() if outcome["result"] == "freed"), default=None)

    def is_open(self) -> bool:
        """Whether something that was decided has no outcome yet."""
        return any(not row["outcomes"] for row in self.rows)

    def rungs(self, pids: set[int] | None = None) -> dict[str, RungSum]:
        sums: dict[str, RungSum] = {}
        for _, outcome in self.outcomes(pids):
            for rung in outcome["rungs"]:
                one = sums.setdefault(rung["rung"], RungSum())
                one.tried += 1
                one.freed += rung["freed_bytes"] or 0
                one.seconds += rung["seconds"]
                if rung["refusal"]:
                    one.refusals[rung["refusal"]] = one.refusals.get(rung["refusal"], 0) + 1
        return sums

    def predicted(self) -> tuple[int, int]:
        """Of the decisions that brought something and said how much they would: what they said, and what it was."""
        pairs = [(row["predicted_bytes"], outcome["freed_bytes"] or 0) for row, outcome in self.outcomes()
                 if row["predicted_bytes"] is not None and outcome["result"] == "freed"]
        return sum(said for said, _ in pairs), sum(was for _, was in pairs)


def check(decided: Decided, idle: set[int], kernels: int, while_off: int) -> list[Claim]:
    """`kernels` is by how much the idle servers' resident memory fell, by smaps; `while_off` how many decisions the journal
    had before MLOS was switched on."""
    fruitful, first = decided.fruitful(), decided.first_at()
    found = [
        Claim(f"while it was switched off it decided nothing ({while_off} decisions)", while_off == 0),
        Claim(f"nobody asked: {len(decided.rows)} decisions of its own, {len(fruitful)} of them brought something", len(fruitful) > 0),
    ]
    if first is None:
        return found
    told = decided.freed(idle)
    found.append(Claim(
        f"the idle ones gave back {mib(told)} by its own account, {mib(kernels)} by smaps ({apart(told, kernels):.1%} apart)",
        told > 0 and apart(told, kernels) <= MOST_APART))
    said, was = decided.predicted()
    if said:
        found.append(Claim(f"of packages {mib(said)} were expected, {mib(was)} came back ({was / said:.0%})",
                           was >= LEAST_OF_PREDICTED * said))
    return found


def check_idle(name: str, first_ms: float, fresh_ms: float, same: bool) -> Claim:
    return Claim(f"{name}, idle: first answer after {first_ms:.0f} ms, a fresh one's after {fresh_ms:.0f} ms; its answers are "
                 f"{'' if same else 'not '}the bytes they were", same and first_ms < fresh_ms)


def check_busy(name: str, answers: int, different: int, as_before: bool) -> Claim:
    return Claim(f"{name}, busy: {answers} answers meanwhile, {different} of them not the bytes they were", different == 0 and as_before)
