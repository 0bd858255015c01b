"""The demo's story: three servers under the agent, what MLOS sees of them, and proof that they did not notice; then ten.

Run by tools/demo, which installs and builds what it needs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import claims
import pressure_act
import session
from claims import Smaps, mib
from session import Failure, Server, waiting
from telling import CommandLine, bold, check_all, say, step

PLAN_SECONDS = 60  # until something was idle for 5 s, and was looked at


def memory_rows(command_line: CommandLine, running: list[Server]) -> dict[int, dict[str, Any]]:
    rows = {row["pid"]: row for row in command_line.json("ps")["processes"]}
    for server in running:
        if server.pid not in rows:
            raise Failure(f"mlos ps does not list the {server.program.name} server, PID {server.pid}")
        row = rows[server.pid]
        if row["source"] != "agent" or row["agent_state"] != "active":
            raise Failure(f"the agent in {server.program.name} is {row['agent_state']}: {row['agent_reason']}")
    return rows


def show_memory(running: list[Server], before: dict[int, dict[str, Any]], after: dict[int, dict[str, Any]]) -> None:
    say(f"\n  {'':12} {'resident, started':>18} {'after requests':>16} {'live heap, started':>20} {'after requests':>16}")
    for server in running:
        early, late = before[server.pid], after[server.pid]
        say(f"  {server.program.name:12} {mib(early['resident_bytes']):>18} {mib(late['resident_bytes']):>16} "
            f"{mib(early['live_heap_bytes']):>20} {mib(late['live_heap_bytes']):>16}")


def ask(running: list[Server]) -> dict[str, str]:
    """Every request of every server, in order; the hash of all answers by server."""
    for server in running:
        session.ask_everything(server)
        times = sorted(server.milliseconds)
        say(f"  {server.program.name:12} {len(times)} answers, median {times[len(times) // 2]:.1f} ms   "
            f"{json.dumps(server.first_answer)[:60]}...")
    return {server.program.name: server.body_hash.hexdigest() for server in running}


def check_claims(command_line: CommandLine, running: list[Server]) -> None:
    walks = {server.pid: session.heap_walk(server) for server in running}
    rows = {row["pid"]: row for row in command_line.json("ps")["processes"]}
    packages = command_line.json("packages")
    broken = []
    for server in running:
        heap = claims.check_heap(rows[server.pid], walks[server.pid])
        for claim in [*claims.check(packages, server.pid, Smaps.read(server.pid)), heap]:
            say(f"  {'ok  ' if claim.holds else 'FAIL'} {server.program.name}: {claim.words}")
            if not claim.holds:
                broken.append(claim.words)
    if broken:
        raise Failure(f"{len(broken)} claims about memory do not hold, see FAIL above")


def goes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Packages that would be unloaded."""
    return [unit for unit in plan["units"] if unit["verdict"] == "unload" and unit["kind"] == "package"]


def chosen_unit(command_line: CommandLine) -> tuple[dict[str, Any], dict[str, Any]]:
    """The plan once something is to go, and of that what brings most; asked again whenever the journal grows."""
    def asked() -> dict[str, Any] | None:
        plan = command_line.ask("plan")
        return plan if goes(plan) else None
    plan = waiting.await_change(command_line.directory, "something that mlos plan would unload", asked, PLAN_SECONDS)
    return plan, max(goes(plan), key=lambda unit: unit["bytes"])


def show_plan(command_line: CommandLine) -> None:
    _, chosen = chosen_unit(command_line)
    command_line.show("What would be given back now, in which order and why (here after 5 s of idleness, else 15 min):", "plan")
    command_line.show("Why, of one package in one process, and what would change it:",
                      "why", chosen["name"], "--pid", str(chosen["pid"]))
    # Again, so that both figures are of one moment: a page that another process lets go of becomes this one's alone.
    plan, chosen = chosen_unit(command_line)
    name, pid = chosen["name"], chosen["pid"]
    modules = command_line.json("modules", str(pid))["modules"]
    paths = {module["path"] for module in modules if module["package"] == name}
    check_all(claims.check_plan(plan, command_line.json("why", name), chosen, claims.clean(pid, paths)))


