"""What a supervisor may have a process give back, and what it refuses. Layout: CInterpose/abi/include/mlos_reclaim.h."""

import os
import re
import subprocess
import time

from allocators import _installed
from harness import AGENT, BUILD, HANG_SECONDS, Skip, case, check, compile_fixture, equal, finish, start, temporary_directory
from session import Talker, session_with, thread_runs
from supervisor import COLLECT, DROP, FAILED, GLIBC, MERGE, MIMALLOC, OK, PING, TRIM, Supervisor

TOO_SOON, NOT_PYTHON, NO_SAFE_POINT, NOT_CODE, KERNEL = 2, 3, 4, 6, 7
MIB = 1 << 20


def reason(result):
    """(reason, detail) of a refusal."""
    equal(result[1], FAILED, "a refusal")
    return result[3] & 0xFFFFFFFF, result[3] >> 32


def mappings(pid):
    """Rows of smaps: address range, permissions, file, figures in bytes."""
    rows = []
    for line in open(f"/proc/{pid}/smaps"):
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+ *(.*)", line)
        if head:
            start, end, permissions, file = head.groups()
            rows.append({"start": int(start, 16), "end": int(end, 16), "permissions": permissions, "file": file})
        else:
            name, value = line.split(":")
            if value.strip().endswith("kB"):
                rows[-1][name] = int(value.split()[0]) << 10
    return rows


def resident(pid, name=""):
    return sum(row["Rss"] for row in mappings(pid) if name in row["file"])


def fill_and_thin(talker):
    """64 MiB in small blocks, of which one in 64 stays."""
    talker.say("hold 65000 1000")
    talker.say("thin")


@case
def the_allocator_in_use_gives_back_what_it_holds_free():
    for path, number in [(None, GLIBC)] + _installed():
        with session_with(preload=(AGENT,) + ((path,) if path else ()), MALLOC_CONF="dirty_decay_ms:-1,muzzy_decay_ms:-1",
                          TCMALLOC_RELEASE_RATE="0") as (session, talker):
            thread_runs(session, talker)
            equal(session.segment.allocator, number, f"{path}: allocator")
            fill_and_thin(talker)
            before = resident(talker.pid)
            request, status, code, _ = session.command(TRIM)
            equal((status, code), (OK, TRIM), f"{path}: the answer")
            freed = before - resident(talker.pid)
            # mimalloc frees the caller's own pages only, and the control thread has none.
            least = 0 if number == MIMALLOC else 40 * MIB
            check(freed >= least or number == MIMALLOC, f"{path}: {freed >> 20} MiB of {before >> 20} came back")
            talker.say("release")


@case
def trimming_too_often_is_refused_with_the_time_to_wait():
    with session_with() as (session, talker):
        thread_runs(session, talker)
        equal(session.command(TRIM)[1], OK, "the first")
        why, wait = reason(session.command(TRIM))
        equal(why, TOO_SOON, "the second")
        check(0 < wait <= 2000, f"{wait} ms to wait")


@case
def trimming_works_without_a_control_thread():
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        with Talker(directory + "/s", MLOS_AGENT_THREAD="never") as talker:
            session = supervisor.accept_pid(talker.pid)
            fill_and_thin(talker)
            before = resident(talker.pid)
            session.send_command(TRIM)
            deadline = time.monotonic() + HANG_SECONDS
            while not session.has_result():
                check(time.monotonic() < deadline, "no answer at an allocation")
                talker.say("churn")
            equal(session.result()[1], OK, "the answer")
            check(before - resident(talker.pid) > 40 * MIB, "nothing came back")


PYTHON = """
import gc, sys, weakref
gc.set_threshold(0)
class Node: pass
def cycles(count):
    for _ in range(count):
        one, other = Node(), Node()
        one.other, other.one = other, one
cycles(1)
sample = Node(); sample.itself = sample; alive = weakref.ref(sample); del sample
print("ready", flush=True)
import zlib
data = bytes(10000)
for line in sys.stdin:
    word = line.strip()
    if word == "cycles": cycles(1000)
    if word == "disable": gc.disable()
    if word == "loop":
        while alive(): zlib.crc32(data)
    if word == "work":
        for _ in range(50): bytearray(100000)
    print(alive() is not None, flush=True)
"""


class Python(Talker):
    """An unmodified interpreter that makes garbage in circles and never collects it."""

    def __init__(self, path, **variables):
        self.process = start(["python3", "-X", "utf8", "-c", PYTHON], MLOS_SOCKET=path, **variables)
        equal(self.process.stdout.readline(), b"ready\n", "the program")


def until_it_waits(pid):
    """For a line of input: between its answer and that the main thread still runs some of the interpreter."""
    deadline = time.monotonic() + HANG_SECONDS
    while not open(f"/proc/{pid}/syscall").read().startswith("0 0x0 "):
        check(time.monotonic() < deadline, "the program does not come to read")


