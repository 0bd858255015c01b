"""Runs suites in their configurations, compares, and runs again what differed."""

from __future__ import annotations

import concurrent.futures
import contextlib
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import documented
import harness
from compare import RERUNS, WHOLE_RUN, ABSENT, Difference, Outcomes, Verdict, added, counts, differing, in_words
from running import ALONE, NOT_DONE, SUPERVISED, WITHOUT, Configuration, Run, Runner, Unit


@dataclass
class Suite:
    # The name --suite takes; several suites may share it (two Pythons).
    group: str
    name: str
    version: str
    units: list[Unit]
    configurations: list[Configuration] = field(default_factory=lambda: [SUPERVISED, ALONE])

    @property
    def title(self) -> str:
        return f"{self.name} {self.version.split(',')[0]}"


@dataclass
class Row:
    """One suite in one configuration, held against the same suite without the agent."""

    suite: Suite
    configuration: Configuration
    without: dict[str, int]
    with_agent: dict[str, int]
    differences: list[Difference]
    flaky: list[Difference]
    # Sessions the supervisor accepted from the suite's processes; None without a supervisor.
    sessions: int | None
    seconds: float
    problems: list[str]
    documented: list[Difference] = field(default_factory=list)

    @property
    def is_passed(self) -> bool:
        return not self.differences and not self.problems


Say = Callable[[str], None]


class Session:
    def __init__(self, runner: Runner, say: Say, jobs: int) -> None:
        self.runner = runner
        self.say = say
        self.jobs = jobs

    def compare(self, suite: Suite, is_full: bool) -> list[Row]:
        """Runs the suite everywhere; rows in the order of its configurations."""
        configurations = [c for c in suite.configurations if is_full or c.supervised]
        self.say(
            f"== {suite.title}: {len(suite.units)} parts, without the agent and with: "
            + "; ".join(c.name for c in configurations)
        )
        folder = self.runner.work / "s"
        folder.mkdir()
        supervisor = harness.Supervisor(folder)
        try:
            return self.compare_under(suite, configurations, supervisor)
        finally:
            supervisor.stop()
            (self.runner.logs / f"{suite.title.replace(' ', '_')}.mlosd.log").write_bytes(
                Path(supervisor.log).read_bytes()
            )
            for left in folder.iterdir():
                left.unlink()
            folder.rmdir()

    def compare_under(
        self, suite: Suite, configurations: list[Configuration], supervisor: harness.Supervisor
    ) -> list[Row]:
        sessions = {configuration: 0 for configuration in configurations}

        def once(unit: Unit, configuration: Configuration, attempt: int = 0) -> Run:
            # In every configuration but one nobody listens at the socket named.
            socket = supervisor.socket if configuration.supervised else f"{self.runner.work}/nobody/agent.sock"
            run = self.runner.run(suite.title, unit, configuration, socket, attempt)
            again = f" (run {attempt + 1})" if attempt else ""
            self.say(
                f"   {suite.title} {unit.name}, {configuration.name}{again}: "
                f"{in_words(counts(run.outcomes))}, {run.seconds:.1f} s"
            )
            return run

        # The configurations one after the other, so that the supervisor's count of sessions belongs to one of them.
        first: dict[tuple[Configuration, str], Run] = {}
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool, self.heartbeat():
            for configuration in [WITHOUT, *configurations]:
                before = accepted(supervisor)
                pending = {unit.name: pool.submit(once, unit, configuration) for unit in suite.units}
                try:
                    for name, future in pending.items():
                        first[configuration, name] = future.result()
                except BaseException:
                    self.runner.stop()
                    pool.shutdown(wait=True, cancel_futures=True)
                    raise
                if configuration.supervised:
                    sessions[configuration] = accepted(supervisor) - before
            rows = [self.row(suite, c, first, sessions[c], supervisor) for c in configurations]
            self.settle(suite, rows, once)
        for row in rows:
            self.report(row)
        return rows

    def row(
        self,
        suite: Suite,
        configuration: Configuration,
        first: dict[tuple[Configuration, str], Run],
        sessions: int,
        supervisor: harness.Supervisor,
    ) -> Row:
        found = []
        for unit in suite.units:
            left, right = first[WITHOUT, unit.name], first[configuration, unit.name]
            for test in differing(left.outcomes, right.outcomes):
                found.append(
                    Difference(
                        unit.name,
                        test,
                        [outcome(left.outcomes, test)],
                        [outcome(right.outcomes, test)],
                        [left.log],
                        [right.log],
                    )
                )
        problems = []
        if configuration.supervised and sessions <= 0:
            problems.append("no process of the suite reached the supervisor")
        if configuration.supervised and supervisor.process and supervisor.process.poll() is not None:
            problems.append(f"the supervisor ended with {supervisor.process.returncode}")
        without = added([counts(first[WITHOUT, unit.name].outcomes) for unit in suite.units])
        if without["passed"] == 0:
            problems.append("nothing passed without the agent, so nothing is shown")
        for unit in suite.units:
            if first[WITHOUT, unit.name].outcomes[WHOLE_RUN].startswith(NOT_DONE):
                problems.append(f"{unit.name} was not done in time without the agent, so it shows nothing")
        return Row(
            suite,
            configuration,
            without,
            added([counts(first[configuration, unit.name].outcomes) for unit in suite.units]),
            found,
            [],
            sessions if configuration.supervised else None,
            sum(first[configuration, unit.name].seconds for unit in suite.units),
            problems,
        )

    def settle(self, suite: Suite, rows: list[Row], once: Callable[[Unit, Configuration, int], Run]) -> None:
        """Runs both sides again, one at a time, until each difference is known as a flake, at most RERUNS times."""
        units = {unit.name: unit for unit in suite.units}
        for attempt in range(1, RERUNS + 1):
            unsettled = [(row, d) for row in rows for d in row.differences if d.verdict is not Verdict.FLAKY]
            for name, group in itertools.groupby(
                sorted(unsettled, key=lambda pair: pair[1].unit), key=lambda pair: pair[1].unit
            ):
                members = list(group)
                without = once(units[name], WITHOUT, attempt)
                again = {
                    id(row): once(units[name], row.configuration, attempt) for row in unique(row for row, _ in members)
                }
                for row, difference in members:
                    difference.without.append(outcome(without.outcomes, difference.test))
                    difference.with_agent.append(outcome(again[id(row)].outcomes, difference.test))
                    difference.logs_without.append(without.log)
                    difference.logs_with.append(again[id(row)].log)
        for row in rows:
            row.flaky = [d for d in row.differences if d.verdict is Verdict.FLAKY]
            for difference in row.differences:
                difference.reason = documented.explanation(suite.group, row.configuration, difference)
            row.documented = [d for d in row.differences if d.reason]
            row.differences = [d for d in row.differences if d.verdict is not Verdict.FLAKY and not d.reason]

    def report(self, row: Row) -> None:
        for difference in [*row.flaky, *row.documented, *row.differences]:
            documented_as = f", documented: {difference.reason}" if difference.reason else ""
            self.say(
                f"   {difference.verdict.value}{documented_as}: {difference.unit} {difference.test}\n"
                f"      without: {' | '.join(difference.without)}\n      with:    {' | '.join(difference.with_agent)}\n"
                f"      logs: {' '.join([*difference.logs_without, *difference.logs_with])}"
            )
        for problem in row.problems:
            self.say(f"   {problem}")
        watched = "" if row.sessions is None else f", {row.sessions} sessions with the supervisor"
        self.say(
            f"{'ok  ' if row.is_passed else 'FAIL'} {row.suite.title}, {row.configuration.name}: "
            f"{len(row.differences)} differences, {len(row.documented)} documented, "
            f"{len(row.flaky)} flaky without the agent; "
            f"{in_words(row.with_agent)}{watched}, {row.seconds:.0f} s"
        )

    def heartbeat(self) -> Heartbeat:
        return Heartbeat(self.runner, self.say)


