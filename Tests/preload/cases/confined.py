"""Programs that confine themselves."""

import os

from harness import AGENT, Skip, case, check, compile_fixture, equal, run, same_with_agent, temporary_directory
from supervisor import Supervisor
from session import Talker, thread_runs


@case
def a_program_with_a_killing_allow_list_survives():
    program = compile_fixture("allow_list.c", libraries=["-ldl", "-pthread"])
    for way in ("prctl", "seccomp"):
        without = run([program, way])
        if without[0] == 77:
            raise Skip("seccomp filters are not available here")
        equal(without[0], 0, f"the fixture itself: {without}")
        equal(run([program, way], preload=(AGENT,)), without, f"{way}, no supervisor")
        for thread in (None, "never"):
            with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
                got = run([program, way], preload=(AGENT,), MLOS_SOCKET=directory + "/s", MLOS_AGENT_THREAD=thread)
                equal(got, without, f"{way}, supervisor, thread {thread}")
                session = supervisor.accept()
                equal(session.segment.reason, 7, "reason SECCOMP")
                check(session.segment.sums()[0] > 100000, "counting went on in shared memory")


@case
def a_filter_from_the_parent_means_no_thread():
    program = compile_fixture("inherits_filter.c")
    talker = compile_fixture("talker.c", libraries=["-ldl", "-pthread"])
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        got = run([program, talker], preload=(AGENT,), MLOS_SOCKET=directory + "/s", stdin=b"open libm.so.6\nchurn\nchurn\n")
        if got[0] == 77:
            raise Skip("seccomp filters are not available here")
        equal(got, (0, b"ok\nok\nok\n", b""), "output")
        sessions = [supervisor.accept(), supervisor.accept()]
        equal([(each.segment.reason, each.segment.control_thread) for each in sessions][-1], (7, 0), "reason")


@case
def namespaces_for_one_thread_can_be_entered():
    program = compile_fixture("unshares.c", libraries=["-ldl"])
    without = run([program])
    with temporary_directory() as directory, Supervisor(directory + "/s"):
        equal(run([program], preload=(AGENT,), MLOS_SOCKET=directory + "/s"), without, "unshare(CLONE_NEWUSER)")


@case
def a_main_thread_that_ends_takes_the_control_thread_along():
    program = compile_fixture("main_thread_exits_late.c", libraries=["-pthread", "-ldl"])
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        got = run([program], preload=(AGENT,), MLOS_SOCKET=directory + "/s")
        equal(got, (0, b"worker done\n", b""), "output")
        check(supervisor.accept().segment.wakeups > 0, "there was a control thread")
