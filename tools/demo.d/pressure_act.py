"""The demo's second act: ten servers, two of them busy, memory gets short, and the supervisor decides by itself."""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fleet
import hog
import marks
import pressure_claims
import pressure_tables
import session
from claims import Smaps, mib
from fleet import Load, Stretch
from marks import Marks
from pressure_claims import Decided
from session import Server
from telling import CommandLine, bold, check_all, say, step

STRETCH_SECONDS = 5  # of load, by which answers with and without are compared
DECIDE_SECONDS = 30


def play(options: argparse.Namespace) -> None:
    """Leaves itself out, and says why, where the machine is too small or too large for it."""
    directory = options.directory / "fleet"
    directory.mkdir(mode=0o700)
    config = directory / "mlos.yaml"
    marks.write(config, None)
    say(f"\n{bold('Ten servers, two of them busy, and memory gets short')}")
    with session.supervisor(options.binaries, directory, {}, config) as (socket, pid):
        command_line = CommandLine(options.binaries, socket, directory)
        memory = command_line.ask("plan")["memory"]
        count = how_many(memory)
        if count == 0:
            return
        prefix = [str(options.binaries / "mlos"), "run", "--socket", str(socket), "--"]

        def told(place: int, server: Server) -> None:
            say(f"  PID {server.pid:<8} {server.program.name:12} {'to be busy' if place < fleet.BUSY else 'to be idle'}, "
                f"ready in {server.start_seconds:.1f} s")
        with contextlib.ExitStack() as stack:
            with step("They start, two at a time"):
                servers = stack.enter_context(fleet.running(count, prefix, options.models, directory, told))
            Act(command_line, config, pid, servers, prefix, options.models).play()


def how_many(memory: dict[str, Any]) -> int:
    available = memory["limit_bytes"] - memory["used_bytes"]
    count = fleet.fitting(available, marks.LEAST_HOG)
    source = "the machine" if memory["source"] == "machine" else memory["source"]
    say(f"  {mib(memory['used_bytes'])} of {mib(memory['limit_bytes'])} in use ({source})")
    wanted = f"{mib(fleet.SERVER_BYTES)} each, the hog and {mib(fleet.RESERVE)} for everybody else"
    if count == 0:
        say(f"  Left out: {mib(available)} do not hold {fleet.FEWEST} servers of {wanted}.")
    elif count < len(fleet.KINDS):
        say(f"  {count} servers instead of {len(fleet.KINDS)}: {mib(available)} do not hold more of {wanted}.")
    return count


@dataclass
class Look:
    """Memory at one moment: by MLOS and by the kernel."""

    memory: dict[str, Any]
    packages: dict[str, Any]
    smaps: dict[int, Smaps]

    def resident(self, pids: set[int]) -> int:
        return sum(self.smaps[pid].resident for pid in pids)