def python_thread(session, talker):
    deadline = time.monotonic() + HANG_SECONDS
    while not session.segment.control_thread:
        check(time.monotonic() < deadline, "no control thread")
        talker.say("work")


@case
def pythons_collector_runs_in_the_main_thread_at_a_safe_point():
    with session_with(Python) as (session, talker):
        python_thread(session, talker)
        talker.say("cycles")
        until_it_waits(talker.pid)
        session.send_command(COLLECT, 20_000)
        # It waits for a line: no safe point. The next one brings it there.
        ping = session.send_command(PING)
        equal(session.result()[0], ping, "what is answered while the main thread waits")
        talker.say("work")
        _, status, code, collected = session.result()
        equal((status, code), (OK, COLLECT), "the answer")
        check(collected >= 2000, f"{collected} objects")
        equal(talker.say("look"), "False", "the sample is gone")


@case
def the_collector_interrupts_a_computation():
    with session_with(Python) as (session, talker):
        python_thread(session, talker)
        talker.process.stdin.write(b"loop\n")
        talker.process.stdin.flush()
        equal(session.command(COLLECT, 20_000)[1], OK, "the answer")
        equal(talker.process.stdout.readline(), b"False\n", "the loop ends when the sample is gone")


@case
def a_main_thread_that_waits_is_no_safe_point_and_commands_go_on():
    with session_with(Python) as (session, talker):
        python_thread(session, talker)
        until_it_waits(talker.pid)
        first = session.send_command(COLLECT, 300)
        ping = session.send_command(PING)
        equal(session.result()[0], ping, "the next command is answered before it")
        answer = session.result()
        equal((answer[0], reason(answer)), (first, (NO_SAFE_POINT, 0)), "too late")
        talker.say("work")
        equal(talker.say("look"), "False", "the collection was made when the main thread came by")


@case
def a_collector_that_is_switched_off_stays_off():
    with session_with(Python) as (session, talker):
        python_thread(session, talker)
        talker.say("disable")
        session.send_command(COLLECT, 20_000)
        talker.say("work")
        equal(session.result()[1:], (OK, COLLECT, 0), "PyGC_Collect respects gc.disable()")
        equal(talker.say("look"), "True", "the sample lives")


@case
def a_program_without_python_has_no_collector():
    with session_with() as (session, talker):
        thread_runs(session, talker)
        equal(reason(session.command(COLLECT, 100)), (NOT_PYTHON, 0), "the answer")


def clean_segments(pid, name):
    return [row for row in mappings(pid)
            if row["file"].endswith(name) and "w" not in row["permissions"] and row["Private_Dirty"] == 0 and row["Rss"] > 0]


LIBRARY = "libcrypto.so.3"


@case
def clean_library_pages_go_and_come_back_by_themselves():
    with session_with() as (session, talker):
        thread_runs(session, talker, f"open {LIBRARY}")
        rows = clean_segments(talker.pid, LIBRARY)
        check(rows, "the library is not mapped")
        before = sum(row["Rss"] for row in rows)
        # The first segment last: its page of headers is read for each of the others.
        for row in sorted(rows, key=lambda row: -row["start"]):
            _, status, _, bytes_dropped = session.command(DROP, row["start"], row["end"])
            equal((status, bytes_dropped), (OK, row["end"] - row["start"]), row["file"])
        equal(clean_segments(talker.pid, LIBRARY), [], f"resident, of {before} bytes")
        equal(talker.say("close"), "0", "the library still works")


@case
def two_ranges_go_with_one_command():
    with session_with() as (session, talker):
        thread_runs(session, talker, f"open {LIBRARY}")
        rows = sorted(clean_segments(talker.pid, LIBRARY), key=lambda row: -row["start"])
        one, other = rows[0], rows[1]
        _, status, _, dropped = session.command(DROP, one["start"], one["end"], other["start"], other["end"])
        equal((status, dropped), (OK, one["end"] - one["start"] + other["end"] - other["start"]), "both")


@case
def nothing_but_clean_code_is_ever_dropped():
    with session_with() as (session, talker):
        thread_runs(session, talker, f"open {LIBRARY}")
        talker.say("hold 1000 1000")
        rows = mappings(talker.pid)
        heap = next(row for row in rows if row["file"] == "[heap]")
        stack = next(row for row in rows if row["file"] == "[stack]")
        data = next(row for row in rows if row["file"].endswith(LIBRARY) and "w" in row["permissions"])
        # Relocated read-only data looks like code in maps, and its pages have no other copy.
        relro = next(row for row in rows if row["file"].endswith(LIBRARY) and "w" not in row["permissions"] and row["Private_Dirty"])
        code = next(row for row in rows if row["file"].endswith(LIBRARY) and "x" in row["permissions"])
        wrong = [(row["start"], row["end"]) for row in (heap, stack, data, relro)] + [
            (code["start"], code["end"] + 64 * MIB), (code["end"], code["start"]), (code["start"] + 1, code["end"]), (0, 4096),
            (0, 0), (2**64 - 8192, 2**64 - 4096)]
        for first, end in wrong:
            equal(reason(session.command(DROP, first, end)), (NOT_CODE, 0), f"{first:x}-{end:x}")
        equal(talker.say("release"), "ok", "the program goes on")


