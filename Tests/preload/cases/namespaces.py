"""Libraries in link-map namespaces of their own (dlmopen, LD_AUDIT)."""

import os
import platform
import struct

from harness import Skip, case, check, compile_fixture, equal
from session import Talker, session_with, thread_runs
from supervisor import BASE_ONLY, LISTED, NOT_LISTED, REFRESH, Session


class Opener(Talker):
    FIXTURE = "namespaces.c"

    def opens(self, line: str) -> tuple[int, int]:
        """(index, namespace) of what was opened."""
        words = self.say(line).split()
        check(words[0] != "failed", f"{line}: {words}")
        return int(words[0]), int(words[1])


def _walkable() -> None:
    if tuple(map(int, platform.libc_ver()[1].split("."))) < (2, 35):
        raise Skip("this glibc tells nothing of other namespaces")


def _loaded(session: Session, name: str) -> list[dict]:
    session.command(REFRESH)
    return [row for row in session.segment.modules() if os.path.basename(row["path"]) == name and row["state"] == 1]


def _spaces(session: Session, name: str) -> list[int]:
    return sorted(row["space"] for row in _loaded(session, name))


def _plugin(name: str) -> str:
    return compile_fixture("plugin.c", "-shared", "-fPIC", output=name)


@case
def a_library_in_two_namespaces_is_two_modules() -> None:
    _walkable()
    path = compile_fixture("plugin.c", "-shared", "-fPIC", output="libmlosspace.so",
                           libraries=["-Wl,--no-as-needed", "-lc"])
    with session_with(Opener) as (session, opener):
        thread_runs(session, opener, "base libm.so.6")
        segment = session.segment
        equal(_loaded(session, "libmlosspace.so"), [], "before")
        equal(segment.name_spaces, BASE_ONLY, "before")
        first, second = opener.opens(f"new {path}"), opener.opens(f"new {path}")
        rows = _loaded(session, "libmlosspace.so")
        equal(sorted(row["space"] for row in rows), sorted([first[1], second[1]]), "namespaces, by dlinfo")
        check(0 not in (first[1], second[1]) and first[1] != second[1], "the fixture")
        equal(segment.name_spaces, LISTED, "the header")
        equal([row["opens"] for row in rows], [1, 1], "dlmopen calls")
        status, maps = os.stat(path), open(f"/proc/{opener.pid}/maps").read().splitlines()
        starts = sorted(int(line.split("-")[0], 16) for line in maps if line.endswith(path) and " 00000000 " in line)
        equal(sorted(row["start"] for row in rows), starts, "where they are mapped")
        for row in rows:
            facts = (row["inode"], row["device"], row["build_id"], row["flags"])
            equal(facts, (status.st_ino, status.st_dev, 20, 0), "facts")
            check(row["start"] < row["end"], "extent")
        # libc comes along, and is another one; ld.so is one for all.
        equal(_spaces(session, "libc.so.6"), sorted([0, first[1], second[1]]), "libc")
        equal([row["space"] for row in segment.modules() if "/ld-linux" in row["path"]], [0], "ld.so")
        opener.opens(f"base {path}")
        equal(_spaces(session, "libmlosspace.so"), sorted([0, first[1], second[1]]), "base too")
        equal(opener.say(f"close {first[0]}"), "0", "dlclose")
        equal(_spaces(session, "libmlosspace.so"), [0, second[1]], "after one dlclose")
        (gone,) = [row for row in segment.modules() if row["space"] == first[1] and row["path"] == path]
        equal((gone["state"], gone["closes"]), (2, 1), "the closed one")
        equal(opener.say(f"close {second[0]}"), "0", "dlclose")
        equal(_spaces(session, "libmlosspace.so"), [0], "after both")
        equal(segment.name_spaces, BASE_ONLY, "no other namespace holds anything")
        # A number is used again, and so are the entries.
        third = opener.opens(f"new {path}")
        equal(third[1], first[1], "the number is used again")
        again = [row for row in _loaded(session, "libmlosspace.so") if row["space"]]
        equal([(row["id"], row["space"], row["opens"]) for row in again], [(gone["id"], third[1], 2)], "loaded again")


