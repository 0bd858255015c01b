"""stress-ng, and the other allocators preloaded on either side of the agent."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import install
from compare import Outcomes
from running import Configuration, Place, Unit
from session import Suite
from suites_python import ALLOCATOR_HEAVY, has_module, regrtest

Say = Callable[[str], None]
Skip = Callable[[str, str], None]

# Operations asked of each stressor: some seconds each on two cores.
STRESSORS = """malloc 100_000, fork 6_000, vfork 20_000, clone 300, exec 400, pthread 20_000, dynlib 3_000, vm 8_000,
    mmap 3, mremap 8, zombie 10_000, daemon 4_000, stack 10, bigheap 20_000, brk 500_000, memfd 15, shm 100,
    env 500, sigsegv 100_000, switch 200_000, qsort 40, tree 1"""
# Debian packages and the libraries they bring.
ALLOCATORS = {
    "jemalloc": ("libjemalloc2", "libjemalloc.so.2"),
    "tcmalloc": ("libtcmalloc-minimal4", "libtcmalloc_minimal.so.4"),
    "mimalloc": ("libmimalloc2.0", "libmimalloc.so.2"),
}
AGENT_FIRST = Configuration("agent first, supervisor", agent=True, supervised=True)
AGENT_LAST = Configuration("agent last, supervisor", agent=True, supervised=True, agent_last=True)
AGENT_FIRST_ALONE = Configuration("agent first, alone", agent=True)
AGENT_LAST_ALONE = Configuration("agent last, alone", agent=True, agent_last=True)


def stressor(name: str, operations: int) -> Unit:
    # As root the exec stressor does nothing. As a user of a namespace it does, and reaches the same supervisor.
    other = "unshare --user --map-user=65534 --map-group=65534".split() if name == "exec" and os.geteuid() == 0 else []

    def command(place: Place) -> list[str]:
        return [
            *(*other, "stress-ng", f"--{name}", "1", f"--{name}-ops", str(operations), "--timeout", "240"),
            *("--verify", "--metrics", "--oomable", "--temp-path", str(place.work), "--yaml", str(place.report)),
        ]

    def read(place: Place, status: int, text: str) -> Outcomes:
        yaml = place.report.read_text() if place.report.exists() else ""
        found = re.search(r"^ *bogo-ops: (\d+)", yaml, re.MULTILINE)
        completed = int(found[1]) if found else 0
        if completed == 0 and "skipp" in text:
            return {name: "skipped"}
        # A stressor may go some operations past the limit before it looks; fewer mean that it gave up.
        done = "all" if completed >= operations else f"{completed} of"
        word = "passed" if status == 0 and done == "all" else "failed"
        return {name: f"{word} with {status}, {done} {operations} operations"}

    return Unit(name, command, read, limit_s=300.0)


def stress_ng(_: bool, say: Say, skip: Skip) -> Iterator[Suite]:
    reason = None if shutil.which("stress-ng") else install.debian(["stress-ng"], say)
    if reason:
        skip("stress-ng", reason)
        return
    version = subprocess.run(["stress-ng", "--version"], capture_output=True, text=True).stdout.split()[2]
    wanted = [entry.split() for entry in STRESSORS.split(",")]
    yield Suite("stress-ng", "stress-ng", version, [stressor(name, int(operations)) for name, operations in wanted])


def digests(_: Place, status: int, text: str) -> Outcomes:
    """Lines of the form `NAME digest DIGITS`: what a program computed."""
    found = re.findall(r"^(.+) digest ([0-9a-f]{64})$", text, re.MULTILINE)
    return {name: f"passed with digest {digest}" for name, digest in found}


def program(name: str, command: list[str], preload: tuple[str, ...] = (), **variables: str) -> Unit:
    return Unit(name, lambda _: command, digests, variables=variables, preload=preload)


def library(name: str) -> str | None:
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True).stdout
    found = re.search(rf"^\s*{re.escape(name)} .*=> (.+)$", listed, re.MULTILINE)
    return found[1] if found else None


def compiled(source: Path) -> str | None:
    """The C++ program, made anew when its source changed; None without a compiler."""
    compiler = shutil.which("g++") or shutil.which("c++")
    built = install.ROOT / "build/conformance" / source.stem
    if not compiler:
        return None
    if not built.exists() or built.stat().st_mtime < source.stat().st_mtime:
        built.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([compiler, "-std=c++17", "-O1", "-pthread", "-o", str(built), str(source)], check=True)
    return str(built)


def allocator_units(
    preload: tuple[str, ...], compiled_program: str | None, with_numpy: bool, is_full: bool
) -> list[Unit]:
    units = []
    if compiled_program:
        # Failures by themselves: mimalloc, compiled as C, ends the program where operator new should throw.
        for title, words in (("C++ program", "operators containers functions threads"), ("C++ failures", "failures")):
            units.append(program(title, [compiled_program, *words.split()], preload))
    if with_numpy:
        arrays = [str(install.VENV / "bin/python"), str(install.HERE / "programs/arrays.py")]
        if is_full:
            units.append(program("python with numpy", arrays, preload))
        units.append(program("python with numpy, PYTHONMALLOC=malloc", arrays, preload, PYTHONMALLOC="malloc"))
    if is_full:
        base = install.base_python()
        for module in ALLOCATOR_HEAVY:
            if has_module(base, module):
                units.append(regrtest(base, module, variables={"PYTHONMALLOC": "malloc"}, preload=preload))
    return units


def allocators(is_full: bool, say: Say, skip: Skip) -> Iterator[Suite]:
    binary = compiled(install.HERE / "programs/operators.cpp")
    if not binary:
        skip("allocators: the C++ program", "no g++ in PATH")
    no_numpy = install.python_packages(["numpy"], say)
    if no_numpy:
        skip("allocators: python with numpy", no_numpy)
    configurations = [AGENT_FIRST, AGENT_LAST, *([AGENT_FIRST_ALONE, AGENT_LAST_ALONE] if is_full else [])]
    for name, (package, file) in ALLOCATORS.items():
        reason = None if library(file) else install.debian([package], say)
        path = library(file)
        if reason or not path:
            skip(f"allocators: {name}", reason or f"{file} is not where ldconfig finds it")
            continue
        units = allocator_units((path,), binary, not no_numpy, is_full)
        if units:
            yield Suite("allocators", name, debian_version(package), units, configurations)


def debian_version(package: str) -> str:
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
    return done.stdout.strip()