class Act:
    def __init__(
        self, command_line: CommandLine, config: Path, supervisor: int, servers: list[Server], prefix: list[str], models: Path
    ) -> None:
        self.command_line, self.config, self.supervisor = command_line, config, supervisor
        self.directory = config.parent
        self.servers, self.busy, self.idle = servers, servers[: fleet.BUSY], servers[fleet.BUSY :]
        self.prefix, self.models = prefix, models
        self.on_since = 0.0
        self.hog = 0  # bytes

    def play(self) -> None:
        with step("Each answers its requests; from then on two are asked steadily, and the others not at all"):
            hashes = {server.pid: self.first_round(server) for server in self.servers}
        memory = self.command_line.ask("plan")["memory"]
        self.hog = marks.hog_for(memory)
        if not self.hog:
            say(f"  Left out: {mib(memory['used_bytes'])} in use are so much less than {marks.LOWEST:.0%} of {mib(memory['limit_bytes'])}, the "
                "lowest mark there is,\n  that only a hog larger than is fair would pass it.")
            return
        say(f"  A hog will take {mib(self.hog)} and no more, twice, and is ended by its PID.")
        with fleet.loaded(self.busy) as loads:
            counts = fleet.answers_in(loads, STRETCH_SECONDS)
            with step("Without MLOS: the hog comes while it is switched off"):
                begin = [len(load.milliseconds) for load in loads]
                with hog.holding(self.hog, session.environment(self.directory)):
                    without = [load.stretch(count, first) for load, count, first in zip(loads, counts, begin)]
                say(f"  {counts[0]} and {counts[1]} answers of the busy ones; the hog is gone again")
            while_off = len(self.decided().rows)
            before = self.look()
            with step("With MLOS: it is on, the hog comes again, and nobody asks for anything"):
                self.switch_on(before.memory["used_bytes"])
                begin = [len(load.milliseconds) for load in loads]
                with hog.holding(self.hog, session.environment(self.directory)) as one:
                    acting = self.await_decisions(loads, counts, begin)
                    after = self.look()
                decided = self.decided()
        self.show(before, after, decided, one)
        with step("The busy ones, without MLOS and while it acts"):
            for load, off, on in zip(loads, without, acting):
                pressure_tables.show_latency(load.server.program.name, off, on, STRETCH_SECONDS)
        with step("The idle ones are asked again, against a fresh start of the same program"):
            found = self.ask_idle(before, after, hashes)
        idle = {server.pid for server in self.idle}
        with step("The claims"):
            fell = before.resident(idle) - after.resident(idle)
            found = pressure_claims.check(decided, idle, fell, while_off) + found
            check_all(found + [pressure_claims.check_busy(load.server.program.name, len(load.milliseconds), load.different,
                                                          load.hash() == hashes[load.server.pid]) for load in loads])

    def first_round(self, server: Server) -> str:
        session.ask_everything(server)
        return server.body_hash.hexdigest()

    def decided(self) -> Decided:
        """Since MLOS was switched on."""
        rows = self.command_line.json("history", "--limit", "2000")["decisions"]
        return Decided([row for row in rows if row["at"] >= self.on_since])

    def look(self) -> Look:
        return Look(self.command_line.ask("plan")["memory"], self.command_line.json("packages"),
                    {server.pid: Smaps.read(server.pid) for server in self.servers})

    def switch_on(self, low: int) -> None:
        """With marks between what is in use without the hog, `low`, and with it."""
        limit = self.command_line.ask("plan")["memory"]["limit_bytes"]
        marks.write(self.config, Marks.between(low, low + self.hog, limit))
        self.on_since = self.on_since or time.time()
        marks.read_again(self.config, self.supervisor)
        say(f"  {mib(low)} in use; by mlos.yaml {marks.in_force(self.command_line.ask('plan')['memory'])}")

    def await_decisions(self, loads: list[Load], counts: list[int], begin: list[int]) -> list[list[Stretch]]:
        """Stretch by stretch, until memory is short no more or a stretch brings nothing new. Looked at only between two
        stretches, for looking takes time from those that answer. What others on the machine do is no failure."""
        stretches: list[list[Stretch]] = [[] for _ in loads]
        began, fruitful = time.monotonic(), -1
        while True:
            for place, load in enumerate(loads):
                stretches[place].append(load.stretch(counts[place], begin[place] + len(stretches[place]) * counts[place]))
            decided, plan = self.decided(), self.command_line.ask("plan")
            before, fruitful = fruitful, len(decided.fruitful())
            seconds = time.monotonic() - began
            say(f"  after {seconds:.0f} s: {mib(plan['memory']['used_bytes'])} in use, {len(decided.rows)} decisions, {fruitful} brought something")
            if seconds > DECIDE_SECONDS:
                say("  it is still at it; shown is what came back by now")
            elif not decided.rows and not plan["is_pressed"]:
                say("  others have given back as much meanwhile; the marks move down with it")
                self.switch_on(plan["memory"]["used_bytes"] - self.hog)
                continue
            elif decided.is_open() or (plan["is_pressed"] and fruitful > before):
                continue
            else:
                say(f"  {'nothing more comes back' if plan['is_pressed'] else 'memory is short no more'}")
            return stretches

    def show(self, before: Look, after: Look, decided: Decided, one: hog.Hog) -> None:
        with step("What it decided, and what came of it"):
            pressure_tables.show_decisions(decided, one.began, {server.pid: server.program.name for server in self.servers})
            said = [row for row in decided.fruitful() if row["predicted_bytes"] is not None]
            if said:
                largest = max(said, key=lambda row: row["predicted_bytes"])
                self.command_line.show("What is said of one of them now:", "why", largest["name"], "--pid", str(largest["pid"]),
                                       longest=12)
        busy, idle = {server.pid for server in self.busy}, {server.pid for server in self.idle}
        with step("Memory before and after"):
            pressure_tables.show_rungs(decided, busy)
            pressure_tables.show_packages(before.packages, after.packages)
            pressure_tables.show_what_stays(after.packages, sum(smaps.anonymous for smaps in after.smaps.values()))
            was, now = before.resident(idle), after.resident(idle)
            say(f"  The idle ones held {mib(was)} and hold {mib(now)}: {1 - now / was:.0%} came back. In use on the machine, by others too: "
                f"{mib(before.memory['used_bytes'])}\n  before the hog of {mib(self.hog)}, with it and after the decisions "
                f"{mib(after.memory['used_bytes'])}.")
            if os.geteuid() != 0:
                say("  Not as root: the kernel keeps its own copies of other users' files.")

    def ask_idle(self, before: Look, after: Look, hashes: dict[int, str]) -> list[pressure_claims.Claim]:
        again = {server.pid: fleet.ask_again(server) for server in self.idle}
        fresh = {kind: self.restart(kind) for kind in dict.fromkeys(server.program.name for server in self.idle)}
        pressure_tables.say_idle_head()
        found = []
        for server in self.idle:
            name, pid, asked = server.program.name, server.pid, again[server.pid]
            pressure_tables.say_idle(name, pid, before.smaps[pid].resident, after.smaps[pid].resident,
                                     Smaps.read(pid).resident, asked.milliseconds, fresh[name])
            found.append(pressure_claims.check_idle(
                f"{name} {pid}", asked.milliseconds[0], fresh[name], asked.body_hash.hexdigest() == hashes[pid]))
        return found

    def restart(self, kind: str) -> float:
        """Milliseconds from the start of a fresh process to its first answer."""
        program = next(server.program for server in self.idle if server.program.name == kind)
        one = session.start(program, self.prefix, self.models, self.directory, "fresh")
        try:
            session.ask_everything(one)
        except BaseException:
            session.kill([one])
            raise
        session.stop(one)
        return one.start_seconds * 1e3 + one.milliseconds[0]
