"""Programs that register callbacks and mark what is busy: CInterpose/include/mlos_agent.h, docs/cooperating.md."""

import contextlib
import os
import time

import waiting
from harness import Skip, case, check, compile_fixture, equal, finish, start, temporary_directory
from session import Talker, until
from supervisor import FAILED, OK, PING, RECLAIM, WAIT_SECONDS, Supervisor

NO_CALLBACK, CALLBACK_LATE, IN_USE, UNDER_WAY = 40, 41, 42, 5
# For a callback that answers; and for one that never will.
LONG_MS, SHORT_MS = 60_000, 50
# Passes for all that a process can hold, and is below the largest number.
EVERYTHING = 1 << 50


class Cooperative(Talker):
    FIXTURE = "cooperates.c"

    def asked(self):
        """Names of the callbacks that were asked since the last time, in order."""
        return [part.split(":")[0] for part in self.say("asked")[1:-1].split()]

    def threads(self):
        return threads_of(self.pid)


def threads_of(pid):
    names = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/task/{task}/comm") as comm:
            names.append(comm.read().strip())
    return names


@contextlib.contextmanager
def cooperative(**variables):
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        with Cooperative(directory + "/s", **variables) as talker:
            session = supervisor.accept_pid(talker.pid)
            session.supervisor = supervisor
            yield session, talker


def reclaim(session, wanted=EVERYTHING, milliseconds=LONG_MS):
    """What a RECLAIM came to: ("freed", bytes) or (a refusal, its detail)."""
    _, status, code, value = session.command(RECLAIM, wanted, milliseconds)
    equal(code, RECLAIM, "code")
    if status == OK:
        return "freed", value
    equal(status, FAILED, "status")
    return value & 0xFFFFFFFF, value >> 32


@case
def callbacks_are_asked_in_order_until_enough_was_freed():
    with cooperative() as (session, talker):
        for name, frees in (("one", 100), ("two", 20), ("three", 3)):
            check(talker.say(f"frees {name} {frees}") != "0", name)
        equal(session.segment.callbacks, 3, "callbacks in the segment")
        equal(reclaim(session), ("freed", 123), "everything")
        equal(talker.asked(), ["one", "two", "three"], "all")
        equal(reclaim(session, 110), ("freed", 120), "110 bytes")
        equal([part.split(":")[:2] for part in talker.say("asked")[1:-1].split()], [["one", "110"], ["two", "10"]], "until enough")
        equal(reclaim(session, 0), ("freed", 0), "nothing wanted")
        equal(talker.asked(), [], "nobody")


@case
def a_program_that_registered_answers_though_it_is_idle():
    """It opens no library and allocates nothing: nothing else would give it a control thread, or a tick."""
    with cooperative() as (session, talker):
        talker.say("frees cache 7")
        equal(reclaim(session), ("freed", 7), "an idle program")
        equal(session.command(PING)[1:3], (OK, PING), "PING")


@case
def what_a_program_said_before_its_supervisor_came_is_known_to_it():
    with temporary_directory() as directory, Cooperative(directory + "/s") as talker:
        talker.say("frees cache 7")
        talker.say("busy")
        with Supervisor(directory + "/s") as supervisor:
            until(supervisor.is_pending, talker, "no agent connected")
            session = supervisor.accept_pid(talker.pid)
            equal((session.segment.callbacks, session.segment.busy_regions), (1, 1), "in the segment")
            equal(reclaim(session), (IN_USE, 1), "busy")
            talker.say("idle")
            equal((reclaim(session), session.segment.busy_regions), (("freed", 7), 0), "idle")


@case
def callbacks_run_on_a_quiet_thread_of_their_own():
    with cooperative() as (session, talker):
        equal(talker.threads(), ["cooperates"], "before the first registration")
        talker.say("frees a-name-of-more-than-15-bytes 7")
        reclaim(session)
        equal(talker.say("asked"), f"[a-name-of-more-than-15-bytes:{EVERYTHING}:a-name-of-more-:blocked ]", "how it was asked")
        equal(sorted(talker.threads()), ["cooperates", "mlos-agent", "mlos-reclaim"], "threads; the other one answers")


