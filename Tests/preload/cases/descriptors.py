"""The host's descriptor table and files are the host's."""

import os

from harness import AGENT, case, check, compile_fixture, equal, run, same_with_agent, start, temporary_directory
from supervisor import Supervisor

LIST = "import os; print(sorted((int(n), os.readlink('/proc/self/fd/'+n)) for n in os.listdir('/proc/self/fd') if os.path.exists('/proc/self/fd/'+n)))"


def _table(output):
    """Anonymous inodes' numbers differ from run to run."""
    import re
    return re.sub(rb"(pipe|socket):\[\d+\]|/proc/\d+/fd", b"*", output)


@case
def without_a_supervisor_there_is_no_descriptor_of_ours():
    program = compile_fixture("list_descriptors.c", libraries=["-ldl", "-pthread"])
    equal(_table(run([program], preload=(AGENT,))[1]), _table(run([program])[1]), "descriptors")
    equal(_table(run(["python3", "-c", LIST], preload=(AGENT,))[1]), _table(run(["python3", "-c", LIST])[1]), "python's")


@case
def with_a_supervisor_ours_are_high_and_close_on_exec():
    with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
        program = compile_fixture("talker.c", libraries=["-ldl", "-pthread"])
        process = start([program], MLOS_SOCKET=directory + "/s")
        session = supervisor.accept_pid(process.pid)
        numbers = sorted(map(int, os.listdir(f"/proc/{process.pid}/fd")))
        equal([number for number in numbers if number < 512], [0, 1, 2], "the host's")
        check(0 < len(numbers) - 3 <= 4, f"ours: {numbers}")
        for number in numbers[3:]:
            text = open(f"/proc/{process.pid}/fdinfo/{number}").read()
            flags = int([line for line in text.splitlines() if line.startswith("flags")][0].split()[1], 8)
            check(flags & os.O_CLOEXEC, f"descriptor {number} survives exec")
        check(session.segment.pid == process.pid, "pid")
        process.communicate()


@case
def a_small_descriptor_limit_is_lived_with():
    program = compile_fixture("list_descriptors.c", libraries=["-ldl", "-pthread"])
    with temporary_directory() as directory, Supervisor(directory + "/s"):
        for limit in (8, 40, 100):
            command = ["bash", "-c", f"ulimit -n {limit}; exec {program} quiet"]
            equal(run(command, preload=(AGENT,), MLOS_SOCKET=directory + "/s"), run(command), f"limit {limit}")


@case
def a_daemon_that_closes_everything_never_finds_our_bytes():
    program = compile_fixture("closes_all.c", libraries=["-ldl", "-pthread"])
    for thread in (None, "never"):
        with temporary_directory() as directory, Supervisor(directory + "/s") as supervisor:
            process = start([program, directory], MLOS_SOCKET=directory + "/s", MLOS_AGENT_THREAD=thread)
            session = supervisor.accept_pid(process.pid)
            if not thread:
                session.until_thread()
            process.stdin.write(b"\n")
            process.stdin.flush()
            process.stdout.readline()
            # The program holds files under the numbers that were ours. Make the agent want to write.
            try:
                for _ in range(50):
                    session.send_command(1)
                    session.send_command(2)
            except OSError:
                pass
            process.stdin.write(b"\n")
            process.stdin.flush()
            _, errors = process.communicate()
            equal((process.returncode, errors), (0, b""), "the program")
            victims = [name for name in os.listdir(directory) if name.startswith("victim")]
            check(len(victims) > 600, f"{len(victims)} files")
            for name in victims:
                equal(open(os.path.join(directory, name), "rb").read(), b"mine\n", name)
            equal(session.segment.reason, 8, "the reason")


@case
def a_small_file_size_limit_does_not_kill():
    with temporary_directory() as directory, Supervisor(directory + "/s"):
        same = ["bash", "-c", "ulimit -f 1; exec python3 -c 'print(sum(range(100000)))'"]
        equal(run(same, preload=(AGENT,), MLOS_SOCKET=directory + "/s"), run(same), "RLIMIT_FSIZE")


@case
def a_small_address_space_is_lived_with():
    same_with_agent(["bash", "-c", "ulimit -v 20000; exec /bin/true"])
