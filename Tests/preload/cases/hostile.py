"""What went wrong, or would: one case a fault that was found in the agent by reading it."""

import os
import shutil
import socket
import struct

from harness import AGENT, BUILD, Failure, Skip, case, check, compile_fixture, equal, run, start, temporary_directory
from session import Talker, session_with, thread_runs
from supervisor import EXEC, KEPT, REFRESH, Supervisor


def _plugin(name: str, *flags: str) -> str:
    return compile_fixture("plugin.c", "-shared", "-fPIC", *flags, output=name)


@case
def a_child_forked_while_the_table_is_read_can_load() -> None:
    """glibc's fork does not give the child a fresh dl_load_write_lock; the agent's own walks must not be under way."""
    program = compile_fixture("fork_and_load.c", libraries=["-ldl"])
    plugin = _plugin("libmlosplain.so")
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        # Long names that differ at their ends only: the agent has much to compare while it holds the loader's lock.
        long = directory + ("/" + "n" * 250) * 14
        os.makedirs(long)
        names = [f"{long}/libcrowd{i:03}.so" for i in range(220)]
        for name in names:
            shutil.copy(plugin, name)
        last = [f"-lcrowd{i:03}" for i in range(200, 220)]
        many = compile_fixture("plugin.c", "-shared", "-fPIC", "-Wl,-rpath," + long, output="libmlosmany.so",
                               libraries=["-Wl,--no-as-needed", "-L" + long, *last])
        process = start([program, many, "30", *names], MLOS_SOCKET=directory + "/s")
        session = supervisor.accept_pid(process.pid)
        for line in process.stdout:
            if line == b"opened\n":
                session.send_command(REFRESH)
        equal((line, process.wait()), (b"480 children\n", 0), "children that could load")
        check(session.segment.wakeups > 10, "the control thread looked meanwhile")
        process.communicate()


@case
def no_child_counts_in_its_parents_segment() -> None:
    program = compile_fixture("clone_counts.c")
    ways = ["clone", "clone3", "filter-clone"] + (["pid-namespace"] if os.getuid() == 0 else [])
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        for way in ways:
            process = start([program, way], MLOS_SOCKET=directory + "/s")
            session = supervisor.accept_pid(1 if way == "pid-namespace" else process.pid)
            equal(process.stdout.readline(), b"before\n", way)
            before = session.segment.live()
            process.stdin.write(b"\n")
            process.stdin.flush()
            equal(process.stdout.readline(), b"after\n", way)
            equal(session.segment.live(), before, f"{way}: the parent's live heap")
            _, errors = process.communicate(b"\n")
            equal((process.returncode, errors), (0, b""), way)


@case
def what_was_unloaded_is_never_said_to_be_kept() -> None:
    program = compile_fixture("closers.c", libraries=["-ldl", "-pthread"])
    libraries = [_plugin(f"libmloscloser{i}.so") for i in range(4)]
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        got = run([program, "3000", *libraries], preload=(AGENT,), MLOS_SOCKET=directory + "/s", MLOS_MODULE_CACHE="0")
        equal(got, (0, b"done\n", b""), "output")
        segment = supervisor.accept().segment
        equal(segment.events(KEPT), [], "KEPT events")


def _note_headers(image: bytearray) -> list[int]:
    offset, size, count = struct.unpack_from("<Q", image, 32)[0], *struct.unpack_from("<HH", image, 54)
    places = [offset + size * i for i in range(count)]
    return [place for place in places if struct.unpack_from("<I", image, place)[0] == 4]


@case
def a_note_that_is_not_mapped_is_not_read() -> None:
    """A PT_NOTE that points nowhere, as tools that rewrite libraries leave them; ld.so does not look at it."""
    path = _plugin("libmlosnote.so", "-Wl,-z,ibt=off")
    with open(path, "rb") as file:
        image = bytearray(file.read())
    notes = _note_headers(image)
    check(notes, "the fixture has no note")
    for place in notes:
        struct.pack_into("<Q", image, place + 16, 0x40000000)  # p_vaddr
        struct.pack_into("<Q", image, place + 48, 4)  # p_align: ld.so reads notes of 8 for their properties
    broken = os.path.join(BUILD, "libmlosnowhere.so")
    with open(broken, "wb") as file:
        file.write(image)
    with Talker("/nonexistent") as talker:
        equal(talker.say(f"open {broken}"), "ok", "open")
        equal(talker.say("close"), "0", "close")


@case
def a_replaced_file_does_not_keep_the_old_ones_build_id() -> None:
    with temporary_directory() as directory, session_with() as (session, talker):
        thread_runs(session, talker)
        path = os.path.join(directory, "libreplaced.so")
        for name, style, expected in (("libmlosid.so", "sha1", 20), ("libmlosnoid.so", "none", 0)):
            shutil.copy(_plugin(name, "-Wl,--build-id=" + style), path)
            equal(talker.say(f"open {path}"), "ok", "open")
            session.command(REFRESH)
            row = session.segment.module("libreplaced.so")
            equal((row["state"], row["build_id"], row["inode"]), (1, expected, os.stat(path).st_ino), name)
            equal(talker.say("close"), "0", "close")
            os.unlink(path)


