"""What a supervisor sees, and what the host does not notice of it."""

import contextlib
import os
import time

from harness import AGENT, BUILD, case, check, compile_fixture, equal, finish, run, start, temporary_directory
from supervisor import (ACTIVE, GLIBC, HELLO, KEPT, LOADED, DLOPEN, DLCLOSE, MAGIC, OK, PING, REFRESH, UNLOADED, UNSUPPORTED,
                        VERSION, Supervisor)


class Talker:
    """The fixture that does one thing a line and answers each line."""

    FIXTURE = "talker.c"

    def __init__(self, path, preload=(AGENT,), program=None, **variables):
        program = program or compile_fixture(self.FIXTURE, libraries=["-ldl", "-pthread"])
        self.process = start([program], preload=preload, MLOS_SOCKET=path, **variables)

    @property
    def pid(self):
        return self.process.pid

    def say(self, text):
        self.process.stdin.write(text.encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().decode().strip()
        check(answer, f"the program ended at {text!r}: {self.process.poll()}")
        return answer

    def end(self):
        self.process.stdin.close()
        status = finish(self.process)
        rest = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        equal((status, rest), (0, b""), "how the program ended")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.process.kill()
            self.process.wait()
        else:
            self.end()


@contextlib.contextmanager
def session_with(kind=Talker, **keywords):
    """A supervisor's session with a talker, and the talker."""
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        with kind(directory + "/s", **keywords) as talker:
            yield supervisor.accept_pid(talker.pid), talker


def until(condition, talker, text):
    """Lets the program allocate until the condition holds; bounded by its own clock, not by a sleep."""
    deadline = time.monotonic() + 60
    while not condition():
        check(time.monotonic() < deadline, text)
        talker.say("churn")


def thread_runs(session, talker, line="open libm.so.6"):
    talker.say(line)
    until(lambda: session.segment.control_thread, talker, "no control thread")


@case
def hello_carries_a_sealed_segment_that_describes_the_process():
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor, Talker(directory + "/s") as talker:
        session = supervisor.accept_pid(talker.pid)
        segment = session.segment
        talker.say("churn")
        equal(session.frame, (MAGIC, VERSION, HELLO, 48, 0), "frame")
        equal((session.size, segment.size), (segment.segment_size, segment.segment_size), "size")
        equal(session.seals & 7, 7, "sealed against sealing, shrinking and growing")
        equal((segment.magic, segment.abi_version, segment.pid), (0x314745535F534F4C, 1, talker.pid), "header")
        equal((segment.state, segment.reason, segment.allocator), (ACTIVE, 0, GLIBC), "state")
        mains = [row for row in segment.modules() if row["flags"] & 2]
        equal([row["path"] for row in mains], [os.path.join(BUILD, "talker")], "the program")
        libc = segment.module("libc.so.6")
        status = os.stat(libc["path"])
        equal((libc["inode"], libc["device"], libc["state"], libc["build_id"]), (status.st_ino, status.st_dev, 1, 20), "libc")
        maps = [line.split() for line in open(f"/proc/{talker.pid}/maps") if line.rstrip().endswith(libc["path"])]
        equal(libc["start"], int(maps[0][0].split("-")[0], 16), "where libc begins")
        check(os.readlink(f"/proc/{talker.pid}/exe") and segment.sums()[0] >= 20000, "allocations")


@case
def live_bytes_follow_the_program():
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor, Talker(directory + "/s") as talker:
        segment = supervisor.accept_pid(talker.pid).segment
        talker.say("churn")
        before = segment.live()
        usable = int(talker.say("hold 1000 10000"))
        held = segment.live()
        equal((held[0] - before[0], held[1] - before[1]), (1000, usable), "held")
        talker.say("release")
        equal(segment.live(), before, "released")


@case
def commands_are_answered_by_the_control_thread():
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor, Talker(directory + "/s") as talker:
        session = supervisor.accept_pid(talker.pid)
        thread_runs(session, talker)
        equal(session.command(PING)[1:], (OK, PING, 0), "PING")
        request, status, code, value = session.command(REFRESH)
        loaded = sum(1 for row in session.segment.modules() if row["state"] == 1)
        equal((status, code, value), (OK, REFRESH, loaded), "REFRESH")
        equal(session.command(4711)[1:3], (UNSUPPORTED, 4711), "unknown command")


@case
def without_a_thread_commands_are_answered_all_the_same():
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        with Talker(directory + "/s", MLOS_AGENT_THREAD="never") as talker:
            session = supervisor.accept_pid(talker.pid)
            talker.say("open libm.so.6")
            session.send_command(PING)
            answers = []
            until(session.has_result, talker, "no answer")
            answers.append(session.result()[1:3])
            equal(answers, [(OK, PING)], "PING")
            equal((session.segment.control_thread, len(os.listdir(f"/proc/{talker.pid}/task"))), (0, 1), "threads")
            until(lambda: session.segment.module("libm.so.6"), talker, "libm is not in the table")


@case
def loading_and_unloading_is_reported_as_it_was():
    plain = compile_fixture("plugin.c", "-shared", "-fPIC", output="libmlosplain.so")
    pinned = compile_fixture("plugin.c", "-shared", "-fPIC", "-Wl,-z,nodelete", output="libmlospinned.so")
    unique = compile_fixture("unique.cc", "-shared", "-fPIC", output="libmlosunique.so", compiler="c++")
    with session_with(MLOS_MODULE_CACHE="0") as (session, talker):
        thread_runs(session, talker)
        segment = session.segment
        for path, expected in ((plain, UNLOADED), (pinned, KEPT), (unique, KEPT)):
            name = os.path.basename(path)
            equal(talker.say(f"open {path}"), "ok", name)
            session.command(REFRESH)
            row = segment.module(name)
            equal((row["state"], row["opens"], row["flags"] & 1), (1, 1, 0), name)
            equal(talker.say("close"), "0", f"dlclose {name}")
            kinds = [what for what, module, _, _ in segment.events() if module == row["id"]]
            equal([what for what in kinds if what != DLCLOSE][-1], expected, name)
            equal(segment.module(name)["state"], 2 if expected == UNLOADED else 1, name)
            equal(segment.module(name)["closes"], 1, name)
        check((DLOPEN, 0, 2, plain) in segment.events(DLOPEN), "the DLOPEN event")
        talker.say(f"open {plain}")
        session.command(REFRESH)
        again = segment.module("libmlosplain.so")
        equal((again["state"], again["opens"]), (1, 2), "loaded again")
        check(again["last"] > again["first"], "times")


def _sleeps_for_good(task):
    """Whether the thread is in a ppoll without a timeout: its third argument."""
    with open(task + "/syscall") as file:
        words = file.read().split()
    return words[0] == {"x86_64": "271", "aarch64": "73"}[os.uname().machine] and int(words[3], 16) == 0


@case
def an_idle_program_with_a_control_thread_never_wakes():
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor, Talker(directory + "/s") as talker:
        session = supervisor.accept_pid(talker.pid)
        thread_runs(session, talker)
        task = f"/proc/{talker.pid}/task/{session.segment.control_thread}"
        # The looks after a dlopen end after two seconds. Until then each answer wakes the thread a moment too early to tell.
        deadline = time.monotonic() + 60
        while not _sleeps_for_good(task):
            check(time.monotonic() < deadline, "the looks after a dlopen do not end")
            session.command(PING)
        with open(task + "/status") as file:
            blocked = [line for line in file if line.startswith("SigBlk")][0].split()[1]
        equal(int(blocked, 16) & 0x1FFFFFFF & ~(1 << 8 | 1 << 18), 0x1FFFFFFF & ~(1 << 8 | 1 << 18), "blocked signals")


@case
def a_supervisor_that_dies_and_comes_back_finds_the_same_segment():
    with temporary_directory() as directory, Talker("/nonexistent") as _:
        path = directory + "/s"
        supervisor = Supervisor(path)
        with Talker(path) as talker:
            first = supervisor.accept_pid(talker.pid)
            thread_runs(first, talker)
            talker.say("hold 10 100")
            first.command(REFRESH)
            live, modules = first.segment.live(), [row["path"] for row in first.segment.modules()]
            supervisor.stop()
            first.close()
            talker.say("churn")
            with Supervisor(path) as second:
                # The thread's first attempt comes a second after the end of the connection.
                session = second.accept_pid(talker.pid)
                equal((session.inode, session.reconnects), (first.inode, 1), "the same memfd")
                equal(session.segment.live(), live, "live heap")
                equal([row["path"] for row in session.segment.modules()], modules, "modules")
                equal(session.command(PING)[1], OK, "PING")


@case
def a_supervisor_hung_in_mid_message_does_not_stall_the_program():
    work = ["open libm.so.6", "churn", "hold 100 1000", "release", "churn", "close", "churn"]
    with temporary_directory() as directory, Talker("/nonexistent", preload=()) as alone:
        expected = [alone.say(line) for line in work]
        path = directory + "/s"
        with Supervisor(path) as supervisor, Talker(path) as talker:
            session = supervisor.accept_pid(talker.pid)
            thread_runs(session, talker)
            # Thousands of commands, no answer ever read: the agent's send buffer is full.
            session.connection.setblocking(False)
            try:
                while True:
                    session.send_command(PING)
            except BlockingIOError:
                pass
            equal([talker.say(line) for line in work], expected, "output")
            session.connection.close()
            equal([talker.say(line) for line in work], expected, "output after it was killed")


@case
def a_full_backlog_is_not_waited_for():
    with temporary_directory() as directory, Supervisor(directory + "/s", backlog=0) as supervisor:
        # The backlog holds one; the second and third find it full, must not block and must end normally.
        programs = [Talker(directory + "/s") for _ in range(3)]
        for talker in programs:
            equal(talker.say("churn"), "ok", "churn")
        for talker in programs:
            talker.end()


@case
def nonsense_from_a_supervisor_ends_the_session_only():
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        for packet in (b"", b"x", b"x" * 4000, b"\x4d\x4c\x4f\x53" + b"\xff" * 52):
            with Talker(directory + "/s") as talker:
                session = supervisor.accept_pid(talker.pid)
                thread_runs(session, talker)
                session.connection.send(packet)
                talker.say("churn")
                if packet:
                    check(session.connection.recv(1) == b"", "the session ended")
                session.close()


@case
def a_rejected_agent_stays_away():
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor, Talker(directory + "/s") as talker:
        session = supervisor.accept()
        session.reject()
        until(lambda: session.segment.reason == 10, talker, "the reason is not SUPERVISOR_REFUSED")
        equal(session.connection.recv(1), b"", "closed by the agent")
        session.close()


@case
def a_stranger_is_not_obeyed():
    """A listener that is neither root nor the program's user gets no HELLO."""
    if os.getuid() != 0:
        from harness import Skip
        raise Skip("needs root to become another user")
    program = compile_fixture("talker.c", libraries=["-ldl", "-pthread"])
    with temporary_directory() as directory:
        os.chmod(directory, 0o777)
        path = directory + "/s"
        ready, wrote = os.pipe()
        child = os.fork()
        if child == 0:
            # Whatever happens, the child must not go on as a second test runner.
            try:
                os.setuid(65534)
                supervisor = Supervisor(path)
                os.write(wrote, b"1")
                connection, _ = supervisor.listener.accept()
                os._exit(0 if connection.recv(1) == b"" else 1)
            finally:
                os._exit(2)
        os.read(ready, 1)
        with Talker(path) as talker:
            equal(talker.say("churn"), "ok", "churn")
            _, status = os.waitpid(child, 0)
            equal(os.waitstatus_to_exitcode(status), 0, "nothing was sent")
        os.close(ready)
        os.close(wrote)


@case
def exact_live_heap():
    """Live bytes = what malloc_usable_size says of all live blocks. With one arena and no thread cache:

    mallinfo2().uordblks (main arena, chunk sizes in use) = sum over live unmapped chunks of (usable + 8)
    so  live bytes + 8 * live blocks + 656 = uordblks.
    The fixture's blocks are all below the mmap threshold, so nothing is mapped. 656 bytes are the chunk of the thread
    cache's own table, which glibc takes from the arena without calling malloc, even where the cache is off.
    """
    program = compile_fixture("mallinfo.c")
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        process = start([program], MLOS_SOCKET=directory + "/s",
                        GLIBC_TUNABLES="glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1:glibc.malloc.mxfast=0")
        session = supervisor.accept_pid(process.pid)
        for _ in range(5):
            process.stdin.write(b"\n")
            process.stdin.flush()
            in_use = int(process.stdout.readline())
            blocks, live = session.segment.live()
            equal(live + 8 * blocks + 656, in_use, "bytes of chunks in use")
        process.communicate()
        equal(process.returncode, 0, "status")


@case
def a_late_supervisor_sees_exact_counts():
    """Four threads allocate while the segment's pages are exchanged; at the end the sums are what they did."""
    program = compile_fixture("late.c", libraries=["-pthread"])
    with temporary_directory() as directory:
        for _ in range(6):
            process = start([program, "4"], MLOS_SOCKET=directory + "/s")
            process.stdout.readline()
            with Supervisor(directory + "/s") as supervisor:
                session = supervisor.accept_pid(process.pid)
                # The exchange happened in the middle of the threads' work; now let them end it.
                process.stdin.write(b"\n")
                process.stdin.flush()
                blocks, usable, done = map(int, process.stdout.readline().split())
                now_blocks, now_bytes = session.segment.live()
                base = session.segment.base_allocations
                process.stdin.write(b"\n")
                process.stdin.flush()
                process.stdout.readline()
                after_blocks, after_bytes = session.segment.live()
                equal((now_blocks - after_blocks, now_bytes - after_bytes), (blocks, usable), "what was freed at the end")
                # Neither lost nor counted twice: pthread_create and stdio make a few more.
                total = session.segment.sums()[0]
                check(base > 0 and done <= total < done + 1000, f"base {base}, done {done}, counted {total}")
                check(0 <= after_blocks < 1000, f"{after_blocks} blocks are left")
                process.communicate()
            equal(process.returncode, 0, "status")