def give_back(command_line: CommandLine, running: list[Server], hashes: dict[str, str]) -> None:
    """What the supervisor takes by itself, then all that may go of each server; and that each goes on as before."""
    command_line.run("config", "set", "unloading.dry_run", "false")

    def taken() -> bool:
        rows = command_line.ask("history", "--limit", "200")["decisions"]
        return any(outcome["result"] == "freed" for row in rows for outcome in row["outcomes"])
    waiting.await_change(command_line.directory, "something that was given back", taken, PLAN_SECONDS)
    command_line.show("By itself, what was idle for 5 s (else 15 min):", "history", "--limit", "6")
    # From here on nothing by itself: what a command brings is to be told from it.
    command_line.run("config", "set", "unloading.dry_run", "true")
    before, after, answers = {}, {}, {}
    for server in running:
        pid = server.pid
        before[pid] = Smaps.read(pid).resident
        if server is running[0]:
            command_line.show("Now, all that may go of one server:", "unload", str(pid), "--force")
        else:
            answers[pid] = command_line.json("unload", str(pid), "--force")
        after[pid] = Smaps.read(pid).resident
    found = []
    say(f"\n  {'resident':12} {'before':>12} {'after':>12} {'when asked again':>18} {'first answer':>14} {'median':>10} {'restart':>9}")
    for server in running:
        again = Server(server.program, server.process, server.pid, server.port, server.start_seconds)
        session.ask_everything(again)
        times = sorted(again.milliseconds)
        say(f"  {server.program.name:12} {mib(before[server.pid]):>12} {mib(after[server.pid]):>12} "
            f"{mib(Smaps.read(server.pid).resident):>18} {again.milliseconds[0]:>11.1f} ms {times[len(times) // 2]:>7.1f} ms "
            f"{server.start_seconds:>7.1f} s")
        found += claims.check_given_back(
            server.program.name, before[server.pid], after[server.pid], answers.get(server.pid), again.milliseconds[0],
            server.start_seconds, again.body_hash.hexdigest() == hashes[server.program.name])
    check_all(found)


def compare(watched: dict[str, str], plain: dict[str, str]) -> None:
    for name in plain:
        same = watched[name] == plain[name]
        say(f"  {'ok  ' if same else 'FAIL'} {name:12} with the agent    sha256 {watched[name]}")
        say(f"       {'':12} without the agent sha256 {plain[name]}")
    if watched != plain:
        raise Failure("answers with and without the agent differ")


def watch(options: argparse.Namespace, wanted: list[session.Program]) -> dict[str, str]:
    with session.supervisor(options.binaries, options.directory, session.EAGER) as (socket, _):
        command_line = CommandLine(options.binaries, socket, options.directory)
        prefix = [str(options.binaries / "mlos"), "run", "--socket", str(socket), "--"]
        say(f"\n{bold('Three programs start under the agent, none of them changed')}")
        with session.servers(wanted, prefix, options.models, options.directory, "watched") as running:
            for server in running:
                say(f"  PID {server.pid:<8} {server.program.name:12} {server.program.does}, ready in {server.start_seconds:.1f} s")
            before = memory_rows(command_line, running)
            with step(f"Each answers {options.requests} requests"):
                hashes = ask(running)
            after = memory_rows(command_line, running)
            with step("What MLOS sees"):
                show_memory(running, before, after)
                scorer = str(running[-1].pid)
                command_line.show("The processes, what they hold and how their heaps move:", "ps")
                command_line.show("Memory by package, over all processes:", "packages")
                command_line.show("The packages of one process:", "packages", "--pid", scorer)
                command_line.show("Its shared libraries, largest first:", "modules", scorer, "--limit", "8")
                command_line.show("What happened, newest last:", "events", "--limit", "8")
                command_line.show("What works on this machine, and how to mend what does not:", "doctor")
            with step("The figures against the kernel's"):
                check_claims(command_line, running)
            with step("What MLOS would give back, and why"):
                show_plan(command_line)
            with step("They give it back, and go on"):
                give_back(command_line, running, hashes)
    return hashes


def nothing_left(directory: Path) -> None:
    processes = session.left_processes(directory)
    sockets = [str(path) for path in directory.rglob("*") if path.is_socket() or path.is_fifo()]
    listening = [line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines() if str(directory) in line]
    for what, found in (("processes", processes), ("socket files", sockets), ("open sockets", listening)):
        say(f"  {'FAIL' if found else 'ok  '} {what} left: {', '.join(found) or 'none'}")
    if processes or sockets or listening:
        raise Failure("the demo left something behind")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=40)
    options = parser.parse_args()
    for signal_number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, lambda *_: sys.exit(1))  # unwinds, and so ends what was started
    wanted = session.programs(options.requests)
    began = time.monotonic()
    try:
        watched = watch(options, wanted)
        with step("The same requests to the same programs without the agent"):
            with session.servers(wanted, [], options.models, options.directory, "plain") as running:
                plain = ask(running)
        with step("Answers are byte-equal"):
            compare(watched, plain)
        pressure_act.play(options)
        with step("Nothing is left"):
            nothing_left(options.directory)
    except BrokenPipeError:  # the reader went away; everything started is ended by now
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at its end
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted; everything that was started is ended.")
        return 130
    except (Failure, waiting.Overdue) as problem:
        say(f"\n{bold('FAILED')}: {problem}")
        return 1
    say(f"\n{bold('All claims hold')}, in {time.monotonic() - began:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
