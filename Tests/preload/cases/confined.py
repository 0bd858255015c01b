"""Programs that confine themselves."""

from harness import AGENT, HANG_SECONDS, Skip, case, check, compile_fixture, equal, run, start, temporary_directory
from supervisor import Supervisor


@case
def a_program_with_a_killing_allow_list_survives():
    program = compile_fixture("allow_list.c", libraries=["-ldl", "-pthread"])
    for way in ("prctl", "seccomp"):
        without = run([program, way], stdin=b"\n")
        if without[0] == 77:
            raise Skip("seccomp filters are not available here")
        equal(without[0], 0, f"the fixture itself: {without}")
        equal(run([program, way], preload=(AGENT,), stdin=b"\n"), without, f"{way}, no supervisor")
        for thread in (None, "never"):
            with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
                process = start([program, way], MLOS_SOCKET=directory + "/s", MLOS_AGENT_THREAD=thread)
                session = supervisor.accept_pid(process.pid)
                if not thread:
                    session.until_thread()
                output, errors = process.communicate(b"\n", HANG_SECONDS)
                equal((process.returncode, output, errors), without, f"{way}, supervisor, thread {thread}")
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
    without = run([program], stdin=b"\n")
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        process = start([program], MLOS_SOCKET=directory + "/s")
        supervisor.accept_pid(process.pid).until_thread()
        output, errors = process.communicate(b"\n", HANG_SECONDS)
        equal((process.returncode, output, errors), without, "unshare(CLONE_NEWUSER)")


@case
def a_main_thread_that_ends_takes_the_control_thread_along():
    program = compile_fixture("main_thread_exits.c", libraries=["-pthread", "-ldl"])
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        process = start([program, "late"], MLOS_SOCKET=directory + "/s")
        supervisor.accept_pid(process.pid).until_thread()
        equal((*process.communicate(b"\n", HANG_SECONDS), process.returncode), (b"worker done\n", b"", 0), "output")
