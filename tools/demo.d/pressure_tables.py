"""The second act's tables: by rung, by package, by server, and the latency of those that were busy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from claims import mib
from fleet import Stretch
from pressure_claims import RUNGS, Decided
from telling import say

LONGEST = 8  # packages
LONGEST_DECISIONS = 16
FEWEST_SHARED = 2


def show_decisions(decided: Decided, hog_began: float, names: dict[int, str]) -> None:
    """Oldest first; those of one unit with the same outcome are one line. `mlos history` has each."""
    lines: dict[tuple[Any, ...], list[Any]] = {}
    for row, outcome in sorted(decided.outcomes(), key=lambda pair: (pair[1]["at"], pair[0]["id"])):
        freed, unit = outcome["result"] == "freed", {"process": "all of it", "heap": "free heap"}.get(row["kind"], row["name"])
        key = (unit, row["pid"], row["text"], outcome["obstacle"] or outcome["result"], row["id"] if freed else None)
        lines.setdefault(key, [outcome["at"], row["predicted_bytes"], outcome["freed_bytes"] if freed else None, 0])[3] += 1
    say(f"\n  {'AFTER':>7}  {'UNIT':14} {'PROCESS':18} {'EXPECTED':>10} {'MEASURED':>10}  WHY (the hog began at 0 s)")
    for (unit, pid, text, obstacle, _), (at, predicted, freed, times) in list(lines.items())[:LONGEST_DECISIONS]:
        said = "-" if predicted is None else mib(predicted)
        got = "-" if freed is None else mib(freed)
        note = f"; gave nothing: {obstacle}" + (f", {times} times" if times > 1 else "") if freed is None else ""
        say(f"  {at - hog_began:>5.1f} s  {unit:14} {f'{names.get(pid, str())} {pid}':18} {said:>10} {got:>10}  {text}{note}")
    if len(lines) > LONGEST_DECISIONS:
        say(f"  ... {len(lines) - LONGEST_DECISIONS} lines more")


def show_rungs(decided: Decided, busy: set[int]) -> None:
    """Which rung brought what, and how much of it from servers that were busy."""
    of_busy = decided.rungs(busy)
    say(f"\n  {'RUNG':20} {'GAVE BACK':>12} {'OF IT BUSY ONES':>16} {'TRIED':>6} {'TIME':>8}  NOT CARRIED OUT")
    for name, one in decided.rungs().items():
        why = ", ".join(f"{word} ({count})" for word, count in sorted(one.refusals.items()))
        theirs = of_busy[name].freed if name in of_busy else 0
        say(f"  {RUNGS.get(name, name):20} {mib(one.freed):>12} {mib(theirs):>16} {one.tried:>6} {one.seconds:>6.2f} s  {why}".rstrip())
    if not has_swap():
        say(f"  {'swap':20} {'-':>12} {'-':>16} {'-':>6} {'-':>8}  this machine has none: heap that its program still holds cannot go")
    packages = sum(outcome["freed_bytes"] or 0 for row, outcome in decided.outcomes(busy) if row["kind"] == "package")
    heaps = sum(outcome["freed_bytes"] or 0 for row, outcome in decided.outcomes(busy) if row["kind"] == "heap")
    say(f"  Of the busy ones it took {mib(packages)} of packages and {mib(heaps)} of free heap.")


def has_swap() -> bool:
    return len(Path("/proc/swaps").read_text().splitlines()) > 1


def by_name(packages: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Proportional bytes, so that what several share counts once, and how many hold it."""
    return {row["name"]: (sum(holder["memory"]["proportional_bytes"] or 0 for holder in row["holders"]), len(row["holders"]))
            for row in packages["packages"]}


def show_packages(before: dict[str, Any], after: dict[str, Any]) -> None:
    early, late = by_name(before), by_name(after)
    say(f"\n  {'PACKAGE':20} {'BEFORE':>12} {'AFTER':>12} {'CAME BACK':>12} {'SERVERS':>8}")

    def heap(packages: dict[str, Any]) -> int:
        return sum(one["anonymous_resident_bytes"] for one in packages["processes"])
    rows = [("(heap and the like)", heap(before), heap(after), len(before["processes"]))]
    rows += [(name, size, late.get(name, (0, 0))[0], holders) for name, (size, holders) in early.items()]
    # A page that one process has let go of counts for more in the others: no row is left out for a sign.
    for name, was, now, holders in [rows[0], *sorted(rows[1:], key=lambda row: row[2] - row[1])[:LONGEST]]:
        say(f"  {name:20} {mib(was):>12} {mib(now):>12} {mib(was - now):>12} {holders:>8}")
    say("  (proportional: a page that several map counts once; by rung it counts where a process let go of it)")


def show_what_stays(packages: dict[str, Any], anonymous: int) -> None:
    shared = sum(size for size, holders in by_name(packages).values() if holders >= FEWEST_SHARED)
    say(f"\n  What stays: {mib(anonymous)} of heap and the like{'' if has_swap() else ', for which there is no swap'}, and {mib(shared)} of "
        "packages that several servers hold.")


def show_latency(name: str, off: Stretch, on: list[Stretch], seconds: int) -> None:
    """Stretches of equally many answers; with fewer than a hundred the 99th percentile is the slowest of them."""
    say(f"  {name:12} {'ANSWERS':>8} {'P50':>10} {'P99':>10}")
    rows = [("without MLOS", off)] + [(f"{place * seconds} to {(place + 1) * seconds} s", one) for place, one in enumerate(on)]
    for label, one in rows:
        say(f"  {label:12} {len(one.milliseconds):>8} {one.percentile(0.5):>7.1f} ms {one.percentile(0.99):>7.1f} ms")


def say_idle_head() -> None:
    say(f"  {'':21} {'RESIDENT BEFORE':>16} {'AFTER':>12} {'ASKED AGAIN':>12} {'FIRST ANSWER':>13} {'THEN':>9} {'FRESH START':>12}")


def say_idle(name: str, pid: int, before: int, after: int, again: int, milliseconds: list[float], fresh: float) -> None:
    later = sorted(milliseconds[1:])
    say(f"  {f'{name} {pid}':21} {mib(before):>16} {mib(after):>12} {mib(again):>12} {milliseconds[0]:>10.1f} ms "
        f"{later[len(later) // 2]:>6.1f} ms {fresh:>9.0f} ms")
