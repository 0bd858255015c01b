"""What a run's tests came to, and whether two sides of a comparison differ. Decides only; runs nothing."""

from __future__ import annotations

import collections
import enum
from dataclasses import dataclass, field

# An outcome is a word, passed, failed, skipped or error, and after it, where there is more to compare, what: an exit
# status, a count, a digest. Two outcomes agree if the whole text does.
Outcomes = dict[str, str]

# What a run as a whole came to. Not a test: not counted, and compared only where no test of the unit differs.
WHOLE_RUN = "(exit status)"
ABSENT = "not run"
RERUNS = 2


class Verdict(enum.Enum):
    """What a difference turned out to be after both sides were run again."""

    EVERY_TIME = "differs every time"
    # Never the same as a flake: without the agent it did not happen, so the agent is to blame until shown otherwise.
    NOW_AND_THEN = "differs now and then, only with the agent"
    FLAKY = "flaky without the agent"


@dataclass
class Difference:
    """A test whose outcome differed in the first run. The lists hold the first run and the later ones, in order."""

    unit: str
    test: str
    without: list[str]
    with_agent: list[str]
    logs_without: list[str] = field(default_factory=list)
    logs_with: list[str] = field(default_factory=list)
    # Set once it is known to be documented behaviour.
    reason: str | None = None

    @property
    def verdict(self) -> Verdict:
        if len(set(self.without)) > 1:
            return Verdict.FLAKY
        return Verdict.NOW_AND_THEN if self.without[0] in self.with_agent else Verdict.EVERY_TIME


def differing(without: Outcomes, with_agent: Outcomes) -> list[str]:
    """The tests whose outcomes differ."""
    # A run that ended early has no tests to compare; one line says so instead of one for each of its tests.
    if set(without) == {WHOLE_RUN} or set(with_agent) == {WHOLE_RUN}:
        return (
            [WHOLE_RUN]
            if without.get(WHOLE_RUN) != with_agent.get(WHOLE_RUN) or len(without) != len(with_agent)
            else []
        )
    names = [name for name in {**without, **with_agent} if without.get(name, ABSENT) != with_agent.get(name, ABSENT)]
    return [name for name in names if name != WHOLE_RUN] or names


def counts(outcomes: Outcomes) -> dict[str, int]:
    """How many tests passed, failed, were skipped or ended in an error."""
    tally = collections.Counter(outcome.split(" ", 1)[0] for name, outcome in outcomes.items() if name != WHOLE_RUN)
    return {word: tally[word] for word in ("passed", "failed", "error", "skipped")}


def in_words(tally: dict[str, int]) -> str:
    shown = [
        f"{number:,} {'errors' if word == 'error' else word}"
        for word, number in tally.items()
        if number or word == "passed"
    ]
    return ", ".join(shown)


def added(tallies: list[dict[str, int]]) -> dict[str, int]:
    return {word: sum(tally[word] for tally in tallies) for word in ("passed", "failed", "error", "skipped")}