@case
def without_a_callback_reclaim_says_so():
    with cooperative() as (session, talker):
        talker.say("open libm.so.6")
        until_answers(session, talker)
        equal(reclaim(session), (NO_CALLBACK, 0), "never registered")
        registration = talker.say("frees cache 7")
        equal(reclaim(session), ("freed", 7), "registered")
        talker.say(f"unregister {registration}")
        equal((reclaim(session), session.segment.callbacks), ((NO_CALLBACK, 0), 0), "unregistered")


def until_answers(session, talker):
    request = session.send_command(PING)
    while not session.has_result():
        talker.say("churn")
    equal(session.result()[0], request, "PING")


@case
def nothing_is_asked_of_a_busy_program():
    with cooperative() as (session, talker):
        cache = talker.say("frees cache 7")
        for _ in range(2):
            talker.say("busy")
        equal((reclaim(session), session.segment.busy_regions), ((IN_USE, 2), 2), "busy twice")
        talker.say("idle")
        equal(reclaim(session), (IN_USE, 1), "busy once")
        equal(session.command(PING)[1], OK, "other commands are answered")
        talker.say("idle")
        talker.say("idle")
        equal((reclaim(session), session.segment.busy_regions), (("freed", 7), 0), "ended once too often")
        equal(talker.asked(), ["cache"], "asked")
        talker.say("busy")
        talker.say(f"unregister {cache}")
        equal(reclaim(session), (IN_USE, 1), "said though nobody could be asked")


@case
def a_program_that_becomes_busy_is_asked_no_further():
    with cooperative() as (session, talker):
        talker.say("is-busy one 5")
        talker.say("frees two 7")
        equal(reclaim(session), ("freed", 5), "what was freed until then")
        equal(talker.asked(), ["one"], "the second is not asked")


@case
def a_callback_that_hangs_is_late_and_the_others_are_asked_without_it():
    with cooperative() as (session, talker):
        talker.say("hangs stuck 1")
        talker.say("frees good 7")
        equal(reclaim(session, milliseconds=SHORT_MS), (CALLBACK_LATE, 0), "the first time")
        equal((talker.say("entered"), talker.asked()), ("ok", ["stuck"]), "who was asked")
        equal(reclaim(session), ("freed", 7), "the second time")
        equal(talker.asked(), ["good"], "not again while it has not returned")
        equal(talker.threads().count("stuck"), 1, "its thread has its name")
        talker.say("release")
        deadline = time.monotonic() + WAIT_SECONDS
        while reclaim(session) != ("freed", 8):
            equal(talker.asked(), ["good"], "while it returns")
            check(time.monotonic() < deadline, "it is not asked again")
        equal(talker.asked(), ["stuck", "good"], "again when it has returned")
        equal(sorted(set(talker.threads())), ["cooperates", "mlos-agent", "mlos-reclaim"], "threads at the end")


@case
def a_second_reclaim_while_one_is_under_way_is_refused():
    with cooperative() as (session, talker):
        talker.say("hangs slow 5")
        first = session.send_command(RECLAIM, EVERYTHING, LONG_MS)
        talker.say("entered")
        equal(reclaim(session), (CALLBACK_LATE, 0), "all that there is runs")
        talker.say("frees other 7")
        equal(reclaim(session), (UNDER_WAY, 0), "it has its time still")
        talker.say("release")
        equal(session.result()[0::3], (first, 12), "the first is answered")


