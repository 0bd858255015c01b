"""Rules of the agent that no other case would show broken; tools/mutations breaks each to see."""

import os
import shutil
import socket
import struct
import subprocess
import time

from harness import AGENT, Skip, case, check, compile_fixture, equal, start, temporary_directory
from session import Talker, session_with, thread_runs, until
from supervisor import OK, PING, REFRESH, Supervisor


@case
def what_passes_no_hook_is_seen() -> None:
    """iconv and NSS load by functions of glibc's own."""
    with session_with() as (session, talker):
        thread_runs(session, talker)
        session.command(REFRESH)
        if talker.say("iconv") != "ok":
            raise Skip("this glibc has no converters")
        session.command(REFRESH)
        found = [row["path"] for row in session.segment.modules() if "/gconv/" in row["path"]]
        check(found, "no converter in the table")
        equal(session.segment.dlopen_calls, 1, "hooked calls")


@case
def answering_allocates_nothing() -> None:
    """Every allocation of the process is counted, the control thread's too."""
    with session_with() as (session, talker):
        thread_runs(session, talker)
        session.command(PING)
        before = session.segment.sums()
        for code in (PING, REFRESH, 4711) * 20:
            session.command(code)
        equal(session.segment.sums(), before, "allocations")


@case
def the_library_defines_and_needs_nothing_it_must_not() -> None:
    """dlsym, dlvsym and mmap are never hooked; nothing of it is called back by a thread's end."""
    text = subprocess.run(["nm", "-D", AGENT], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in text.splitlines()]
    defined = {row[-1].split("@")[0] for row in rows if len(row) == 3}
    needed = {row[-1].split("@")[0] for row in rows if len(row) == 2}
    equal(defined & {"dlsym", "dlvsym", "mmap", "mmap64", "munmap", "dladdr", "dlinfo"}, set(), "hooked")
    forbidden = ("pthread_key_create __cxa_thread_atexit_impl __cxa_thread_atexit setenv putenv abort exit "
                 "printf puts write mallinfo2 malloc_trim")
    equal(needed & set(forbidden.split()), set(), "needed")


@case
def a_process_that_loads_nothing_gets_no_thread() -> None:
    with session_with() as (session, talker):
        # A tick without a thread answers once a second: two answers are at least two ticks long past the age of 200 ms.
        for _ in range(2):
            request = session.send_command(PING)
            until(session.has_result, talker, "no answer")
            equal(session.result()[:2], (request, OK), "PING")
        equal((session.segment.control_thread, len(os.listdir(f"/proc/{talker.pid}/task"))), (0, 1), "threads")


@case
def a_young_process_gets_no_thread() -> None:
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        for _ in range(50):
            with Talker(directory + "/s") as talker:
                session = supervisor.accept_pid(talker.pid)
                talker.say("open libm.so.6")
                talker.say("churn")
                threads = session.segment.control_thread
                age = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - session.segment.start_ns
            if age < 190_000_000:
                equal(threads, 0, f"control thread of a process of {age / 1e6:.0f} ms")
                return
        raise Skip("this machine is too slow to catch a process so young")


def _address_space(pid: int) -> int:
    with open(f"/proc/{pid}/status") as file:
        return int([line for line in file if line.startswith("VmSize")][0].split()[1])


@case
def the_control_thread_has_a_small_stack_of_its_own() -> None:
    with session_with() as (session, talker):
        talker.say("churn")
        before = _address_space(talker.pid)
        thread_runs(session, talker)
        grown = _address_space(talker.pid) - before
        # libm and its pages; pthread_create's own stack would be 8 MiB.
        check(grown < 4096, f"{grown} KiB of address space")


@case
def an_answer_to_a_supervisor_that_has_gone_kills_nobody() -> None:
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        for thread in ("never", None):
            with Talker(directory + "/s", MLOS_AGENT_THREAD=thread) as talker:
                session = supervisor.accept_pid(talker.pid)
                for _ in range(20):
                    session.send_command(PING)
                session.close()
                # The agent comes back: it has read the end of the connection, after the commands.
                request = None
                deadline = time.clock_gettime_ns(time.CLOCK_MONOTONIC) + 60_000_000_000
                while request is None:
                    check(time.clock_gettime_ns(time.CLOCK_MONOTONIC) < deadline, "the agent does not come back")
                    talker.say("churn")
                    if supervisor.is_pending():
                        request = supervisor.accept_pid(talker.pid)
                request.close()


@case
def a_vfork_child_does_no_housekeeping() -> None:
    program = compile_fixture("vfork_works.c")
    with temporary_directory() as directory:
        process = start([program], MLOS_SOCKET=directory + "/s")
        process.stdout.readline()
        with Supervisor(directory + "/s") as supervisor:
            # The child allocates, an attempt to connect is due, and there is somebody to connect to.
            equal(process.stdout.readline(), b"child\n", "the child")
            session = supervisor.accept()
            credentials = session.connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
            equal(struct.unpack("3i", credentials)[0], process.pid, "who connected")
            process.communicate(b"\n")
            equal(process.returncode, 0, "status")


@case
def in_secure_execution_it_does_nothing() -> None:
    """A set-user-id program under a preload that ld.so trusts, in a mount namespace of its own."""
    trusted = f"/lib/{os.uname().machine}-linux-gnu/libmemusage.so"
    if os.getuid() != 0 or not os.path.exists(trusted) or not shutil.which("setpriv"):
        raise Skip("needs root, setpriv and a file to stand in for")
    program = compile_fixture("talker.c", libraries=["-ldl", "-pthread"])
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        os.chmod(directory, 0o777)
        os.chmod(directory + "/s", 0o777)
        for name, source, mode in (("agent", AGENT, 0o4755), ("program", program, 0o4755), ("plain", program, 0o755)):
            shutil.copy(source, f"{directory}/{name}")
            os.chmod(f"{directory}/{name}", mode)
        script = (f"mount --bind {directory}/agent {trusted} && exec "
                  f"setpriv --reuid=65534 --regid=65534 --clear-groups env LD_PRELOAD={os.path.basename(trusted)} ")
        for name, expected in (("plain", True), ("program", False)):
            command = ["unshare", "-m", "sh", "-c", f"{script} {directory}/{name}"]
            process = start(command, preload=(), MLOS_SOCKET=directory + "/s")
            process.stdin.write(b"churn\n")
            process.stdin.flush()
            if process.stdout.readline() != b"ok\n":
                raise Skip(f"cannot be set up here: {process.communicate()[1].decode()}")
            with open(f"/proc/{process.pid}/maps") as maps:
                loaded = os.path.basename(trusted) in maps.read()
            connected = [supervisor.accept() for _ in iter(supervisor.is_pending, False)]
            process.communicate()
            if not loaded:
                raise Skip("ld.so does not take the library here")
            segments = {session.segment.pid for session in connected}
            equal(process.pid in segments, expected, f"{name}: connected")