class Heartbeat:
    """Names what is running whenever 15 s passed, so that a long part does not look like a hang."""

    def __init__(self, runner: Runner, say: Say) -> None:
        self.runner, self.say = runner, say
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.beat, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()

    def beat(self) -> None:
        while not self.ended.wait(15):
            with self.runner.lock:
                now = time.monotonic()
                running = [f"{title} ({now - began:.0f} s)" for title, began in self.runner.running.items()]
            if running:
                self.say(f"   ... running: {'; '.join(running)}")


def outcome(outcomes: Outcomes, test: str) -> str:
    # Where a run ended early, how it ended says more than that the test is not there.
    return outcomes.get(test) or (f"{ABSENT}, {outcomes[WHOLE_RUN]}" if set(outcomes) == {WHOLE_RUN} else ABSENT)


def accepted(supervisor: harness.Supervisor) -> int:
    """Sessions since its start; 0 when it does not answer, which then shows as a problem of the row."""
    with contextlib.suppress(OSError):
        return int(supervisor.get("/api/v1/status")["counters"]["sessions_accepted"])
    return 0


def unique(rows: object) -> list[Row]:
    return list({id(row): row for row in rows}.values())  # type: ignore[attr-defined]


def printer() -> Say:
    lock = threading.Lock()

    def say(text: str) -> None:
        with lock:
            print(text, flush=True)

    return say


def check_agent(runner: Runner) -> None:
    """That the library is loaded at all; otherwise every comparison would be of a thing with itself."""
    program = "import sys; sys.exit('libmlosagent' not in open('/proc/self/maps').read())"
    unit = Unit("check", lambda _: [sys.executable, "-c", program], lambda *_: {})
    run = runner.run("the agent", unit, ALONE, f"{runner.work}/nobody/agent.sock", 0)
    if run.outcomes[WHOLE_RUN] != "passed with 0":
        raise SystemExit(f"{os.path.basename(runner.agent)} is not loaded into {sys.executable}; see {run.log}")