@case
def few_threads_are_left_to_callbacks_that_hang():
    with cooperative() as (session, talker):
        for i in range(7):
            talker.say(f"hangs stuck{i} 1")
        answers = [reclaim(session, milliseconds=SHORT_MS) for _ in range(7)]
        equal(answers, [(CALLBACK_LATE, 0)] * 7, "answers")
        equal(talker.asked(), [f"stuck{i}" for i in range(5)], "asked")
        equal(sum(name.startswith("stuck") for name in talker.threads()), 5, "threads")
        # Five that are late, and two that will be asked.
        for _ in range(7):
            talker.say("release")
        deadline = time.monotonic() + WAIT_SECONDS
        while reclaim(session) != ("freed", 7):
            check(time.monotonic() < deadline, "they are not asked again")


@case
def who_frees_nothing_three_times_is_no_longer_asked():
    with cooperative() as (session, talker):
        empty = talker.say("frees empty 0")
        talker.say("frees good 7")
        for _ in range(4):
            reclaim(session)
        equal(talker.asked(), ["empty", "good"] * 3 + ["good"], "asked")
        talker.say(f"unregister {empty}")
        talker.say("frees again 0")
        reclaim(session)
        equal(talker.asked(), ["good", "again"], "a new registration is asked again")


@case
def how_many_are_no_longer_asked_is_told():
    with cooperative() as (session, talker):
        for name in ("one", "two"):
            talker.say(f"frees {name} 0")
        equal([reclaim(session) for _ in range(4)], [("freed", 0)] * 3 + [(NO_CALLBACK, 2)], "answers")


@case
def a_callback_may_end_itself_and_register_others():
    with cooperative() as (session, talker):
        talker.say("ends-itself once")
        talker.say("registers two")
        equal(reclaim(session), ("freed", 2), "first")
        equal(talker.asked(), ["once", "two", "late-comer"], "asked; the one that came last too")
        reclaim(session)
        equal(talker.asked()[0], "two", "it has ended itself")


@case
def unregistering_waits_for_the_callback_that_runs():
    with cooperative() as (session, talker):
        registration = talker.say("hangs slow 5")
        request = session.send_command(RECLAIM, EVERYTHING, LONG_MS)
        talker.say("entered")
        # It answers only when the callback has returned: asked together, released from here, by way of its pipe.
        talker.process.stdin.write(f"unregister {registration}\n".encode())
        talker.process.stdin.flush()
        deadline = time.monotonic() + WAIT_SECONDS
        while session.segment.callbacks:
            session.command(PING)
            check(time.monotonic() < deadline, "it is not unregistered")
        check(not session.has_result(), "the callback still runs")
        for _ in range(100):
            session.command(PING)
        check(not waiting.readable([talker.process.stdout.fileno()], 0), "unregister has returned while the callback runs")
        with open(pipe_of(talker.pid), "wb", buffering=0) as hold:
            hold.write(b"r")
        equal(talker.process.stdout.readline(), b"ok\n", "unregister")
        equal(session.result()[0::3], (request, 5), "RECLAIM")
        equal(reclaim(session), (NO_CALLBACK, 0), "nobody is left")


def pipe_of(pid):
    """The end of the fixture's first pipe that is written to."""
    return f"/proc/{pid}/fd/4"


@case
def many_threads_register_at_once():
    with cooperative() as (session, talker):
        talker.say("threads")
        equal((session.segment.callbacks, reclaim(session)), (16, ("freed", 160)), "16 callbacks of 4 threads")


@case
def the_table_has_a_limit():
    with cooperative() as (session, talker):
        registrations = [talker.say(f"frees c{i} 1") for i in range(66)]
        equal([at for at, one in enumerate(registrations) if one == "0"], [64, 65], "refused")
        talker.say(f"unregister {registrations[3]}")
        check(talker.say("frees last 1") != "0", "a place that was given back")
        equal(reclaim(session), ("freed", 64), "all")
        asked = talker.asked()
        equal((asked[2:4], asked[-1]), (["c2", "c4"], "last"), "the order is that of registration, not of places")


