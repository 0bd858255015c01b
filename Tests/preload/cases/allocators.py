"""Other allocators, preloaded before and after the agent."""

import glob
import os

from harness import AGENT, Skip, case, check, compile_fixture, equal, run, start, temporary_directory
from supervisor import ACTIVE, GLIBC, JEMALLOC, LOADER_ONLY, MIMALLOC, OTHER, TCMALLOC, Supervisor

ALLOCATORS = (("libjemalloc.so.2", JEMALLOC), ("libtcmalloc_minimal.so.4", TCMALLOC), ("libmimalloc.so.2*", MIMALLOC))


def _installed():
    found = []
    for name, number in ALLOCATORS:
        paths = [path for directory in ("/usr/lib/*-linux-gnu", "/usr/lib64") for path in glob.glob(f"{directory}/{name}")]
        if paths:
            found.append((sorted(paths)[0], number))
    if not found:
        raise Skip("none of jemalloc, tcmalloc, mimalloc is installed")
    return found


def _ask(program, preload, directory, name, lines=2):
    """Runs the fixture: what it holds live at each line of input, and what the segment said then."""
    with Supervisor(os.path.join(directory, name)) as supervisor:
        process = start(program if isinstance(program, list) else [program], preload=preload, MLOS_SOCKET=os.path.join(directory, name))
        session = supervisor.accept_pid(process.pid)
        readings = []
        for _ in range(lines):
            process.stdin.write(b"\n")
            process.stdin.flush()
            held = tuple(map(int, process.stdout.readline().split()))
            readings.append((held, session.segment.live()))
        segment = session.segment
        state, reason, allocator = segment.state, segment.reason, segment.allocator
        _, errors = process.communicate()
        equal((process.returncode, errors), (0, b""), "the program")
        return state, reason, allocator, readings


@case
def behind_the_agent_c_programs_are_counted_exactly():
    program = compile_fixture("holds.c")
    for path, number in _installed():
        with temporary_directory() as directory:
            state, reason, allocator, ((first, live), (second, then)) = _ask(program, (AGENT, path), directory, "s")
            equal((state, reason, allocator), (ACTIVE, 0, number), path)
            equal((then[0] - live[0], then[1] - live[1]), (second[0] - first[0], second[1] - first[1]), f"{path}: growth")


@case
def behind_the_agent_cxx_programs_are_counted_exactly():
    """These allocators define operator new: C++ calls that, and not malloc."""
    program = compile_fixture("holds.cc", compiler="c++")
    for path, number in _installed():
        with temporary_directory() as directory:
            state, reason, allocator, ((first, live), (second, then)) = _ask(program, (AGENT, path), directory, "s")
            equal((state, reason, allocator), (ACTIVE, 0, number), path)
            equal((then[0] - live[0], then[1] - live[1]), (second[0] - first[0], second[1] - first[1]), f"{path}: growth")


def _holds_exactly(program, preload, number, text):
    with temporary_directory() as directory:
        state, reason, allocator, readings = _ask(program, preload, directory, "s", lines=3)
    equal((state, reason, allocator), (ACTIVE, 0, number), text)
    (_, base), (held, live), (_, after) = readings
    equal(held[0], 6400, f"{text}: the fixture")
    equal((live[0] - base[0], live[1] - base[1]), held, f"{text}: held")
    equal(after, base, f"{text}: given back")


@case
def every_operator_is_counted_once_in_threads():
    """Preloaded behind the agent, linked, and without any other allocator."""
    flags = ("-std=c++17", "-O1")
    program = compile_fixture("holds_operators.cc", *flags, compiler="c++", libraries=["-pthread"])
    _holds_exactly(program, (AGENT,), GLIBC, "glibc")
    for path, number in _installed():
        _holds_exactly(program, (AGENT, path), number, path)
        linked = compile_fixture("holds_operators.cc", *flags, compiler="c++", output=f"holds_operators-{number}",
                                 libraries=["-Wl,--no-as-needed", path, "-pthread"])
        _holds_exactly(linked, (AGENT,), number, f"{path}, linked")


@case
def operators_that_call_malloc_are_counted_once():
    """An allocator whose operator new calls its own malloc through the symbol, as jemalloc's does before 5.3."""
    source = compile_fixture("through_malloc.cc", "-shared", "-fPIC", "-O1", output="libthroughmalloc.so", compiler="c++",
                             libraries=["-ldl"])
    program = compile_fixture("holds_operators.cc", "-std=c++17", "-O1", compiler="c++", libraries=["-pthread"])
    _holds_exactly(program, (AGENT, source), OTHER, "through malloc")


