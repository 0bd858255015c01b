"""Everything at once."""

import os

from harness import AGENT, case, check, compile_fixture, equal, run, temporary_directory
from supervisor import Supervisor


@case
def exceptions_and_loading_under_load_end_the_same():
    plugin = compile_fixture("plugin.c", "-shared", "-fPIC", output="libmlosplain.so")
    program = compile_fixture("storm.cc", "-O1", compiler="c++", libraries=["-pthread", "-ldl"])
    command = [program, plugin, "4", "3000"]
    without = run(command)
    equal(without[0], 0, f"the fixture itself: {without}")
    equal(run(command, preload=(AGENT,)), without, "no supervisor")
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        equal(run(command, preload=(AGENT,), MLOS_SOCKET=directory + "/s"), without, "supervisor")
        segment = supervisor.accept().segment
        equal((segment.dlopen_calls, segment.dlclose_calls), (12000, 12000), "calls")
        loaded = [row["path"] for row in segment.modules() if row["state"] == 1]
        check(len(loaded) == len(set(loaded)), "a module twice in the table")


@case
def thousands_of_short_threads_share_few_slots():
    program = compile_fixture("short_threads.c", libraries=["-pthread"])
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        equal(run([program, "20000", "8"], preload=(AGENT,), MLOS_SOCKET=directory + "/s")[0], 0, "status")
        segment = supervisor.accept().segment
        check(segment.slots_used < 200, f"{segment.slots_used} slots")
        # Each thread makes 3 allocations and frees 2; the main thread frees the third. pthread_create's own stay cached.
        check(segment.sums()[0] >= 60000 and segment.live()[0] < 2000, f"{segment.sums()}")


@case
def more_threads_than_slots_share_the_overflow_slot():
    program = compile_fixture("many_threads.c", libraries=["-pthread"])
    without = run([program, "4400"])
    if without[0] != 0:
        from harness import Skip
        raise Skip("this machine does not allow 4400 threads")
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        equal(run([program, "4400"], preload=(AGENT,), MLOS_SOCKET=directory + "/s"), without, "output")
        segment = supervisor.accept().segment
        equal(segment.slots_used, 4096, "slots")
        check(segment.slots_overflowed >= 304, f"overflowed {segment.slots_overflowed}")
        equal(segment.sums()[0] - segment.sums()[1], segment.live()[0], "sums")
        check(segment.sums()[0] >= 4400 * 151 and segment.sums()[1] >= 4400 * 151, f"{segment.sums()}")