@case
def a_forked_child_has_the_registrations_and_what_its_thread_began():
    with cooperative() as (session, talker):
        talker.say("frees cache 7")
        equal(reclaim(session), ("freed", 7), "the parent")
        talker.say("busy")
        child = int(talker.say("fork"))
        talker.say("churn")
        its = session.supervisor.accept_pid(child)
        until_answers(its, talker)
        equal((its.segment.callbacks, its.segment.busy_regions), (1, 1), "in the child's segment")
        check("mlos-reclaim" not in threads_of(child), "a thread before it is asked")
        equal(until_reclaimed(its, talker), (IN_USE, 1), "what was begun")
        talker.say("idle")
        equal(until_reclaimed(its, talker), ("freed", 7), "the child")
        # The child ends when its input does, and its parent with it.


def until_reclaimed(session, talker):
    """Without a control thread: the program allocates until the answer is there."""
    request = session.send_command(RECLAIM, EVERYTHING, LONG_MS)
    while not session.has_result():
        talker.say("churn")
    got, status, _, value = session.result()
    equal(got, request, "request")
    return ("freed", value) if status == OK else (value & 0xFFFFFFFF, value >> 32)


@case
def where_the_agent_may_have_no_thread_it_registers_nothing():
    with cooperative(MLOS_AGENT_THREAD="never") as (session, talker):
        equal((talker.say("version"), talker.say("frees cache 7")), ("1", "0"), "answers")
        equal(until_reclaimed(session, talker), (NO_CALLBACK, 0), "RECLAIM")


@case
def a_program_whose_main_thread_ends_is_not_kept_alive():
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        talker = Cooperative(directory + "/s")
        session = supervisor.accept_pid(talker.pid)
        talker.say("frees cache 7")
        equal(reclaim(session), ("freed", 7), "RECLAIM")
        talker.say("leave")
        equal(finish(talker.process), 0, "its status")
        for pipe in (talker.process.stdin, talker.process.stdout, talker.process.stderr):
            pipe.close()


@case
def a_namespace_for_one_thread_can_be_entered():
    program = compile_fixture("cooperates.c", libraries=["-ldl", "-pthread"])
    with temporary_directory() as directory, Cooperative(directory + "/s", preload=(), program=program) as talker:
        expected = talker.say("unshare")
    if expected != "0":
        raise Skip(f"unshare is refused without the agent too, errno {expected}")
    with cooperative() as (session, talker):
        talker.say("frees cache 7")
        equal(reclaim(session), ("freed", 7), "before")
        equal(talker.say("unshare"), "0", "unshare")
        equal(until_reclaimed(session, talker), ("freed", 7), "after, on a new thread")


@case
def behind_a_filter_nothing_is_registered_and_no_thread_is_made():
    with cooperative() as (session, talker):
        talker.say("frees cache 7")
        equal(reclaim(session), ("freed", 7), "before")
        equal(talker.say("filter"), "0", "the filter")
        equal((talker.say("frees other 7"), talker.threads()), ("0", ["cooperates"]), "registered; threads")
        talker.say("unregister 1")
        equal(talker.say("version"), "1", "it lives")


@case
def registering_and_unregistering_race_with_asking_and_forking():
    program = compile_fixture("cooperate_storm.c", "-O2", libraries=["-pthread"])
    rounds = 3000 if os.environ.get("MLOS_TEST_FULL") else 300
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        process = start([program], MLOS_SOCKET=directory + "/s")
        session = supervisor.accept_pid(process.pid)
        equal(process.stdout.readline(), b"ok\n", "started")
        answers = {reclaim(session)[0] for _ in range(rounds)}
        check("freed" in answers, f"only {answers}")
        process.stdin.close()
        status, rest = finish(process), process.stdout.read()
        equal((status, process.stderr.read()), (0, b""), "how it ended")
        check(all(int(part) > 0 for part in rest.split()), f"turns, calls, forks: {rest}")
        process.stdout.close()
        process.stderr.close()