@case
def code_with_relocations_in_it_stays():
    source, library = os.path.join(BUILD, "text_relocations.c"), os.path.join(BUILD, "text_relocations.so")
    with open(source, "w") as file:
        file.write("extern int puts(const char *); int said(void) { return puts(\"x\"); }\n")
    command = ["cc", "-shared", "-fno-pic", "-mcmodel=large", "-O1", "-Wl,-z,notext", source, "-o", library]
    if subprocess.run(command, capture_output=True).returncode != 0:
        raise Skip("this compiler makes no library with text relocations")
    dynamic = subprocess.run(["readelf", "-d", library], capture_output=True, text=True).stdout
    if "TEXTREL" not in dynamic:
        raise Skip("this linker makes no library with text relocations")
    with session_with() as (session, talker):
        thread_runs(session, talker, f"open {library}")
        code = next(row for row in mappings(talker.pid) if row["file"] == library and "x" in row["permissions"])
        equal(reason(session.command(DROP, code["start"], code["end"])), (NOT_CODE, 0), "its code")


@case
def private_memory_may_be_marked_for_merging_and_back():
    with session_with() as (session, talker):
        thread_runs(session, talker)
        talker.say("hold 1000 1000")
        heap = next(row for row in mappings(talker.pid) if row["file"] == "[heap]")
        answer = session.command(MERGE, heap["start"], heap["end"], 1)
        if answer[1] == FAILED and reason(answer)[1] == 22:
            raise Skip("this kernel merges no pages (CONFIG_KSM)")
        equal(answer[1], OK, "to be merged")
        flags = lambda: [line for line in open(f"/proc/{talker.pid}/smaps") if line.startswith("VmFlags") and " mg" in line]
        check(flags(), "the kernel knows of it")
        equal(session.command(MERGE, heap["start"], heap["end"], 0)[1], OK, "and back")
        check(not flags(), "the kernel has forgotten it")
        equal(reason(session.command(MERGE, heap["end"], heap["start"], 1)), (KERNEL, 22), "a range that is none")


@case
def a_forked_child_answers_for_itself():
    """The parent's waiting answers are not its own."""
    program = ("import os, sys, zlib\nprint('ready', flush=True)\n"
               "for line in sys.stdin:\n"
               "    if line.strip() == 'fork':\n"
               "        child = os.fork()\n"
               "        if child == 0:\n"
               "            [bytearray(100000) for _ in range(2000)]\n"
               "            os._exit(0)\n"
               "        print(os.waitpid(child, 0)[1], flush=True)\n"
               "    else:\n"
               "        [bytearray(100000) for _ in range(50)]\n"
               "        print('done', flush=True)\n")
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        process = start(["python3", "-c", program], MLOS_SOCKET=directory + "/s")
        equal(process.stdout.readline(), b"ready\n", "the program")
        session = supervisor.accept_pid(process.pid)

        def say(word):
            process.stdin.write(word + b"\n")
            process.stdin.flush()
            return process.stdout.readline()

        deadline = time.monotonic() + HANG_SECONDS
        while not session.segment.control_thread:
            check(time.monotonic() < deadline, "no control thread")
            say(b"work")
        session.send_command(COLLECT, 30_000)
        # Whether the collector runs before or after the fork is the interpreter's choice; the parent answers once.
        equal(say(b"fork"), b"0\n", "the child")
        say(b"work")
        equal(session.result()[1], OK, "the parent's answer")
        check(not session.has_result(), "one answer")
        process.stdin.close()
        equal(finish(process), 0, "status")
        process.stdout.close()
        process.stderr.close()


@case
def behind_a_filter_nothing_new_is_done():
    program = compile_fixture("allow_list.c", libraries=["-ldl", "-pthread"])
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        process = start([program, "prctl"], MLOS_SOCKET=directory + "/s", MLOS_AGENT_THREAD="never")
        session = supervisor.accept_pid(process.pid)
        session.send_command(TRIM)
        output, errors = process.communicate(b"\n", HANG_SECONDS)
        if process.returncode == 77:
            raise Skip("seccomp filters are not available here")
        equal((process.returncode, errors), (0, b""), "the program survives its filter")
