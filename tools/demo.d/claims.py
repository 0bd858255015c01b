"""What the demo claims about `mlos packages --json`, checked against the kernel's own figures."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LEAST_NAMED = 0.95  # of a process's file-backed resident bytes
MOST_APART = 0.01  # between a sum over packages and smaps
MOST_APART_FREED = 4 << 20
MOST_APART_PREDICTED = 0.05  # between what a plan says comes back and smaps, some moments later
NAMED_KINDS = ("python", "system", "program")  # `file` and `runtime` name no package a user could know


@dataclass
class Smaps:
    """Sums over /proc/PID/smaps, in bytes."""

    resident: int = 0
    anonymous: int = 0
    file_backed: int = 0

    @staticmethod
    def read(pid: int) -> Smaps:
        sums = Smaps()
        has_file = False
        resident = 0
        for line in Path(f"/proc/{pid}/smaps").read_text(errors="replace").splitlines():
            if header := re.match(r"[0-9a-f]+-[0-9a-f]+ \S+ \S+ \S+ (\d+)", line):
                has_file = header[1] != "0"
                continue
            key, _, value = line.partition(":")
            if key == "Rss":
                resident = int(value.split()[0]) << 10
                sums.resident += resident
            elif key == "Anonymous":
                anonymous = int(value.split()[0]) << 10
                sums.anonymous += anonymous
                if has_file:
                    sums.file_backed += resident - anonymous
        return sums


@dataclass
class Claim:
    words: str
    holds: bool


def apart(left: int, right: int) -> float:
    return abs(left - right) / max(left, right, 1)


def check(packages: dict[str, Any], pid: int, kernel: Smaps) -> list[Claim]:
    """The claims about one process. `kernel` is a reading from the same moment, as the process is idle."""
    coverage = next((one for one in packages["processes"] if one["pid"] == pid), None)
    if coverage is None:
        return [Claim(f"{pid} is listed by mlos packages", False)]
    holders = [(row["kind"], holder["memory"]) for row in packages["packages"] for holder in row["holders"] if holder["pid"] == pid]
    file_backed = sum(memory["resident_bytes"] - memory["anonymous_bytes"] for _, memory in holders)
    named = sum(memory["resident_bytes"] - memory["anonymous_bytes"] for kind, memory in holders if kind in NAMED_KINDS)
    share = named / max(kernel.file_backed, 1)
    everything = sum(memory["resident_bytes"] for _, memory in holders) + coverage["anonymous_resident_bytes"]

    def agrees(what: str, ours: int, kernels: int) -> Claim:
        return Claim(f"{what} {mib(ours)}, smaps {mib(kernels)} ({apart(ours, kernels):.2%} apart)",
                     apart(ours, kernels) <= MOST_APART)

    return [
        Claim(f"{share:.1%} of its file-backed resident bytes belong to named packages", share >= LEAST_NAMED),
        agrees("file-backed bytes of its packages", file_backed, kernel.file_backed),
        agrees("packages and anonymous memory", everything, kernel.resident),
        agrees("resident bytes", coverage["memory"]["resident_bytes"], kernel.resident),
    ]


def check_heap(row: dict[str, Any], walk: dict[str, int]) -> Claim:
    """The live heap as the agent counted it against the allocator's own walk.

    The walk counts chunks, the agent what programs can use of them: glibc's header is 8 bytes a chunk, 16 for one mapped alone.
    What remains apart lies in the threads' caches of freed chunks, which the walk takes for used.
    """
    live, blocks = row["live_heap_bytes"], row["allocations"] - row["frees"]
    expected = live + 8 * blocks + 8 * walk["mapped_blocks"]
    return Claim(f"live heap {mib(live)} in {blocks} blocks, with headers {mib(expected)}, the allocator's own walk "
                 f"{mib(walk['in_use_bytes'])} ({apart(expected, walk['in_use_bytes']):.2%} apart)",
                 apart(expected, walk["in_use_bytes"]) <= MOST_APART)


def clean(pid: int, paths: set[str]) -> tuple[int, int]:
    """Of segments of these files that are not written to, by /proc/PID/smaps: bytes of clean pages that no other process maps, and the
    process's share of all pages, which come back when all that map them let go."""
    alone = together = 0
    for block in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", Path(f"/proc/{pid}/smaps").read_text(errors="replace"), flags=re.M):
        header = re.match(r"[0-9a-f]+-[0-9a-f]+ (\S+) \S+ \S+ \d+ *(.*)", block)
        if not header or header[2] not in paths or "w" in header[1]:
            continue
        size = {name: int(kilobytes) << 10 for name, kilobytes in re.findall(r"^(\w+): +(\d+) kB", block, flags=re.M)}
        if not (size["Private_Dirty"] or size["Anonymous"] or size["Swap"]):
            alone, together = alone + size["Private_Clean"], together + size["Pss"]
    return alone, together


def check_plan(plan: dict[str, Any], why: dict[str, Any], chosen: dict[str, Any], kernels: tuple[int, int]) -> list[Claim]:
    """The claims about `mlos plan` and `mlos why` of the unit that was chosen; `kernels` is what smaps says of it."""
    units, ours = plan["units"], chosen["bytes"]
    # By itself, or together with the other processes that hold it.
    said, theirs = min(zip(("of clean pages of its own", "as its share of clean pages"), kernels), key=lambda pair: apart(ours, pair[1]))
    unexplained = [unit["name"] for unit in units if not unit["reason"] or not unit["explanation"]]
    told = [unit for unit in why["units"] if unit["pid"] == chosen["pid"]]
    going = sum(unit["verdict"] == "unload" for unit in units)
    return [
        Claim(f"each of {len(units)} units has its reason, {going} to go and {len(units) - going} to stay", not unexplained),
        Claim(f"{chosen['name']} would bring back {mib(ours)}, smaps {mib(theirs)} {said} "
              f"({apart(ours, theirs):.2%} apart)", apart(ours, theirs) <= MOST_APART_PREDICTED),
        Claim(f"mlos why says of {chosen['name']} what mlos plan says: {chosen['verdict']}",
              [unit["verdict"] for unit in told] == [chosen["verdict"]]),
    ]


def check_given_back(
    name: str, before: int, after: int, answer: dict[str, Any] | None, first_ms: float, restart_s: float, same: bool
) -> list[Claim]:
    """The claims about one server that was given back; `answer` is what mlos unload said of it, None where it was only shown."""
    share = 1 - after / before
    found = [
        Claim(f"{name}: {share:.0%} of its resident memory came back (at least 5 %)", share >= 0.05),
        Claim(f"{name}: its first answer after it took {first_ms:.0f} ms, a restart {restart_s * 1e3:.0f} ms", first_ms < restart_s * 1e3),
        Claim(f"{name}: answers what it did before", same),
    ]
    if answer:
        told, seen = answer["processes"][0]["freed_bytes"] or 0, before - after
        # It is idle, but its interpreter runs now and then.
        found.append(Claim(f"{name}: mlos says {mib(told)}, the kernel {mib(seen)}", abs(told - seen) <= MOST_APART_FREED))
    return found


def mib(count: int | None) -> str:
    return "not known" if count is None else f"{count / 2**20:.1f} MiB"