@case
def operators_that_are_nobodys_malloc_are_not_counted():
    """A library behind the agent replaces them by memory of its own."""
    flags = ("-std=c++17", "-O1", "-Wl,-rpath,$ORIGIN")
    library = compile_fixture("arena_operators.cc", *flags, "-shared", "-fPIC", output="libarena.so", compiler="c++")
    program = compile_fixture("arena_operators.cc", *flags, "-DMLOS_WITH_MAIN", output="arena-user", compiler="c++",
                              libraries=["-Wl,--no-as-needed", library])
    with temporary_directory() as directory:
        state, reason, allocator, readings = _ask(program, (AGENT,), directory, "s", lines=3)
    equal((state, reason, allocator), (ACTIVE, 0, GLIBC), "state")
    equal([held[0] for held, _ in readings], [0, 500, 1000], "the fixture")
    equal(len({live for _, live in readings}), 1, "what is counted does not move")


@case
def numpy_is_counted_behind_the_agent():
    if run(["python3", "-c", "import numpy"])[0] != 0:
        raise Skip("numpy is not installed")
    text = ("import sys, numpy\nheld = []\n"
            "for line in sys.stdin:\n"
            "  held.append(numpy.ones(1 << 20))\n"
            "  print(len(held), 8 << 20, flush=True)\n")
    for path, number in _installed():
        with temporary_directory() as directory:
            state, reason, allocator, ((_, live), (_, then)) = _ask(["python3", "-c", text], (AGENT, path), directory, "s")
            equal((state, reason, allocator), (ACTIVE, 0, number), path)
            check(abs(then[1] - live[1] - (8 << 20)) < 1 << 20, f"{path}: {then[1] - live[1]}")


@case
def before_the_agent_it_says_that_it_sees_no_heap():
    for source, compiler in (("holds.c", "cc"), ("holds.cc", "c++")):
        program = compile_fixture(source, compiler=compiler)
        for path, number in _installed():
            with temporary_directory() as directory:
                state, reason, allocator, _ = _ask(program, (path, AGENT), directory, "s")
                equal((state, reason, allocator), (LOADER_ONLY, 1, number), f"{path}, {source}")


@case
def what_an_allocator_in_front_leaves_to_libc_comes_back_to_it():
    own = compile_fixture("own_malloc.c", "-fno-builtin")
    # Of glibc 2.36 free_sized is missing: then the agent's is found, and must lead to the program's free.
    equal(run([own]), (0, b"hello 1\n1\n", b""), "the fixture itself")
    for variables in ({}, {"MLOS_AGENT_DISABLE": "1"}):
        equal(run([own], preload=(AGENT,), **variables), (0, b"hello 1\n1\n", b""), f"malloc in the program, {variables}")
    grows = compile_fixture("grows.c", "-fno-builtin")
    for path, _ in _installed():
        for preload in ((path, AGENT), (AGENT, path)):
            equal(run([grows], preload=preload), (0, b"done\n", b""), f"{preload}")


@case
def with_glibc_cxx_programs_are_counted_exactly():
    program = compile_fixture("holds.cc", compiler="c++")
    with temporary_directory() as directory:
        state, reason, allocator, ((first, live), (second, then)) = _ask(program, (AGENT,), directory, "s")
        equal((state, reason, allocator), (ACTIVE, 0, 1), "glibc")
        equal((then[0] - live[0], then[1] - live[1]), (second[0] - first[0], second[1] - first[1]), "growth")


@case
def programs_of_others_run_with_both():
    for path, _ in _installed():
        for order in ((AGENT, path), (path, AGENT)):
            command = ["python3", "-c", "import ssl, sqlite3, json; print(len(json.dumps(list(range(50000)))))"]
            equal(run(command, preload=order)[:2], run(command, preload=(path,))[:2], f"{order}")


@case
def the_whole_family_is_counted():
    program = compile_fixture("family.c")
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        process = start([program], MLOS_SOCKET=directory + "/s")
        session = supervisor.accept_pid(process.pid)
        process.stdout.readline()
        before = session.segment.live()
        for line in range(64):
            process.stdin.write(b"\n")
            process.stdin.flush()
            text = process.stdout.readline().decode().split()
            if text[0] == "end":
                break
            name, blocks, usable = text[0], int(text[1]), int(text[2])
            # The program waits for the next line: nothing moves.
            now = session.segment.live()
            equal((now[0] - before[0], now[1] - before[1]), (blocks, usable), name)
        check(line >= 11, "lines")
        process.communicate()
        equal(process.returncode, 0, "status")