@case
def a_full_table_starts_over() -> None:
    program = compile_fixture("fills_table.c", libraries=["-ldl"])
    plugin = _plugin("libmlosplain.so")
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        long = directory + ("/" + "n" * 250) * 14
        os.makedirs(long)
        for i in range(400):
            os.symlink(plugin, f"{long}/{i}.so")
        for way in ("plain", "filter"):
            process = start([program, long, way], MLOS_SOCKET=directory + "/s", MLOS_AGENT_THREAD="never")
            session = supervisor.accept_pid(process.pid)
            line = process.stdout.readline()
            if not line and process.wait() == 77:
                raise Skip("seccomp filters are not available here")
            equal(line, b"done\n", f"{way}: {process.poll()}")
            segment = session.segment
            check(segment.modules_epoch > 0 and segment.modules_dropped < 3, f"{way}: epoch {segment.modules_epoch}")
            loaded = [row for row in segment.modules() if row["state"] == 1]
            equal([row["path"] for row in loaded if row["flags"] & 2], [program], f"{way}: the program")
            check(any(row["path"].endswith("libc.so.6") for row in loaded), f"{way}: libc")
            identifiers = [row["id"] for row in segment.modules()]
            equal(len(set(identifiers)), len(identifiers), f"{way}: ids")
            process.communicate(b"\n")
            equal(process.returncode, 0, way)


@case
def failed_dlopens_do_not_end_the_counting_of_others() -> None:
    plugin = _plugin("libmlosplain.so")
    with session_with() as (session, talker):
        thread_runs(session, talker)
        session.command(REFRESH)
        for i in range(200):
            check("cannot open" in talker.say(f"open libmlosabsent{i}.so"), "the fixture")
        session.command(REFRESH)
        talker.say(f"open {plugin}")
        session.command(REFRESH)
        equal(session.segment.module("libmlosplain.so")["opens"], 1, "dlopen calls counted")


@case
def the_control_thread_is_ended_by_many_at_once() -> None:
    program = compile_fixture("becomes_one_thread.c", libraries=["-ldl", "-pthread"])
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        equal(run([program], preload=(AGENT,), MLOS_SOCKET=directory + "/s"), (0, b"done\n", b""), "output")
        check(supervisor.accept().segment.wakeups > 0, "there was a control thread")


@case
def an_exec_of_a_vfork_child_is_not_the_parents() -> None:
    program = compile_fixture("exec_preload.c")
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        for way, own in (("execve", True), ("spawn", False), ("vfork", False)):
            process = start([program, way, "-"], MLOS_SOCKET=directory + "/s")
            session = supervisor.accept_pid(process.pid)
            process.communicate()
            (event,) = session.segment.events(EXEC)
            equal(event[3], "/bin/sh", way)
            equal(event[2] == 0, own, f"{way}: argument {event[2]}")
            check(event[2] != process.pid, f"{way}: the parent's pid")


@case
def work_in_a_small_stack_fits() -> None:
    program = compile_fixture("small_stack.c", libraries=["-ldl"])
    command = [program, "4096", _plugin("libmlosplain.so")]
    equal(run(command, stdin=b"\n"), (0, b"done\n", b""), "the fixture itself")
    for thread in (None, "never"):
        with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
            process = start(command, MLOS_SOCKET=directory + "/s", MLOS_AGENT_THREAD=thread)
            session = supervisor.accept_pid(process.pid)
            # Answered on the small stack, at least at first; once it was opened it must come soon.
            for _ in range(60):
                session.command(REFRESH)
                if session.segment.module("libmlosplain.so"):
                    break
            else:
                raise Failure("the table was not read")
            output, errors = process.communicate(b"\n")
            equal((process.returncode, output, errors), (0, b"done\n", b""), f"thread {thread}")


@case
def a_program_without_program_headers_to_find_is_lived_with() -> None:
    program = compile_fixture("no_interpreter.c", "-shared", "-fPIC", "-Wl,-e,start", output="no-interpreter.so")
    loader = "/lib64/ld-linux-x86-64.so.2" if os.uname().machine == "x86_64" else "/lib/ld-linux-aarch64.so.1"
    for command in ([loader, program], [loader, "/bin/echo", "started"]):
        without = run(command)
        equal(without[:2], (0, b"started\n"), "the fixture itself")
        equal(run(command, preload=(AGENT,)), without, " ".join(command))


@case
def a_child_made_by_a_constructor_has_its_own_segment() -> None:
    early = compile_fixture("forks_early.c", "-shared", "-fPIC", output="libforksearly.so")
    program = compile_fixture("mallinfo.c")
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        process = start([program], preload=(AGENT, early), MLOS_SOCKET=directory + "/s")
        sessions = [supervisor.accept().welcome(), supervisor.accept().welcome()]
        equal(len({session.inode for session in sessions}), 2, "segments")
        for session in sessions:
            credentials = session.connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            equal(session.segment.pid, struct.unpack("3i", credentials)[0], "the process in its segment")
        equal([session.segment.parent_pid for session in sorted(sessions, key=lambda each: each.segment.parent_pid)],
              [0, process.pid], "parents")
        process.communicate(b"\n" * 10)
        equal(process.returncode, 0, "status")