@case
def what_is_opened_inside_a_namespace_is_seen() -> None:
    """Such a dlopen does not pass the agent: it is that namespace's own."""
    _walkable()
    inside = compile_fixture("opens_inside.c", "-shared", "-fPIC", output="libmlosinside.so")
    plugin = _plugin("libmlosinner.so")
    with session_with(Opener, MLOSTEST_PLUGIN=plugin) as (session, opener):
        thread_runs(session, opener, "base libm.so.6")
        _, space = opener.opens(f"new {inside}")
        for name in ("libmlosinside.so", "libmlosinner.so"):
            equal([row["space"] for row in _loaded(session, name)], [space], name)


@case
def an_audited_program_shows_its_auditor() -> None:
    _walkable()
    auditor = compile_fixture("audit.c", "-shared", "-fPIC", output="libmlosaudit.so")
    with session_with(Opener, LD_AUDIT=auditor) as (session, opener):
        opener.say("churn")
        rows = [row for row in session.segment.modules() if row["path"] == auditor]
        equal([(row["space"], row["flags"] & 1) for row in rows], [(1, 1)], "the auditor")
        equal(session.segment.name_spaces, LISTED, "the header")


@case
def many_namespaces_come_and_go() -> None:
    """glibc has 16, and their static TLS is scarce: as many as there are, again and again."""
    _walkable()
    path = _plugin("libmlosspace.so")
    with session_with(Opener) as (session, opener):
        thread_runs(session, opener, "base libm.so.6")
        for _ in range(20):
            held = [opener.opens(f"new {path}") for _ in range(6)]
            equal(_spaces(session, "libmlosspace.so"), sorted(space for _, space in held), "all")
            for index, _ in held[::2] + held[1::2]:
                equal(opener.say(f"close {index}"), "0", "dlclose")
            equal(_loaded(session, "libmlosspace.so"), [], "none")
        equal(len([row for row in session.segment.modules() if row["path"] == path]), 6, "entries are used again")


@case
def an_object_without_its_header_in_memory_is_listed_without_extent() -> None:
    """Its link map says where it is; nothing promises that an ELF header is there."""
    _walkable()
    script = compile_fixture("plugin.c", "-shared", "-fPIC", "-Wl,-Ttext-segment=0x200000", output="libmloshigh.so")
    with session_with(Opener) as (session, opener):
        thread_runs(session, opener, "base libm.so.6")
        _, space = opener.opens(f"new {script}")
        (row,) = _loaded(session, "libmloshigh.so")
        facts = (row["space"], row["start"], row["end"], row["build_id"], row["flags"])
        equal(facts, (space, 0, 0, 0, 64), "the entry")
        opener.opens(f"base {script}")
        based = [row for row in _loaded(session, "libmloshigh.so") if row["space"] == 0]
        check(based[0]["start"] == based[0]["load"] + 0x200000, "in the base namespace it has one")


def _without_debug_entry(path: str) -> str:
    """A copy of the program whose dynamic section has no DT_DEBUG, so that nothing leads to ld.so's lists."""
    with open(path, "rb") as file:
        image = bytearray(file.read())
    offset, size, count = struct.unpack_from("<Q", image, 32)[0], *struct.unpack_from("<HH", image, 54)
    headers = range(offset, offset + size * count, size)
    (dynamic,) = [place for place in headers if struct.unpack_from("<I", image, place)[0] == 2]
    start, length = struct.unpack_from("<Q", image, dynamic + 8)[0], struct.unpack_from("<Q", image, dynamic + 32)[0]
    (place,) = [at for at in range(start, start + length, 16) if struct.unpack_from("<Q", image, at)[0] == 21]
    struct.pack_into("<Q", image, place, 0x6000DEAD)
    copy = path + "-no-debug"
    with open(copy, "wb") as file:
        file.write(image)
    os.chmod(copy, 0o755)
    return copy


@case
def namespaces_that_cannot_be_walked_are_said_not_to_be_listed() -> None:
    """As with a glibc before 2.35; here because the program lacks the entry that leads to the lists."""
    program = _without_debug_entry(compile_fixture("namespaces.c", libraries=["-ldl"]))
    path = _plugin("libmlosspace.so")
    with session_with(Opener, program=program) as (session, opener):
        thread_runs(session, opener, "base libm.so.6")
        session.command(REFRESH)
        equal(session.segment.name_spaces, BASE_ONLY, "before")
        index, _ = opener.opens(f"new {path}")
        equal(_loaded(session, "libmlosspace.so"), [], "in the table")
        equal(session.segment.name_spaces, NOT_LISTED, "the header")
        equal(opener.say(f"close {index}"), "0", "dlclose")
        session.command(REFRESH)
        equal(session.segment.name_spaces, BASE_ONLY, "after")
