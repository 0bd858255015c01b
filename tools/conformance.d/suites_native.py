"""stress-ng, and the other allocators preloaded on either side of the agent."""

from __future__ import annotations

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
STRESSORS = {
    "malloc": 400_000, "fork": 4_000, "vfork": 8_000, "clone": 2_000, "exec": 400, "pthread": 8_000, "dynlib": 2_000, "vm": 4_000,
    "mmap": 200, "mremap": 4_000, "zombie": 10_000, "daemon": 1_000, "stack": 200, "bigheap": 20_000, "brk": 200_000,
    "memfd": 20, "shm": 100, "env": 200, "sigsegv": 4_000, "switch": 100_000, "qsort": 20, "tree": 4}
# Debian packages and the libraries they bring.
ALLOCATORS = {
    "jemalloc": ("libjemalloc2", "libjemalloc.so.2"),
    "tcmalloc": ("libtcmalloc-minimal4", "libtcmalloc_minimal.so.4"),
    "mimalloc": ("libmimalloc2.0", "libmimalloc.so.2")}
AGENT_FIRST = Configuration("agent first, supervisor", agent=True, supervised=True)
AGENT_LAST = Configuration("agent last, supervisor", agent=True, supervised=True, agent_last=True)
AGENT_FIRST_ALONE = Configuration("agent first, alone", agent=True)
AGENT_LAST_ALONE = Configuration("agent last, alone", agent=True, agent_last=True)


def stressor(name: str, operations: int) -> Unit:
    def command(place: Place) -> list[str]:
        return ["stress-ng", f"--{name}", "1", f"--{name}-ops", str(operations), "--verify", "--metrics", "--oomable",
                "--temp-path", str(place.work), "--yaml", str(place.report), "--timeout", "240"]

    def read(place: Place, status: int, text: str) -> Outcomes:
        found = re.search(r"^ *bogo-ops: (\d+)", place.report.read_text(), re.MULTILINE) if place.report.exists() else None
        completed = int(found[1]) if found else 0
        # A stressor may go some operations past the limit before it looks; fewer mean it gave up.
        reached = f"all {operations} operations" if completed >= operations else f"{completed} of {operations} operations"
        if "skipp" in text and completed == 0:
            return {name: "skipped"}
        return {name: f"{'passed' if status == 0 and completed >= operations else 'failed'} with {status}, {reached}"}
    return Unit(name, command, read, limit_s=300.0)


def stress_ng(_: bool, say: Say, skip: Skip) -> Iterator[Suite]:
    reason = None if shutil.which("stress-ng") else install.debian(["stress-ng"], say)
    if reason:
        skip("stress-ng", reason)
        return
    version = subprocess.run(["stress-ng", "--version"], capture_output=True, text=True).stdout.split()
    yield Suite("stress-ng", "stress-ng", version[2] if len(version) > 2 else "", [stressor(*pair) for pair in STRESSORS.items()])


def digests(_: Place, status: int, text: str) -> Outcomes:
    """Lines of the form `NAME digest DIGITS`: what a program computed."""
    found = re.findall(r"^(.+) digest ([0-9a-f]{64})$", text, re.MULTILINE)
    return {name: f"passed with digest {digest}" for name, digest in found}


def program(name: str, command: Callable[[Place], list[str]], preload: tuple[str, ...] = (), **variables: str) -> Unit:
    return Unit(name, command, digests, variables=variables, preload=preload)


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


def allocators(is_full: bool, say: Say, skip: Skip) -> Iterator[Suite]:
    wide = compiled(install.HERE / "programs/operators.cpp")
    if not wide:
        skip("allocators: the C++ program", "no g++ in PATH")
    no_numpy = install.python_packages(["numpy"], say)
    if no_numpy:
        skip("allocators: python with numpy", no_numpy)
    arrays = str(install.HERE / "programs/arrays.py")
    base = install.base_python()
    for name, (package, file) in ALLOCATORS.items():
        reason = None if library(file) else install.debian([package], say)
        path = library(file)
        if reason or not path:
            skip(f"allocators: {name}", reason or f"{file} is not where ldconfig finds it")
            continue
        preload = (path,)
        units = []
        if wide:
            # By itself: mimalloc, compiled as C, ends the program where operator new should throw.
            for part, words in (("C++ program", ["operators", "containers", "functions", "threads"]), ("C++ failures", ["failures"])):
                units.append(program(part, lambda _, command=[wide, *words]: command, preload))  # type: ignore[misc]
        if not no_numpy:
            units.append(program("python with numpy", lambda _: [str(install.VENV / "bin/python"), arrays], preload))
            units.append(program("python with numpy, PYTHONMALLOC=malloc", lambda _: [str(install.VENV / "bin/python"), arrays],
                                 preload, PYTHONMALLOC="malloc"))
        if is_full:
            for module in ALLOCATOR_HEAVY:
                if has_module(base, module):
                    units.append(regrtest(base, module, [], variables={"PYTHONMALLOC": "malloc"}, preload=preload))
        version = debian_version(package)
        configurations = [AGENT_FIRST, AGENT_LAST] + ([AGENT_FIRST_ALONE, AGENT_LAST_ALONE] if is_full else [])
        yield Suite("allocators", name, version, units, configurations)


def debian_version(package: str) -> str:
    done = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True)
    return done.stdout.strip()


